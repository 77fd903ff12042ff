//! What the stories rest on: the same seed tells the same story, and a seed that went wrong once goes well.

use anyhow::{Result, ensure};
use kulta_seeds::scenario::Health;
use kulta_seeds::story::{plugins, tell};
use kulta_seeds::unsure::{self, Seen};

/// Seeds that found a defect, and what it was.
const MENDED: [(u64, &str); 7] = [
    (6, "an event told again had lost the digest of its artifact"),
    (107, "a revision was collected while its event waited for the sink"),
    (178, "an event named the image of a template that was not looked at yet"),
    (496, "a revision without replicas became stable before its ReplicaSet was made"),
    (1114, "an analysis that was seen to have ended with other steps was begun again without its end being told"),
    (1824, "an analysis that was seen to have ended with a new version was never told to end"),
    (2791, "the revision before was collected when its event had been told, and the next process told it again"),
];

#[test]
fn the_same_seed_tells_the_same_story_to_the_byte() -> Result<()> {
    let plugins = plugins()?;
    for seed in [3, 6, 45, 4, 13, 18] {
        let (one, other) = (tell(seed, &plugins)?, tell(seed, &plugins)?);

        ensure!(one.story.len() > 20, "hardly a story: {:?}", one.story);
        ensure!(one == other, "seed {seed} told two stories");
    }
    Ok(())
}

#[test]
fn seeds_that_found_a_defect_go_well() -> Result<()> {
    let plugins = plugins()?;
    for (seed, what) in MENDED {
        let report = tell(seed, &plugins)?;

        ensure!(report.violations.is_empty(), "seed {seed} ({what}): {:?}", report.violations);
    }
    Ok(())
}

#[test]
fn faults_are_injected_at_all() -> Result<()> {
    let plugins = plugins()?;
    let faults: u64 = (1..=5).map(|seed| tell(seed, &plugins).map(|report| report.faults)).sum::<Result<u64>>()?;

    ensure!(faults > 20, "{faults} faults in five stories");
    Ok(())
}

#[test]
fn versions_are_analysed_at_all() -> Result<()> {
    let plugins = plugins()?;
    let mut measurements = 0;
    for seed in [4, 8, 13, 14, 15] {
        measurements += tell(seed, &plugins)?.measurements;
    }

    ensure!(measurements > 20, "{measurements} measurements in five stories");
    Ok(())
}

#[test]
fn an_update_with_pauses_of_an_hour_is_told_in_virtual_time() -> Result<()> {
    let told = kulta_seeds::plain::tell(&plugins()?)?;

    ensure!(told.took.as_hours() == 2, "{told:?}");
    ensure!(told.writes > 0 && told.events > 0, "{told:?}");
    Ok(())
}

#[test]
fn an_inconclusive_background_pauses_once_and_each_promote_reaches_the_next_step() -> Result<()> {
    let told = unsure::tell(&plugins()?, Health::Good, 2)?;

    let paused = |weight: i64, pods: i64, runs: usize| Seen {
        phase: "Paused".to_owned(),
        message: "InconclusiveAnalysisRun".to_owned(),
        weight,
        pods,
        runs,
    };
    ensure!(told.get(..2) == Some(&[paused(20, 1, 1), paused(50, 2, 2)]), "{told:?}");
    ensure!(told.last().is_some_and(|last| last.phase == "Healthy" && last.runs == 2), "{told:?}");
    Ok(())
}

#[test]
fn an_analysis_that_is_inconclusive_before_there_are_pods_does_not_keep_them_from_coming() -> Result<()> {
    let told = unsure::tell(&plugins()?, Health::Slow, 1)?;

    let seen = |seen: &Seen| (seen.phase.clone(), seen.weight, seen.pods, seen.runs);
    let told: Vec<_> = told.iter().map(seen).collect();
    ensure!(told == [("Paused".to_owned(), 0, 1, 1), ("Paused".to_owned(), 20, 1, 2)], "{told:?}");
    Ok(())
}
