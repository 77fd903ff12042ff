//! Table tests of the policy, called as the host calls it: configuration as JSON.

use crate::Canary;
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::strategy::{self, End, Simulation, situation};
use kulta_plugin::{Decision, Error, Goal, Next, Pause, PauseCause, Scale, Situation, Waiting};

const STEPS: &str = r#"[{"setWeight":10},{"pause":{"duration":"30s"}},{"setWeight":50},{"pause":{}}]"#;
const HOLD: Next = Next::Hold(Waiting::Pods);

fn decide(steps: &str, situation: &Situation) -> Decision {
    try_decide(steps, situation).unwrap()
}

fn try_decide(steps: &str, situation: &Situation) -> Result<Decision, Error> {
    strategy::decide::<Canary>(&format!(r#"{{"steps":{steps}}}"#), situation)
}

fn at(step: u32, reached: bool) -> Situation {
    Situation { step, reached, ..situation() }
}

fn pause(until: Option<u64>) -> Next {
    Next::Pause(Pause { cause: PauseCause::Step, until })
}

fn outline(decision: &Decision) -> (u32, u32, Next) {
    (decision.step, decision.weight, decision.next.clone())
}

#[test]
fn a_step_keeps_the_last_weight_until_it_is_reached_and_then_the_next_begins() {
    for (step, reached, expected) in [
        (0, false, (0, 10, HOLD)),
        (0, true, (1, 10, HOLD)),
        (1, false, (1, 10, HOLD)),
        (1, true, (1, 10, pause(Some(NOW + 30_000)))),
        (2, false, (2, 50, HOLD)),
        (2, true, (3, 50, HOLD)),
        (3, false, (3, 50, HOLD)),
        (3, true, (3, 50, pause(None))),
        (4, false, (4, 100, Next::Promote)),
        (4, true, (4, 100, Next::Promote)),
        (9, false, (4, 100, Next::Promote)),
    ] {
        let decision = decide(STEPS, &at(step, reached));
        assert_eq!(outline(&decision), expected, "step {step}, reached {reached}");
        assert_eq!(decision.steps, 4);
    }
}

#[test]
fn a_rollout_goes_through_its_steps_and_waits_for_a_user() {
    let canary = Simulation::<Canary>::new(format!(r#"{{"steps":{STEPS}}}"#));

    let waiting = canary.play();
    let promoted = canary.promote_at(100_000).play();

    assert_eq!(waiting.weights(), [(0, 0), (10_000, 10), (50_000, 50)]);
    assert_eq!((waiting.end, waiting.took), (End::Paused(PauseCause::Step), 50_000));
    assert_eq!((promoted.end, promoted.took), (End::Promoted, 100_000));
}

#[test]
fn no_steps_promote_at_once() {
    for reached in [false, true] {
        let decision = decide("[]", &at(0, reached));
        assert_eq!(outline(&decision), (0, 100, Next::Promote));
        assert_eq!(decision.canary, Scale::Weight(100));
        assert_eq!(decision.reason, "no steps: promoting");
    }
}

#[test]
fn before_the_first_set_weight_there_is_no_traffic() {
    let decision = decide(r#"[{"pause":{}},{"setWeight":20}]"#, &at(0, true));
    assert_eq!(outline(&decision), (0, 0, pause(None)));
}

#[test]
fn after_the_last_step_the_revision_is_promoted() {
    let decision = decide(r#"[{"setWeight":20}]"#, &at(0, true));
    assert_eq!(outline(&decision), (1, 100, Next::Promote));
}

#[test]
fn a_timed_pause_ends_at_its_start_plus_its_duration() {
    let since = NOW - 10_000;
    for (now, expected) in [
        (since, (1, 10, pause(Some(since + 30_000)))),
        (since + 29_999, (1, 10, pause(Some(since + 30_000)))),
        (since + 30_000, (2, 50, HOLD)),
        (since + 90_000, (2, 50, HOLD)),
    ] {
        for reached in [false, true] {
            let paused = Some((PauseCause::Step, since));
            let decision = decide(STEPS, &Situation { now, paused, ..at(1, reached) });
            assert_eq!(outline(&decision), expected, "now {now}, reached {reached}");
        }
    }
}

#[test]
fn the_end_of_a_pause_is_rounded_up_to_a_whole_second() {
    let decision = decide(STEPS, &Situation { now: NOW + 1, ..at(1, true) });
    assert_eq!(decision.next, pause(Some(NOW + 31_000)));
}

#[test]
fn a_pause_without_duration_ends_only_when_promoted() {
    let long_ago = Some((PauseCause::Step, 0));
    let waiting = decide(STEPS, &Situation { paused: long_ago, ..at(3, true) });
    let promoted = decide(STEPS, &Situation { paused: long_ago, promoted: true, ..at(3, true) });
    assert_eq!(outline(&waiting), (3, 50, pause(None)));
    assert_eq!(outline(&promoted), (4, 100, Next::Promote));
}

#[test]
fn promoted_ends_a_timed_pause_early() {
    for reached in [false, true] {
        let decision = decide(STEPS, &Situation { promoted: true, ..at(1, reached) });
        assert_eq!(outline(&decision), (2, 50, HOLD));
    }
}

#[test]
fn promoted_at_a_step_without_a_pause_changes_nothing() {
    let decision = decide(STEPS, &Situation { promoted: true, ..at(0, false) });
    assert_eq!(outline(&decision), (0, 10, HOLD));
}

#[test]
fn a_pause_with_another_cause_is_not_this_steps_pause() {
    let paused = Some((PauseCause::Analysis, NOW - 60_000));
    let decision = decide(STEPS, &Situation { paused, ..at(1, true) });
    assert_eq!(outline(&decision), (1, 10, pause(Some(NOW + 30_000))));
}

#[test]
fn the_last_set_canary_scale_decides_the_canarys_pods() {
    let steps = r#"[{"setCanaryScale":{"replicas":3}},{"setWeight":10},{"setCanaryScale":{"weight":25}},
        {"setWeight":20},{"setCanaryScale":{"matchTrafficWeight":true,"replicas":9}},{"setCanaryScale":{}}]"#;
    for (step, scale, weight) in [
        (0, Scale::Replicas(3), 0),
        (1, Scale::Replicas(3), 10),
        (2, Scale::Weight(25), 10),
        (3, Scale::Weight(25), 20),
        (4, Scale::FollowWeight, 20),
        (5, Scale::FollowWeight, 20),
        (6, Scale::Weight(100), 100),
    ] {
        let decision = decide(steps, &at(step, false));
        assert_eq!((decision.canary, decision.weight), (scale, weight), "step {step}");
        assert_eq!(decision.stable, Scale::FollowWeight);
    }
}

#[test]
fn after_a_canary_scale_the_next_step_begins() {
    let decision = decide(r#"[{"setCanaryScale":{"replicas":1}},{"setWeight":5}]"#, &at(0, true));
    assert_eq!(outline(&decision), (1, 5, HOLD));
    assert_eq!(decision.canary, Scale::Replicas(1));
}

#[test]
fn a_restore_goes_through_the_levels_below_the_confirmed_weight() {
    let steps = r#"[{"setWeight":10},{"setWeight":30},{"setWeight":60}]"#;
    for (confirmed, weight) in [(100, 60), (60, 30), (45, 30), (30, 10), (10, 0), (5, 0), (0, 0)] {
        for reached in [false, true] {
            let asked = Situation { goal: Goal::Restore, weight: confirmed, ..at(1, reached) };
            let decision = decide(steps, &asked);
            assert_eq!(outline(&decision), (1, weight, HOLD), "confirmed {confirmed}");
        }
    }
}

#[test]
fn a_weight_above_the_maximum_is_reported_by_its_path() {
    let error = try_decide(r#"[{"setWeight":10},{"setWeight":101}]"#, &at(0, false));
    let message = "steps[1].setWeight: 101 is above the largest weight 100".to_owned();
    assert_eq!(error, Err(Error::InvalidConfig(message)));
}

#[test]
fn every_decision_has_a_reason() {
    let paused = Situation { paused: Some((PauseCause::Step, NOW)), ..at(1, true) };
    let scaling = r#"[{"setCanaryScale":{"replicas":1}}]"#;
    let mut fine = at(0, false);
    fine.rollout.max_weight = 1000;
    for (steps, asked, reason) in [
        (STEPS, at(0, false), "step 1/4: moving the weight to 10 %"),
        (STEPS, fine, "step 1/4: moving the weight to 10/1000"),
        (STEPS, at(1, false), "step 2/4: getting ready to pause"),
        (STEPS, paused, "step 2/4: paused for 30s at 10 %"),
        (STEPS, at(3, true), "step 4/4: paused at 50 % until promoted"),
        (STEPS, at(4, true), "all 4 steps done: promoting"),
        (scaling, at(0, false), "step 1/1: scaling the canary to 1 pod"),
    ] {
        assert_eq!(decide(steps, &asked).reason, reason);
    }
}
