//! Properties of any steps in any situation.

use crate::{Analysis, Background, Config, Pause, SetCanaryScale, Step, decide};
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::strategy::situation;
use kulta_plugin::{Duration, Goal, Next, PauseCause, Run, RunPhase, Situation, Verdict};
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
        Just(Step { analysis: Some(Analysis {}), ..Step::default() }),
    ]
}

fn any_phase() -> impl Strategy<Value = RunPhase> {
    prop_oneof![
        Just(RunPhase::Running),
        Just(RunPhase::Judged(Verdict::Pass)),
        Just(RunPhase::Judged(Verdict::Fail("bad".into()))),
        Just(RunPhase::Judged(Verdict::Inconclusive("odd".into()))),
        Just(RunPhase::FailedToRun("down".into())),
    ]
}

/// Runs of the background analysis and of any step.
fn any_runs() -> impl Strategy<Value = Vec<Run>> {
    let name = prop_oneof![Just("background".to_owned()), (0u32..8).prop_map(|step| format!("steps/{step}/analysis"))];
    let run =
        (name, 1u32..5, any_phase()).prop_map(|(name, attempt, phase)| Run { name, attempt, phase, started_at: NOW });
    proptest::collection::vec(run, 0..4)
}

fn any_situation() -> impl Strategy<Value = Situation> {
    let paused = proptest::option::of((0u64..2_000_000).prop_map(|ago| (PauseCause::Step, NOW - ago)));
    (any::<bool>(), any::<bool>(), 0u32..10, 0u32..=100, paused, any_runs()).prop_map(
        |(reached, promoted, step, weight, paused, runs)| Situation {
            reached,
            promoted,
            step,
            weight,
            paused,
            runs,
            ..situation()
        },
    )
}

fn any_config() -> impl Strategy<Value = Config> {
    let background = proptest::option::of(proptest::option::of(0u32..8))
        .prop_map(|background| background.map(|starting_step| Background { starting_step }));
    (proptest::collection::vec(any_step(), 0..8), background).prop_map(|(steps, analysis)| Config { steps, analysis })
}

/// All wanted runs have passed.
fn all_passed(config: &Config) -> Vec<Run> {
    let names = (0..config.steps.len()).map(|step| format!("steps/{step}/analysis")).chain(["background".to_owned()]);
    names.map(|name| Run { name, attempt: 1, phase: RunPhase::Judged(Verdict::Pass), started_at: NOW }).collect()
}

proptest! {
    #[test]
    fn forward_goes_at_most_one_step_ahead_and_never_back(config in any_config(), asked in any_situation()) {
        let decision = decide(&config, &asked).unwrap();
        let from = asked.step.min(config.steps.len() as u32);
        prop_assert!(decision.step == from || decision.step == from + 1);
        prop_assert!(decision.weight <= asked.rollout.max_weight);
        prop_assert!(!decision.reason.is_empty() && decision.reason.len() < 200);
        prop_assert!(!decision.reason.contains('\n'));
    }

    #[test]
    fn what_is_not_reached_is_not_left_but_at_a_pause_or_an_analysis(config in any_config(), asked in any_situation()) {
        let asked = Situation { reached: false, ..asked };
        let at = config.steps.get(asked.step as usize);
        let in_time = at.is_some_and(|step| step.pause.is_some() || step.analysis.is_some());
        let decision = decide(&config, &asked).unwrap();
        prop_assert!(in_time || decision.step == asked.step.min(config.steps.len() as u32));
    }

    #[test]
    fn a_promotion_is_asked_exactly_when_the_steps_are_done(config in any_config(), asked in any_situation()) {
        let asked = Situation { runs: all_passed(&config), ..asked };
        let decision = decide(&config, &asked).unwrap();
        prop_assert_eq!(decision.next == Next::Promote, decision.step == config.steps.len() as u32);
    }

    #[test]
    fn a_failed_background_is_never_passed_over(config in any_config(), asked in any_situation()) {
        let config = Config { analysis: Some(Background::default()), ..config };
        let failed = Run { phase: RunPhase::Judged(Verdict::Fail("bad".into())), ..all_passed(&config).pop().unwrap() };
        let asked = Situation { runs: vec![failed], ..asked };
        prop_assert!(matches!(decide(&config, &asked).unwrap().next, Next::Abort(_)));
    }

    #[test]
    fn no_run_is_asked_for_at_a_lower_attempt_than_it_has(config in any_config(), asked in any_situation()) {
        for wanted in decide(&config, &asked).unwrap().runs {
            let run = asked.runs.iter().find(|run| run.name == wanted.name);
            prop_assert!(run.is_none_or(|run| wanted.attempt >= run.attempt));
        }
    }

    #[test]
    fn the_end_of_a_pause_lies_ahead_on_a_whole_second(config in any_config(), asked in any_situation()) {
        if let Next::Pause(pause) = decide(&config, &asked).unwrap().next {
            prop_assert!(pause.until.is_none_or(|until| until > asked.now && until % 1_000 == 0));
        }
    }

    #[test]
    fn promoting_every_step_walks_to_the_end(config in any_config()) {
        let runs = all_passed(&config);
        let mut asked = Situation { reached: true, promoted: true, runs, ..situation() };
        for _ in 0..=config.steps.len() {
            asked.step = decide(&config, &asked).unwrap().step;
        }
        prop_assert_eq!(decide(&config, &asked).unwrap().next, Next::Promote);
    }

    #[test]
    fn restoring_falls_to_zero_within_as_many_answers_as_there_are_steps(config in any_config(), asked in any_situation()) {
        let mut asked = Situation { goal: Goal::Restore, ..asked };
        for _ in 0..=config.steps.len() {
            let weight = decide(&config, &asked).unwrap().weight;
            prop_assert!(weight < asked.weight || asked.weight == 0);
            asked.weight = weight;
        }
        prop_assert_eq!(asked.weight, 0);
    }
}
