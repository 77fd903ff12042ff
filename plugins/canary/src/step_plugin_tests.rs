//! Table tests of step plugins: when one is wanted, and the effect of its outcome.

use crate::Canary;
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::strategy::{self, situation};
use kulta_plugin::{
    Decision, Failure, FailureKind, Goal, Next, Pause, PauseCause, Run, RunPhase, Situation, Verdict, Waiting,
    WantedRun,
};

/// Step 1 is a plugin's.
const CONFIG: &str = r#"{"steps":[{"setWeight":10},{"plugin":{"name":"team/gate","config":{"url":"x"}}},{"setWeight":50},{"pause":{}}]}"#;
const RUN: &str = "steps/1/plugin";
const RUNS: Next = Next::Hold(Waiting::Runs);
const PODS: Next = Next::Hold(Waiting::Pods);

fn decide(situation: &Situation) -> Decision {
    strategy::decide::<Canary>(CONFIG, situation).unwrap()
}

fn at(step: u32, reached: bool, phase: Option<RunPhase>) -> Situation {
    let run = |phase| Run { name: RUN.into(), attempt: 1, phase, started_at: NOW };
    Situation { step, reached, runs: phase.map(run).into_iter().collect(), weight: 10, ..situation() }
}

fn wanted(decision: &Decision) -> Vec<(&str, u32)> {
    decision.runs.iter().map(|WantedRun { name, attempt }| (name.as_str(), *attempt)).collect()
}

fn outline(decision: &Decision) -> (u32, u32, Next) {
    (decision.step, decision.weight, decision.next.clone())
}

#[test]
fn a_step_plugin_is_waited_for_whether_pods_are_available_or_not() {
    for phase in [None, Some(RunPhase::Running), Some(RunPhase::FailedToRun("no route".into()))] {
        for reached in [false, true] {
            let decision = decide(&at(1, reached, phase.clone()));

            assert_eq!((outline(&decision), wanted(&decision)), ((1, 10, RUNS), vec![(RUN, 1)]));
        }
    }
}

#[test]
fn a_step_plugin_is_wanted_as_soon_as_its_step_begins() {
    let decision = decide(&at(0, true, None));

    assert_eq!((decision.step, wanted(&decision)), (1, vec![(RUN, 1)]));
}

#[test]
fn a_step_plugin_is_wanted_at_no_other_step() {
    for step in [0, 2, 3, 4] {
        assert_eq!(wanted(&decide(&at(step, false, Some(RunPhase::Running)))), [], "step {step}");
    }
}

#[test]
fn after_a_completed_step_plugin_the_next_step_begins() {
    let decision = decide(&at(1, false, Some(RunPhase::Judged(Verdict::Pass))));

    assert_eq!((outline(&decision), wanted(&decision)), ((2, 50, PODS), vec![]));
}

#[test]
fn a_failed_step_plugin_aborts_with_its_message() {
    for (said, reason) in [("closed", "step plugin team/gate failed: closed"), ("", "step plugin team/gate failed")] {
        for promoted in [false, true] {
            let failed = Some(RunPhase::Judged(Verdict::Fail(said.into())));
            let decision = decide(&Situation { promoted, ..at(1, true, failed) });

            let abort = Next::Abort(Failure { kind: FailureKind::Gate, reason: reason.into() });
            assert_eq!((decision.step, decision.next), (1, abort));
        }
    }
}

#[test]
fn a_failed_step_plugin_of_another_step_has_no_effect() {
    let decision = decide(&at(2, false, Some(RunPhase::Judged(Verdict::Fail("old".into())))));

    assert_eq!((decision.step, decision.next), (2, PODS));
}

#[test]
fn an_inconclusive_step_plugin_pauses_until_a_user_promotes() {
    let unsure = at(1, true, Some(RunPhase::Judged(Verdict::Inconclusive("no data".into()))));
    let paused = Next::Pause(Pause { cause: PauseCause::Analysis, until: None });

    let decisions = [decide(&unsure), decide(&Situation { promoted: true, ..unsure })];

    assert_eq!(decisions.map(|decision| outline(&decision)), [(1, 10, paused), (2, 50, PODS)]);
}

#[test]
fn no_step_plugin_is_wanted_during_a_restore() {
    let asked = Situation { goal: Goal::Restore, weight: 50, ..at(1, false, Some(RunPhase::Running)) };

    assert_eq!(wanted(&decide(&asked)), []);
}

#[test]
fn every_decision_about_a_step_plugin_has_a_reason() {
    for (asked, reason) in [
        (at(0, true, None), "step 2/4: beginning step plugin team/gate"),
        (at(1, true, None), "step 2/4: waiting for step plugin team/gate at 10 %"),
        (
            at(1, true, Some(RunPhase::Judged(Verdict::Fail("closed".into())))),
            "step 2/4: step plugin team/gate failed: closed",
        ),
        (
            at(1, true, Some(RunPhase::Judged(Verdict::Inconclusive("no data".into())))),
            "step 2/4: paused at 10 %, step plugin team/gate is inconclusive: no data",
        ),
    ] {
        assert_eq!(decide(&asked).reason, reason);
    }
}

/// Whether the plugin of a step is wanted, and what is decided there, where the step does something else too.
fn beside(kind: &str, reached: bool, phase: RunPhase) -> (bool, Decision) {
    let config = format!(r#"{{"steps":[{{{kind},"plugin":{{"name":"team/gate"}}}},{{"setWeight":50}}]}}"#);
    let run = Run { name: "steps/0/plugin".into(), attempt: 1, phase, started_at: NOW };
    let decision = strategy::decide::<Canary>(&config, &Situation { step: 0, reached, runs: vec![run], ..situation() });
    let decision = decision.unwrap();
    (wanted(&decision).contains(&("steps/0/plugin", 1)), decision)
}

#[test]
fn a_weight_beside_a_plugin_is_moved_while_the_plugin_works_and_both_are_waited_for() {
    for (reached, phase, step) in [
        (false, RunPhase::Running, 0),
        (true, RunPhase::Running, 0),
        (false, RunPhase::Judged(Verdict::Pass), 0),
        (true, RunPhase::Judged(Verdict::Pass), 1),
    ] {
        let (is_wanted, decision) = beside(r#""setWeight":20"#, reached, phase.clone());

        let weight = if step == 0 { 20 } else { 50 };
        assert_eq!((is_wanted, decision.step, decision.weight), (step == 0, step, weight), "{reached} {phase:?}");
    }
}

#[test]
fn a_plugin_that_failed_beside_a_weight_or_an_analysis_aborts() {
    for kind in [r#""setWeight":20"#, r#""analysis":{}"#] {
        let (_, decision) = beside(kind, true, RunPhase::Judged(Verdict::Fail("closed".into())));

        assert!(matches!(decision.next, Next::Abort(Failure { kind: FailureKind::Gate, .. })), "{kind}: {decision:?}");
    }
}

#[test]
fn a_plugin_beside_a_pause_is_not_wanted_and_changes_nothing() {
    for phase in [RunPhase::Running, RunPhase::Judged(Verdict::Fail("closed".into()))] {
        let (is_wanted, decision) = beside(r#""pause":{}"#, true, phase);

        assert_eq!((is_wanted, decision.next), (false, Next::Pause(Pause { cause: PauseCause::Step, until: None })));
    }
}
