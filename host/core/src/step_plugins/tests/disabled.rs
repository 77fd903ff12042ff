//! Step plugins that an admin has disabled, and those that nobody serves.

use super::*;

fn disabled(mut story: Story) -> Story {
    story.observed.disabled_step_plugins.insert("team/gate".to_owned());
    story
}

#[test]
fn a_step_whose_plugin_is_disabled_is_skipped() {
    let mut story = disabled(Story::begin());

    let called = story.call().map(|call| call.plugin);

    assert_eq!(called.as_deref(), Some("team/mail"));
    assert_eq!((story.entries()[0].disabled, story.status().current_step_index), (Some(true), Some(2)));
}

#[test]
fn work_that_fails_again_and_again_is_skipped_once_its_plugin_is_disabled() {
    let mut story = disabled(Story::begin().answered(errored(FailureClass::Trapped)));
    story.look();

    story.look();

    assert_eq!(story.status().current_step_index, Some(2));
    assert_eq!(story.outline(), ["1 Run Successful", "2 Run Running"]);
}

#[test]
fn an_unknown_step_plugin_stops_the_rollout_at_its_step_and_is_told_once() {
    let mut story = Story::begin();
    let mut told = Vec::new();
    for seconds in [0, 30] {
        story = story.after(seconds);
        let id = story.call().unwrap().id;
        story.observed.step_answers = vec![StepAnswer { id, outcome: errored(FailureClass::Unknown) }];
        told.extend(story.look().events.into_iter().map(|event| event.reason.as_str()));
    }

    assert_eq!(told.iter().filter(|reason| **reason == "ReconciliationError").count(), 1, "{told:?}");
    assert_eq!((story.outline(), story.status().current_step_index), (vec!["1 Run Error".to_owned()], Some(1)));
}

#[test]
fn a_rollout_at_an_unknown_step_plugin_is_degraded_at_its_deadline() {
    let mut story = Story::begin().answered(errored(FailureClass::Unknown)).after(601);

    story.look();

    assert_eq!(story.status().phase, Some(kulta_api::RolloutPhase::Degraded), "{}", story.status().message);
}
