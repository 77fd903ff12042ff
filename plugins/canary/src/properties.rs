//! What holds for any steps in any situation.

use crate::{Pause, SetCanaryScale, Step, decide};
use kulta_plugin::testing::{NOW, situation};
use kulta_plugin::{Duration, Goal, Next, PauseCause, Situation};
use proptest::prelude::*;

fn any_step() -> impl Strategy<Value = Step> {
    let duration =
        || proptest::option::of(0u64..1_000).prop_map(|seconds| seconds.map(|s| Duration::from_seconds(s).unwrap()));
    prop_oneof![
        (0u32..=100).prop_map(|weight| Step { set_weight: Some(weight), ..Step::default() }),
        duration().prop_map(|duration| Step { pause: Some(Pause { duration }), ..Step::default() }),
        (proptest::option::of(0u32..50), proptest::option::of(0u32..=100), any::<bool>()).prop_map(
            |(replicas, weight, match_traffic_weight)| Step {
                set_canary_scale: Some(SetCanaryScale { replicas, weight, match_traffic_weight }),
                ..Step::default()
            }
        ),
    ]
}

fn any_situation() -> impl Strategy<Value = Situation> {
    let paused = proptest::option::of((0u64..2_000_000).prop_map(|ago| (PauseCause::Step, NOW - ago)));
    (any::<bool>(), any::<bool>(), 0u32..10, 0u32..=100, paused).prop_map(
        |(reached, promoted, step, weight, paused)| Situation {
            reached,
            promoted,
            step,
            weight,
            paused,
            ..situation()
        },
    )
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(any_step(), 0..8)
}

proptest! {
    #[test]
    fn forward_goes_at_most_one_step_ahead_and_never_back(steps in any_steps(), asked in any_situation()) {
        let decision = decide(&steps, &asked).unwrap();
        let from = asked.step.min(steps.len() as u32);
        prop_assert!(decision.step == from || decision.step == from + 1);
        prop_assert!(decision.weight <= asked.rollout.max_weight);
        prop_assert!(!decision.reason.is_empty() && decision.reason.len() < 200);
        prop_assert!(!decision.reason.contains('\n'));
    }

    #[test]
    fn what_is_not_reached_is_not_left_but_at_a_pause(steps in any_steps(), asked in any_situation()) {
        let asked = Situation { reached: false, ..asked };
        let at_pause = steps.get(asked.step as usize).is_some_and(|step| step.pause.is_some());
        let decision = decide(&steps, &asked).unwrap();
        prop_assert!(at_pause || decision.step == asked.step.min(steps.len() as u32));
    }

    #[test]
    fn a_promotion_is_asked_exactly_when_the_steps_are_done(steps in any_steps(), asked in any_situation()) {
        let decision = decide(&steps, &asked).unwrap();
        prop_assert_eq!(decision.next == Next::Promote, decision.step == steps.len() as u32);
    }

    #[test]
    fn the_end_of_a_pause_lies_ahead_on_a_whole_second(steps in any_steps(), asked in any_situation()) {
        if let Next::Pause(pause) = decide(&steps, &asked).unwrap().next {
            prop_assert!(pause.until.is_none_or(|until| until > asked.now && until % 1_000 == 0));
        }
    }

    #[test]
    fn promoting_every_step_walks_to_the_end(steps in any_steps()) {
        let mut asked = Situation { reached: true, promoted: true, ..situation() };
        for _ in 0..=steps.len() {
            asked.step = decide(&steps, &asked).unwrap().step;
        }
        prop_assert_eq!(decide(&steps, &asked).unwrap().next, Next::Promote);
    }

    #[test]
    fn restoring_falls_to_zero_within_as_many_answers_as_there_are_steps(steps in any_steps(), asked in any_situation()) {
        let mut asked = Situation { goal: Goal::Restore, ..asked };
        for _ in 0..=steps.len() {
            let weight = decide(&steps, &asked).unwrap().weight;
            prop_assert!(weight < asked.weight || asked.weight == 0);
            asked.weight = weight;
        }
        prop_assert_eq!(asked.weight, 0);
    }
}
