//! Table tests of analyses: wanted runs, and the effects of their verdicts.

use crate::Canary;
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::strategy::{self, situation};
use kulta_plugin::{
    Decision, Failure, FailureKind, Goal, Next, Pause, PauseCause, Run, RunPhase, Scale, Situation, Verdict, Waiting,
    WantedRun,
};

/// Step 1 is an analysis; the background begins with it.
const CONFIG: &str = r#"{"steps":[{"setWeight":10},{"analysis":{}},{"setWeight":50},{"pause":{}}],
    "analysis":{"startingStep":1}}"#;
const STEP: &str = "steps/1/analysis";
const BACKGROUND: &str = "background";
const RUNS: Next = Next::Hold(Waiting::Runs);
const PODS: Next = Next::Hold(Waiting::Pods);
const PAUSED: Next = Next::Pause(Pause { cause: PauseCause::Analysis, until: None });

fn decide(situation: &Situation) -> Decision {
    strategy::decide::<Canary>(CONFIG, situation).unwrap()
}

fn at(step: u32, reached: bool, runs: Vec<Run>) -> Situation {
    Situation { step, reached, runs, weight: 10, ..situation() }
}

fn run(name: &str, attempt: u32, phase: RunPhase) -> Run {
    Run { name: name.into(), attempt, phase, started_at: NOW }
}

fn pass() -> RunPhase {
    RunPhase::Judged(Verdict::Pass)
}

fn fail(message: &str) -> RunPhase {
    RunPhase::Judged(Verdict::Fail(message.into()))
}

fn inconclusive() -> RunPhase {
    RunPhase::Judged(Verdict::Inconclusive("no data".into()))
}

fn wanted(decision: &Decision) -> Vec<(&str, u32)> {
    decision.runs.iter().map(|WantedRun { name, attempt }| (name.as_str(), *attempt)).collect()
}

fn abort(reason: &str) -> Next {
    Next::Abort(Failure { kind: FailureKind::Analysis, reason: reason.into() })
}

#[test]
fn an_analysis_step_waits_for_its_run_whether_pods_are_available_or_not() {
    for runs in [vec![], vec![run(STEP, 1, RunPhase::Running)]] {
        for reached in [false, true] {
            let decision = decide(&at(1, reached, runs.clone()));

            assert_eq!((decision.step, decision.weight, decision.next.clone()), (1, 10, RUNS));
            assert_eq!(wanted(&decision), [(BACKGROUND, 1), (STEP, 1)]);
        }
    }
}

#[test]
fn the_runs_of_a_step_are_wanted_as_soon_as_it_begins() {
    let decision = decide(&at(0, true, vec![]));

    assert_eq!((decision.step, wanted(&decision)), (1, vec![(BACKGROUND, 1), (STEP, 1)]));
}

#[test]
fn the_background_is_wanted_from_its_starting_step_to_the_promotion() {
    for (step, expected) in
        [(0, vec![]), (2, vec![(BACKGROUND, 1)]), (3, vec![(BACKGROUND, 1)]), (4, vec![(BACKGROUND, 1)])]
    {
        assert_eq!(wanted(&decide(&at(step, false, vec![]))), expected, "step {step}");
    }
}

#[test]
fn without_a_starting_step_the_background_begins_with_the_update() {
    let config = r#"{"steps":[{"setWeight":10}],"analysis":{}}"#;
    let decision = strategy::decide::<Canary>(config, &at(0, false, vec![])).unwrap();

    assert_eq!(wanted(&decision), [(BACKGROUND, 1)]);
}

#[test]
fn no_run_is_wanted_during_a_restore() {
    let asked =
        Situation { goal: Goal::Restore, weight: 50, ..at(1, false, vec![run(BACKGROUND, 1, RunPhase::Running)]) };

    assert_eq!(wanted(&decide(&asked)), []);
}

#[test]
fn a_run_that_passed_leads_to_the_next_step() {
    for reached in [false, true] {
        let decision = decide(&at(1, reached, vec![run(STEP, 1, pass())]));

        assert_eq!((decision.step, decision.weight, decision.next.clone()), (2, 50, PODS));
        assert_eq!(wanted(&decision), [(BACKGROUND, 1)]);
    }
}

#[test]
fn a_passed_background_analysis_changes_nothing_and_is_not_repeated() {
    let decision = decide(&at(2, false, vec![run(BACKGROUND, 1, pass())]));

    assert_eq!((decision.step, decision.next.clone(), wanted(&decision)), (2, PODS, vec![(BACKGROUND, 1)]));
}

#[test]
fn a_failed_run_aborts_with_its_message() {
    let step = "Step-based analysis phase error/failed";
    let background = "Background analysis phase error/failed";
    for (at_step, name, phase, reason) in [
        (1, STEP, fail("9 % of requests fail"), format!("{step}: 9 % of requests fail")),
        (1, STEP, RunPhase::FailedToRun("no route".into()), format!("{step}: no route")),
        (1, STEP, fail(""), step.to_owned()),
        (1, BACKGROUND, fail("slow"), format!("{background}: slow")),
        (2, BACKGROUND, fail("slow"), format!("{background}: slow")),
        (3, BACKGROUND, RunPhase::FailedToRun("down".into()), format!("{background}: down")),
        (4, BACKGROUND, fail("slow"), format!("{background}: slow")),
    ] {
        for (reached, promoted) in [(false, false), (true, false), (true, true)] {
            let asked = Situation { promoted, ..at(at_step, reached, vec![run(name, 1, phase.clone())]) };
            let decision = decide(&asked);

            assert_eq!((decision.step, decision.next), (at_step, abort(&reason)), "{name} {phase:?}");
        }
    }
}

#[test]
fn a_failed_run_of_another_step_decides_nothing() {
    let decision = decide(&at(2, false, vec![run(STEP, 1, fail("old"))]));

    assert_eq!((decision.step, decision.next), (2, PODS));
}

#[test]
fn an_inconclusive_run_pauses_and_is_kept() {
    for (step, name) in [(1, STEP), (1, BACKGROUND), (2, BACKGROUND), (3, BACKGROUND)] {
        for reached in [false, true] {
            let decision = decide(&at(step, reached, vec![run(name, 3, inconclusive())]));

            assert_eq!((decision.step, decision.next.clone()), (step, PAUSED), "{name} at {step}");
            assert!(wanted(&decision).contains(&(name, 3)), "{decision:?}");
        }
    }
}

#[test]
fn a_pause_by_analysis_keeps_the_current_traffic() {
    for (confirmed, weight) in [(10, 10), (30, 30), (50, 50), (0, 10), (80, 50)] {
        let asked = Situation { weight: confirmed, ..at(2, false, vec![run(BACKGROUND, 1, inconclusive())]) };

        assert_eq!(decide(&asked).weight, weight, "confirmed {confirmed}");
    }
}

#[test]
fn after_a_promotion_an_inconclusive_step_is_passed() {
    let asked = Situation { promoted: true, ..at(1, true, vec![run(STEP, 1, inconclusive())]) };
    let decision = decide(&asked);

    assert_eq!((decision.step, decision.next.clone(), wanted(&decision)), (2, PODS, vec![(BACKGROUND, 1)]));
}

#[test]
fn after_a_promotion_an_inconclusive_background_analysis_is_left_to_the_host() {
    for (step, reached, expected) in [(2, false, (2, PODS)), (2, true, (3, PODS)), (3, true, (4, Next::Promote))] {
        let asked = Situation { promoted: true, ..at(step, reached, vec![run(BACKGROUND, 2, inconclusive())]) };
        let decision = decide(&asked);

        assert_eq!((decision.step, decision.next.clone()), expected);
        assert_eq!(wanted(&decision), [(BACKGROUND, 2)]);
    }
}

#[test]
fn a_pause_by_analysis_keeps_the_existing_pods() {
    let mut asked = at(1, false, vec![run(STEP, 1, inconclusive())]);
    asked.rollout.canary.desired = 3;

    assert_eq!(decide(&asked).canary, Scale::Replicas(3));
}

#[test]
fn a_failure_takes_precedence_over_an_inconclusive_result() {
    let asked = at(1, true, vec![run(BACKGROUND, 1, inconclusive()), run(STEP, 1, fail("slow"))]);

    assert_eq!(decide(&asked).next, abort("Step-based analysis phase error/failed: slow"));
}

#[test]
fn without_a_background_analysis_its_runs_are_ignored() {
    let config = r#"{"steps":[{"setWeight":10}]}"#;
    let decision = strategy::decide::<Canary>(config, &at(0, false, vec![run(BACKGROUND, 1, fail("old"))])).unwrap();

    assert_eq!((decision.next.clone(), wanted(&decision)), (PODS, vec![]));
}

#[test]
fn every_decision_about_an_analysis_has_a_reason() {
    for (asked, reason) in [
        (at(1, true, vec![]), "step 2/4: waiting for the analysis at 10 %"),
        (
            at(1, true, vec![run(STEP, 1, inconclusive())]),
            "step 2/4: paused at 10 %, the analysis is inconclusive: no data",
        ),
        (
            at(3, true, vec![run(BACKGROUND, 1, inconclusive())]),
            "step 4/4: paused at 50 %, the background analysis is inconclusive: no data",
        ),
        (at(0, true, vec![]), "step 2/4: beginning the analysis"),
        (at(2, true, vec![run(BACKGROUND, 1, fail("slow"))]), "step 3/4: Background analysis phase error/failed: slow"),
    ] {
        assert_eq!(decide(&asked).reason, reason);
    }
}
