//! What a decision costs: `cargo run --release -p kulta-wasm --example call_cost`.
//! Every call gets a fresh instance, as in the controller.

use kulta_wasm::strategy::{Goal, Revision, Rollout, Situation};
use kulta_wasm::{Limits, Plugins};
use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

const CALLS: usize = 10_000;

/// Plugin, its configuration.
const CASES: [(&str, &str); 2] = [
    (
        "canary",
        r#"{"steps":[{"setWeight":10},{"pause":{"duration":"5m"}},{"setWeight":50},{"pause":{"duration":"5m"}}]}"#,
    ),
    ("linear", r#"{"stepWeight":10,"interval":"5m"}"#),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let began = Instant::now();
    let plugins = Plugins::new(Limits::default())?;
    writeln!(out, "start: {:?}", began.elapsed())?;
    for (name, config) in CASES {
        let began = Instant::now();
        let plugin = plugins.strategy(name).await?;
        writeln!(out, "{name}: compile and describe {:?}", began.elapsed())?;
        let asked = situation();
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            plugin.decide(config, &asked).await?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let [p50, p99, max] = [0.50, 0.99, 1.0].map(|share| quantile(&times, share));
        writeln!(out, "{name}: {CALLS} calls, p50 {p50:?}, p99 {p99:?}, max {max:?}")?;
    }
    Ok(())
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or_default()
}

fn situation() -> Situation {
    let revision =
        |hash: &str, number| Revision { hash: hash.into(), number, desired: 2, created: 2, ready: 2, available: 2 };
    Situation {
        rollout: Rollout {
            namespace: "shop".into(),
            name: "web".into(),
            replicas: 2,
            max_weight: 100,
            stable: Some(revision("5d7c9b8f6", 1)),
            canary: revision("7f4b6d9c8", 2),
            others: Vec::new(),
            facts: Vec::new(),
        },
        now: 1_767_225_600_000,
        goal: Goal::Forward,
        step: 1,
        step_started_at: 1_767_225_600_000,
        memory: Vec::new(),
        weight: 10,
        reached: true,
        paused: None,
        promoted: false,
        runs: Vec::new(),
        facts: Vec::new(),
    }
}
