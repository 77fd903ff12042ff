use super::*;
use crate::{About, FailureKind, Pause, Verdict};
use schemars::JsonSchema;

/// 50 with an analysis, then a pause until promoted, then all.
struct Steps;

#[derive(serde::Deserialize, JsonSchema)]
struct NoConfig {}

impl Strategy for Steps {
    const ABOUT: About = About { name: "steps", version: "0.1.0", summary: "Steps" };
    type Config = NoConfig;

    fn decide(_config: NoConfig, situation: &Situation) -> Result<Decision, Error> {
        let at = |step| Decision { weight: 50, ..Decision::at(step, 2) };
        if situation.goal == Goal::Restore {
            return Ok(Decision { weight: situation.weight.saturating_sub(40), ..at(0) });
        }
        let run = situation.runs.first().map(|run| run.phase.clone());
        Ok(match (situation.step, situation.reached, run) {
            (0, _, Some(RunPhase::Judged(Verdict::Pass))) => at(1),
            (0, _, Some(RunPhase::Judged(Verdict::Fail(reason)))) => {
                let failure = Failure { kind: FailureKind::Analysis, reason };
                Decision { next: Next::Abort(failure), ..at(0) }
            }
            (0, true, _) => {
                let run = WantedRun { name: "steps/0/analysis".into(), attempt: 1 };
                Decision { runs: vec![run], next: Next::Hold(Waiting::Runs), ..at(0) }
            }
            (1, true, _) if !situation.promoted => {
                Decision { next: Next::Pause(Pause { cause: PauseCause::Step, until: None }), ..at(1) }
            }
            (0 | 1, false, _) => at(situation.step),
            _ => Decision { weight: 100, next: Next::Promote, ..at(2) },
        })
    }
}

const ANALYSIS: &str = "steps/0/analysis";

fn passing() -> Simulation<Steps> {
    Simulation::new("{}").run(ANALYSIS, 60_000, RunPhase::Judged(Verdict::Pass))
}

#[test]
fn a_weight_is_confirmed_when_its_pods_are_available() {
    let course = passing().pods_take(5_000).play();

    assert_eq!(course.weights(), [(0, 0), (5_000, 50)]);
}

#[test]
fn a_run_begins_when_it_is_named_and_ends_at_its_time() {
    let course = passing().play();

    assert_eq!((course.end, course.took), (End::Paused(PauseCause::Step), 70_000));
}

#[test]
fn a_user_ends_the_pause() {
    let course = passing().promote_at(100_000).play();

    assert_eq!((course.end, course.took), (End::Promoted, 100_000));
}

#[test]
fn a_user_skips_a_step_that_is_not_paused() {
    let course = Simulation::<Steps>::new("{}").promote_at(30_000).promote_at(50_000).play();

    assert_eq!((course.end, course.took), (End::Promoted, 50_000));
}

#[test]
fn a_failed_run_ends_it() {
    let course = Simulation::<Steps>::new("{}").run(ANALYSIS, 1, RunPhase::Judged(Verdict::Fail("slow".into()))).play();

    let failure = Failure { kind: FailureKind::Analysis, reason: "slow".into() };
    assert_eq!((course.end, course.took), (End::Aborted(failure), 10_001));
}

#[test]
fn a_run_that_never_ends_stops_the_simulation() {
    assert_eq!(Simulation::<Steps>::new("{}").play().end, End::Stuck(Waiting::Runs));
}

#[test]
fn an_error_ends_it() {
    let course = Simulation::<Steps>::new("[1]").play();

    assert!(matches!(course.end, End::Failed(Error::InvalidConfig(_))), "{:?}", course.end);
}

#[test]
fn endless_steps_are_an_error() {
    struct Endless;
    impl Strategy for Endless {
        const ABOUT: About = About { name: "endless", version: "0.1.0", summary: "Steps on" };
        type Config = NoConfig;

        fn decide(_config: NoConfig, situation: &Situation) -> Result<Decision, Error> {
            Ok(Decision::at(situation.step + 1, 0))
        }
    }

    let end = Simulation::<Endless>::new("{}").play().end;

    assert_eq!(end, End::Failed(Error::Internal("passed 32 steps at once without settling".into())));
}

#[test]
fn a_restore_lists_its_weights() {
    assert_eq!(restore::<Steps>("{}", 100), Ok(vec![60, 20, 0]));
}
