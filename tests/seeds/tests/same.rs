//! What the stories rest on: the same seed tells the same story, and a seed that went wrong once goes well.

use std::sync::{Arc, LazyLock};

use anyhow::{Result, ensure};
use kulta_seeds::story::tell;
use kulta_wasm::{Limits, Plugins};

/// Compiled once, and in no story's time.
static PLUGINS: LazyLock<Arc<Plugins>> = LazyLock::new(|| {
    let plugins = Arc::new(Plugins::untimed(Limits::default()).expect("start the plugin runtime"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("make a runtime");
    runtime.block_on(plugins.warm());
    plugins
});

/// Seeds that found a defect, and what it was.
const MENDED: [(u64, &str); 5] = [
    (6, "an event told again had lost the digest of its artifact"),
    (107, "a revision was collected while its event waited for the sink"),
    (178, "an event named the image of a template that was not looked at yet"),
    (60, "an event told again said more of its revision"),
    (447, "the last pods go with the replicas: no fault"),
];

#[test]
fn the_same_seed_tells_the_same_story_to_the_byte() -> Result<()> {
    for seed in [3, 6, 45] {
        let (one, other) = (tell(seed, &PLUGINS)?, tell(seed, &PLUGINS)?);

        ensure!(one.story.len() > 20, "hardly a story: {:?}", one.story);
        ensure!(one == other, "seed {seed} told two stories");
    }
    Ok(())
}

#[test]
fn seeds_that_found_a_defect_go_well() -> Result<()> {
    for (seed, what) in MENDED {
        let report = tell(seed, &PLUGINS)?;

        ensure!(report.violations.is_empty(), "seed {seed} ({what}): {:?}", report.violations);
    }
    Ok(())
}

#[test]
fn faults_are_injected_at_all() -> Result<()> {
    let faults: u64 = (1..=5).map(|seed| tell(seed, &PLUGINS).map(|report| report.faults)).sum::<Result<u64>>()?;

    ensure!(faults > 20, "{faults} faults in five stories");
    Ok(())
}
