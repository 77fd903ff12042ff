//! Tables and properties of the policy, called as the host calls it: configuration as JSON.

use crate::Linear;
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::strategy::{self, End, Simulation, situation};
use kulta_plugin::{Decision, Error, Goal, Next, Scale, Situation, Waiting};
use proptest::prelude::*;

const CONFIG: &str = r#"{"stepWeight":40,"interval":"1m"}"#;
const HOLD: Next = Next::Hold(Waiting::Pods);
const MINUTE: u64 = 60_000;

fn decide(config: &str, situation: &Situation) -> Decision {
    strategy::decide::<Linear>(config, situation).unwrap()
}

fn error_of(config: &str) -> String {
    let checked = strategy::check_config::<Linear>(config);
    let decided = strategy::decide::<Linear>(config, &situation()).map(|_| ());
    match checked.and(decided) {
        Err(Error::InvalidConfig(message)) => message,
        other => panic!("expected an invalid configuration for {config}, got {other:?}"),
    }
}

fn at(step: u32, reached: bool) -> Situation {
    Situation { step, reached, ..situation() }
}

fn outline(decision: &Decision) -> (u32, u32, Next) {
    (decision.step, decision.weight, decision.next.clone())
}

#[test]
fn each_step_raises_the_weight_and_the_last_one_stops_at_the_maximum() {
    for (step, reached, expected) in [
        (0, false, (0, 40, HOLD)),
        (0, true, (0, 40, Next::Until(NOW + MINUTE))),
        (1, false, (1, 80, HOLD)),
        (2, false, (2, 100, HOLD)),
        (2, true, (2, 100, Next::Until(NOW + MINUTE))),
        (3, false, (3, 100, Next::Promote)),
        (3, true, (3, 100, Next::Promote)),
        (u32::MAX, true, (3, 100, Next::Promote)),
    ] {
        let decision = decide(CONFIG, &at(step, reached));
        assert_eq!(outline(&decision), expected, "step {step}, reached {reached}");
        assert_eq!(decision.steps, 3);
    }
}

#[test]
fn a_step_ends_once_its_weight_is_reached_and_the_interval_is_over() {
    let started = NOW - MINUTE;
    for (now, reached, expected) in [
        (started + MINUTE - 1, true, (0, 40, Next::Until(started + MINUTE))),
        (started + MINUTE, false, (0, 40, HOLD)),
        (started + MINUTE, true, (1, 80, HOLD)),
    ] {
        let asked = Situation { now, step_started_at: started, ..at(0, reached) };
        assert_eq!(outline(&decide(CONFIG, &asked)), expected);
    }
}

#[test]
fn after_the_last_interval_the_revision_is_promoted() {
    let asked = Situation { step_started_at: NOW - MINUTE, ..at(2, true) };
    let decision = decide(CONFIG, &asked);
    assert_eq!(outline(&decision), (3, 100, Next::Promote));
    assert_eq!(decision.canary, Scale::Weight(100));
}

#[test]
fn promoted_skips_the_interval_but_not_the_weight() {
    let waiting = decide(CONFIG, &Situation { promoted: true, ..at(0, false) });
    let reached = decide(CONFIG, &Situation { promoted: true, ..at(0, true) });
    assert_eq!(outline(&waiting), (0, 40, HOLD));
    assert_eq!(outline(&reached), (1, 80, HOLD));
}

#[test]
fn a_maximum_ends_the_ramp_early() {
    let config = r#"{"stepWeight":20,"interval":60,"maxWeight":50}"#;
    for (step, expected) in [(0, (0, 20, HOLD)), (1, (1, 40, HOLD)), (2, (2, 50, HOLD)), (3, (3, 100, Next::Promote))] {
        assert_eq!(outline(&decide(config, &at(step, false))), expected);
    }
}

#[test]
fn a_restore_lowers_the_weight_by_the_same_steps() {
    for (confirmed, weight) in [(100, 80), (80, 40), (79, 40), (41, 40), (40, 0), (1, 0), (0, 0)] {
        let asked = Situation { goal: Goal::Restore, weight: confirmed, ..at(1, false) };
        assert_eq!(outline(&decide(CONFIG, &asked)), (1, weight, HOLD), "{confirmed}");
    }
}

#[test]
fn bad_configuration_is_named_by_its_path() {
    for (config, start) in [
        (r#"{"interval":60}"#, "missing field `stepWeight`"),
        (r#"{"stepWeight":10}"#, "missing field `interval`"),
        (r#"{"stepWeight":"x","interval":60}"#, "stepWeight: "),
        (r#"{"stepWeight":0,"interval":60}"#, "stepWeight: must be at least 1"),
        (r#"{"stepWeight":10,"interval":"soon"}"#, "interval: "),
        (r#"{"stepWeight":10,"interval":60,"maxWeight":0}"#, "maxWeight: must be at least 1"),
        (r#"{"stepWeight":10,"interval":60,"maxWeight":5}"#, "stepWeight: 10 is above maxWeight 5"),
        (r#"{"stepWeight":10,"interval":60,"stepSize":5}"#, "stepSize: "),
        (r#"{"stepWeight":101,"interval":60}"#, "stepWeight: 101 is above the largest weight 100"),
        (r#"{"stepWeight":10,"interval":60,"maxWeight":101}"#, "maxWeight: 101 is above the largest weight 100"),
    ] {
        let message = error_of(config);
        assert!(message.starts_with(start), "{config}: {message}");
    }
}

#[test]
fn a_rollout_gets_each_weight_for_the_interval() {
    let course = Simulation::<Linear>::new(CONFIG).play();

    // Two new pods take 10 s each time; 80 % of four pods are all four.
    assert_eq!(course.weights(), [(0, 0), (10_000, 40), (70_000, 80), (120_000, 100)]);
    assert_eq!((course.end, course.took), (End::Promoted, 180_000));
}

#[test]
fn every_decision_has_a_reason() {
    for (asked, reason) in [
        (at(0, false), "step 1/3: moving the weight to 40 %"),
        (at(0, true), "step 1/3: keeping 40 %"),
        (at(3, false), "all 3 steps done: promoting"),
    ] {
        assert_eq!(decide(CONFIG, &asked).reason, reason);
    }
}

proptest! {
    #[test]
    fn walking_the_ramp_rises_to_the_top_and_promotes(step_weight in 1u32..=100, top in 1u32..=100) {
        let step_weight = step_weight.min(top);
        let config = format!(r#"{{"stepWeight":{step_weight},"interval":60,"maxWeight":{top}}}"#);

        let course = Simulation::<Linear>::new(config).pods_take(1).play();

        let weights: Vec<u32> = course.weights().into_iter().map(|(_, weight)| weight).collect();
        prop_assert_eq!(course.end, End::Promoted);
        prop_assert!(weights.is_sorted_by(|before, after| before < after), "{weights:?}");
        prop_assert!(weights.windows(2).all(|pair| pair[1] - pair[0] <= step_weight), "{weights:?}");
        prop_assert_eq!(weights.last(), Some(&top));
    }

    #[test]
    fn restoring_falls_to_nothing(step_weight in 1u32..=100, weight in 1u32..=100) {
        let config = format!(r#"{{"stepWeight":{step_weight},"interval":60}}"#);

        let weights = strategy::restore::<Linear>(&config, weight).unwrap();

        prop_assert_eq!(weights.last(), Some(&0));
    }
}
