//! Measures the cost of one more plugin: `plugin_cost CACHE FILE CONFIG [FILE CONFIG]...`, where each FILE is an
//! analyzer and CONFIG a valid configuration for it.
//! The first run with an empty CACHE compiles. A later run loads from the cache, as a controller does, and prints
//! memory too.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use kulta_wasm::analyzer::{Call, Occasion};
use kulta_wasm::{AnalyzerPlugin, CodeCache, Limits, Plugins};

const USAGE: &str = "usage: plugin_cost CACHE FILE CONFIG [FILE CONFIG]...";
/// Milliseconds since 1970.
const NOW: u64 = 1_767_225_600_000;
const CALLS: usize = 1_000;
const PAGE: u64 = 4096;
/// Loading from the cache takes less time, compiling takes more.
const COMPILED: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let mut arguments = std::env::args().skip(1);
    let cache = arguments.next().ok_or(USAGE)?;
    let plugins = Plugins::new(Limits::default())?.with_cache(CodeCache::open(cache)?);
    // Loads the engine and everything that all plugins share.
    plugins.strategy("canary").await?;
    while let Some(file) = arguments.next() {
        let config = arguments.next().ok_or(USAGE)?;
        let before = resident()?;
        let component = fs::read(&file)?;
        let (size, began) = (component.len(), Instant::now());
        let loaded = plugins.load(&file, component, Limits::default()).await?;
        let load = began.elapsed();
        let analyzer = loaded.analyzer().ok_or("not an analyzer")?;
        let first = call(analyzer, &config).await?;
        let idle = resident()?.saturating_sub(before);
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            times.push(call(analyzer, &config).await?);
        }
        times.sort_unstable();
        let p50 = times.get(CALLS / 2).copied().unwrap_or_default();
        let memory =
            if load < COMPILED { format!("{} KiB more resident", idle / 1024) } else { "compiled now".to_owned() };
        writeln!(out, "{file}: {} KiB, loaded in {load:?}, first call {first:?}, p50 {p50:?}, {memory}", size / 1024)?;
    }
    Ok(())
}

/// The first call of a measurement, with a fresh instance.
async fn call(analyzer: &AnalyzerPlugin, config: &str) -> Result<Duration, Box<dyn Error>> {
    let input = Occasion {
        call: Call::Measure,
        rollout: None,
        run: "shop/errors".into(),
        metric: "errors".into(),
        now: NOW,
        run_started_at: NOW,
        number: 1,
        last: false,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    };
    let began = Instant::now();
    analyzer.analyze(config, &input).await?;
    Ok(began.elapsed())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages.split_whitespace().nth(1).ok_or("statm has no second number")?.parse()?;
    Ok(pages * PAGE)
}
