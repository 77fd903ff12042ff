//! Checks that a seed always runs the same scenario, that scenarios have faults and analyses, and that seeds which found a defect pass.

use anyhow::{Result, ensure};
use kulta_seeds::inconclusive::{self, Observation};
use kulta_seeds::objects::Health;
use kulta_seeds::plugins::compiled;
use kulta_seeds::runner::run;

/// Seeds that found a defect, and the defect.
const FIXED: [(u64, &str); 7] = [
    (6, "an event that was sent again had lost the digest of its artifact"),
    (107, "a revision was deleted while its event waited for the sink"),
    (178, "an event named the image of a template that was not reconciled yet"),
    (496, "a revision without replicas became stable before its ReplicaSet was created"),
    (1114, "an analysis that ended together with a change of steps was started again without a finished event"),
    (1824, "an analysis that ended together with a new version had no finished event"),
    (2791, "the previous revision was deleted after its event was sent, and the next process sent the event again"),
];

#[test]
fn the_same_seed_has_the_same_log_to_the_byte() -> Result<()> {
    let plugins = compiled()?;
    for seed in [3, 6, 45, 4, 13, 18] {
        let (one, other) = (run(seed, &plugins)?, run(seed, &plugins)?);

        ensure!(one.log.len() > 20, "the log is too short: {:?}", one.log);
        ensure!(one == other, "seed {seed} has two different logs");
    }
    Ok(())
}

#[test]
fn seeds_that_found_a_defect_pass() -> Result<()> {
    let plugins = compiled()?;
    for (seed, what) in FIXED {
        let report = run(seed, &plugins)?;

        ensure!(report.violations.is_empty(), "seed {seed} ({what}): {:?}", report.violations);
    }
    Ok(())
}

#[test]
fn scenarios_have_faults() -> Result<()> {
    let plugins = compiled()?;
    let faults: u64 = (1..=5).map(|seed| run(seed, &plugins).map(|report| report.faults)).sum::<Result<u64>>()?;

    ensure!(faults > 20, "{faults} faults in five scenarios");
    Ok(())
}

#[test]
fn scenarios_have_analyses() -> Result<()> {
    let plugins = compiled()?;
    let mut measurements = 0;
    for seed in [4, 8, 13, 14, 15] {
        measurements += run(seed, &plugins)?.measurements;
    }

    ensure!(measurements > 20, "{measurements} measurements in five scenarios");
    Ok(())
}

#[test]
fn an_update_with_pauses_of_an_hour_runs_in_virtual_time() -> Result<()> {
    let update = kulta_seeds::single_update::run(&compiled()?)?;

    ensure!(update.took.as_hours() == 2, "{update:?}");
    ensure!(update.writes > 0 && update.events > 0, "{update:?}");
    Ok(())
}

#[test]
fn an_inconclusive_background_analysis_pauses_once_and_each_promote_reaches_the_next_step() -> Result<()> {
    let observed = inconclusive::run(&compiled()?, Health::Good, 2)?;

    let paused = |weight: i64, pods: i64, runs: usize| Observation {
        phase: "Paused".to_owned(),
        message: "InconclusiveAnalysisRun".to_owned(),
        weight,
        pods,
        runs,
    };
    ensure!(observed.get(..2) == Some(&[paused(20, 1, 1), paused(50, 2, 2)]), "{observed:?}");
    ensure!(observed.last().is_some_and(|last| last.phase == "Healthy" && last.runs == 2), "{observed:?}");
    Ok(())
}

#[test]
fn an_analysis_that_is_inconclusive_before_pods_exist_does_not_keep_them_from_being_created() -> Result<()> {
    let observed = inconclusive::run(&compiled()?, Health::Slow, 1)?;

    let fields = |one: &Observation| (one.phase.clone(), one.weight, one.pods, one.runs);
    let observed: Vec<_> = observed.iter().map(fields).collect();
    ensure!(observed == [("Paused".to_owned(), 0, 1, 1), ("Paused".to_owned(), 20, 1, 2)], "{observed:?}");
    Ok(())
}
