//! Table tests of blue-green decisions, and whole rollouts.

use crate::BlueGreen;
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::strategy::{self, End, Simulation, situation};
use kulta_plugin::{
    Decision, Error, Failure, FailureKind, Goal, Next, Pause, PauseCause, Run, RunPhase, Scale, Situation, Verdict,
    Waiting, WantedRun,
};

const PODS: Next = Next::Hold(Waiting::Pods);
const ROUTES: Next = Next::Hold(Waiting::Routes);
const RUNS: Next = Next::Hold(Waiting::Runs);
const ALL: Scale = Scale::Weight(100);
const PLAIN: &str = "{}";
const PERSON: &str = r#"{"autoPromotionEnabled":false}"#;
const SMALL: &str = r#"{"previewReplicaCount":1}"#;
const WHOLE: &str = r#"{"previewReplicaCount":1,"autoPromotionSeconds":30,"prePromotionAnalysis":{"templates":[]},
    "postPromotionAnalysis":{"templates":[]}}"#;

fn decide(config: &str, situation: &Situation) -> Decision {
    strategy::decide::<BlueGreen>(config, situation).unwrap()
}

fn at(step: u32, reached: bool) -> Situation {
    Situation { step, reached, ..situation() }
}

fn run(name: &str, phase: RunPhase) -> Vec<Run> {
    vec![Run { name: name.into(), attempt: 1, phase, started_at: NOW }]
}

fn judged(verdict: Verdict) -> RunPhase {
    RunPhase::Judged(verdict)
}

fn pause(cause: PauseCause, until: Option<u64>) -> Next {
    Next::Pause(Pause { cause, until })
}

fn abort(reason: &str) -> Next {
    Next::Abort(Failure { kind: FailureKind::Analysis, reason: reason.into() })
}

/// Step, weight, the new version's pods, the runs, and the next action.
fn outline(decision: &Decision) -> (u32, u32, Scale, Vec<&str>, Next) {
    let runs = decision.runs.iter().map(|WantedRun { name, .. }| name.as_str()).collect();
    (decision.step, decision.weight, decision.canary, runs, decision.next.clone())
}

#[test]
fn with_nothing_to_wait_for_it_scales_up_switches_and_promotes() {
    for (step, reached, expected) in [
        (0, false, (0, 0, ALL, vec![], PODS)),
        (0, true, (4, 100, ALL, vec![], ROUTES)),
        (4, false, (4, 100, ALL, vec![], ROUTES)),
        (4, true, (6, 100, ALL, vec![], Next::Promote)),
        (9, false, (6, 100, ALL, vec![], Next::Promote)),
    ] {
        assert_eq!(outline(&decide(PLAIN, &at(step, reached))), expected, "step {step}, reached {reached}");
    }
}

#[test]
fn a_smaller_preview_grows_before_the_switch() {
    for (step, reached, expected) in [
        (0, false, (0, 0, Scale::Replicas(1), vec![], PODS)),
        (0, true, (3, 0, ALL, vec![], PODS)),
        (3, false, (3, 0, ALL, vec![], PODS)),
        (3, true, (4, 100, ALL, vec![], ROUTES)),
    ] {
        assert_eq!(outline(&decide(SMALL, &at(step, reached))), expected, "step {step}, reached {reached}");
    }
}

#[test]
fn the_promotion_waits_as_it_is_configured() {
    let paused = |until| (1, 0, ALL, vec![], pause(PauseCause::Step, until));
    let switch = (4, 100, ALL, vec![], ROUTES);
    for (config, since, expected) in [
        (PERSON, 3_600_000, paused(None)),
        (r#"{"autoPromotionEnabled":false,"autoPromotionSeconds":30}"#, 3_600_000, paused(None)),
        (r#"{"autoPromotionSeconds":30}"#, 0, paused(Some(NOW + 30_000))),
        (r#"{"autoPromotionSeconds":30}"#, 29_999, paused(Some(NOW + 1))),
        (r#"{"autoPromotionSeconds":30}"#, 30_000, switch.clone()),
        (r#"{"autoPromotionEnabled":true,"autoPromotionSeconds":30}"#, 30_000, switch.clone()),
    ] {
        let asked = Situation { paused: Some((PauseCause::Step, NOW - since)), ..at(1, false) };
        assert_eq!(outline(&decide(config, &asked)), expected, "{config}, paused for {since}");
    }
    for config in [PLAIN, r#"{"autoPromotionSeconds":0}"#, r#"{"autoPromotionEnabled":true}"#] {
        assert_eq!(outline(&decide(config, &at(0, true))), switch, "{config}");
    }
}

#[test]
fn a_user_ends_the_pause() {
    let asked = Situation { promoted: true, ..at(1, true) };
    assert_eq!(outline(&decide(PERSON, &asked)), (4, 100, ALL, vec![], ROUTES));
}

#[test]
fn the_analysis_before_the_switch_runs_during_the_pause_and_is_waited_for() {
    let one = Scale::Replicas(1);
    let begun = || run("pre", RunPhase::Running);
    let passed = || run("pre", judged(Verdict::Pass));
    let until = pause(PauseCause::Step, Some(NOW + 30_000));
    for (step, runs, promoted, expected) in [
        (1, vec![], false, (1, 0, one, vec!["pre"], until.clone())),
        (1, begun(), false, (1, 0, one, vec!["pre"], until.clone())),
        (1, passed(), false, (1, 0, one, vec!["pre"], until)),
        (1, begun(), true, (2, 0, one, vec!["pre"], RUNS)),
        (2, begun(), false, (2, 0, one, vec!["pre"], RUNS)),
        (2, passed(), false, (3, 0, ALL, vec![], PODS)),
    ] {
        let asked = Situation { runs, promoted, ..at(step, true) };
        assert_eq!(outline(&decide(WHOLE, &asked)), expected, "step {step}, {:?}", asked.runs);
    }
}

#[test]
fn the_analysis_after_the_switch_is_waited_for_before_the_promotion() {
    for (step, runs, expected) in [
        (4, vec![], (5, 100, ALL, vec!["post"], RUNS)),
        (5, run("post", RunPhase::Running), (5, 100, ALL, vec!["post"], RUNS)),
        (5, run("post", judged(Verdict::Pass)), (6, 100, ALL, vec![], Next::Promote)),
    ] {
        let asked = Situation { runs, ..at(step, true) };
        assert_eq!(outline(&decide(WHOLE, &asked)), expected, "step {step}, {:?}", asked.runs);
    }
}

#[test]
fn a_failed_analysis_aborts_whether_pods_are_available_or_not() {
    let pre = "Pre-promotion analysis phase error/failed";
    let post = "Post-promotion analysis phase error/failed";
    for reached in [false, true] {
        for (step, name, phase, reason) in [
            (1, "pre", judged(Verdict::Fail("slow".into())), format!("{pre}: slow")),
            (2, "pre", RunPhase::FailedToRun(String::new()), pre.into()),
            (5, "post", judged(Verdict::Fail("slow".into())), format!("{post}: slow")),
        ] {
            let asked = Situation { runs: run(name, phase), ..at(step, reached) };
            let decision = decide(WHOLE, &asked);
            assert_eq!((decision.step, decision.next), (step, abort(&reason)));
        }
    }
}

#[test]
fn an_inconclusive_analysis_pauses_until_a_user_promotes() {
    let unsure = |name| run(name, judged(Verdict::Inconclusive("no data".into())));
    for (step, name, weight, after) in [(1, "pre", 0, 3), (2, "pre", 0, 3), (5, "post", 100, 6)] {
        let asked = Situation { runs: unsure(name), ..at(step, true) };
        let paused = decide(WHOLE, &asked);
        let promoted = decide(WHOLE, &Situation { promoted: true, ..asked });

        assert_eq!((paused.step, paused.weight, paused.next), (step, weight, pause(PauseCause::Analysis, None)));
        assert_eq!(promoted.step, after);
    }
}

#[test]
fn after_its_last_step_it_promotes_whatever_the_analyses_said() {
    let unsure = run("post", judged(Verdict::Inconclusive("no data".into())));
    let asked = Situation { runs: unsure, ..at(6, true) };

    assert_eq!(outline(&decide(WHOLE, &asked)), (6, 100, ALL, vec![], Next::Promote));
}

#[test]
fn a_restore_moves_all_traffic_at_once() {
    let asked = Situation { goal: Goal::Restore, weight: 100, ..at(5, false) };
    let decision = decide(WHOLE, &asked);

    assert_eq!((decision.weight, decision.runs, decision.next), (0, vec![], PODS));
    assert_eq!(strategy::restore::<BlueGreen>(WHOLE, 100), Ok(vec![0]));
}

#[test]
fn a_gradual_switch_raises_the_weight_at_each_interval_once_it_is_reached() {
    let config = r#"{"gradualSwitch":{"stepWeight":40,"interval":"1m"}}"#;
    let after = |millis: u64, reached| {
        let asked = Situation { step_started_at: NOW - millis, ..at(4, reached) };
        let decision = decide(config, &asked);
        (decision.step, decision.weight, decision.next)
    };

    assert_eq!(after(0, false), (4, 40, ROUTES));
    assert_eq!(after(0, true), (4, 40, Next::Until(NOW + 60_000)));
    assert_eq!(after(59_999, true), (4, 40, Next::Until(NOW + 1)));
    assert_eq!(after(60_000, true), (4, 80, Next::Until(NOW + 60_000)));
    assert_eq!(after(120_000, false), (4, 100, ROUTES));
    assert_eq!(after(120_000, true), (6, 100, Next::Promote));
}

#[test]
fn a_gradual_switch_begins_with_its_first_weight_however_long_the_step_before_took() {
    let config = r#"{"gradualSwitch":{"stepWeight":40,"interval":"1m"}}"#;
    let asked = Situation { step_started_at: NOW - 3_600_000, ..at(0, true) };

    assert_eq!(outline(&decide(config, &asked)), (4, 40, ALL, vec![], ROUTES));
}

#[test]
fn a_whole_rollout_takes_its_steps_in_order() {
    let course = Simulation::<BlueGreen>::new(WHOLE)
        .run("pre", 45_000, judged(Verdict::Pass))
        .run("post", 60_000, judged(Verdict::Pass))
        .play();

    assert_eq!(
        course.reasons(),
        [
            "preview: bringing the preview up",
            "pause: paused before the switch",
            "pre-promotion analysis: waiting for the analysis",
            "growth: growing to full size",
            "switch: switching all traffic to the new version",
            "post-promotion analysis: waiting for the analysis",
            "all steps done: promoting",
        ]
    );
    // 10 s for the first pod, 45 s for the analysis, 10 s for the other pods, 60 s for the second analysis.
    assert_eq!(course.weights(), [(0, 0), (65_000, 100)]);
    assert_eq!((course.end, course.took), (End::Promoted, 125_000));
}

#[test]
fn a_whole_rollout_ends_with_the_first_analysis_that_fails() {
    let failing = judged(Verdict::Fail("slow".into()));
    let course = Simulation::<BlueGreen>::new(WHOLE).run("pre", 20_000, failing).play();

    assert_eq!(course.weights(), [(0, 0)]);
    assert!(matches!(course.end, End::Aborted(_)), "{:?}", course.end);
}

#[test]
fn a_user_may_promote_twice() {
    let config = r#"{"autoPromotionEnabled":false,"prePromotionAnalysis":{}}"#;
    let unsure = judged(Verdict::Inconclusive(String::new()));
    let rollout = Simulation::<BlueGreen>::new(config).run("pre", 60_000, unsure).promote_at(30_000);

    assert_eq!(rollout.play().end, End::Paused(PauseCause::Analysis));
    assert_eq!(rollout.promote_at(100_000).play().end, End::Promoted);
}

#[test]
fn bad_configuration_is_reported_by_its_path() {
    for (config, start) in [
        (r#"{"previewReplicaCount":-1}"#, "previewReplicaCount: "),
        (r#"{"autoPromotionEnabled":"no"}"#, "autoPromotionEnabled: "),
        (r#"{"autoPromotionDelay":1}"#, "autoPromotionDelay: "),
        (r#"{"gradualSwitch":{"stepWeight":0,"interval":"1m"}}"#, "gradualSwitch.stepWeight: "),
        (r#"{"gradualSwitch":{"stepWeight":5,"interval":0}}"#, "gradualSwitch.interval: "),
    ] {
        match strategy::check_config::<BlueGreen>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
}
