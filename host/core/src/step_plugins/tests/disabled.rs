//! Step plugins that an admin has disabled, and unknown step plugins.

use super::*;

fn disabled(mut scenario: Scenario) -> Scenario {
    scenario.observed.disabled_step_plugins.insert("team/gate".to_owned());
    scenario
}

#[test]
fn a_step_whose_plugin_is_disabled_is_skipped() {
    let mut scenario = disabled(Scenario::begin());

    let called = scenario.call().map(|call| call.plugin);

    assert_eq!(called.as_deref(), Some("team/mail"));
    assert_eq!((scenario.entries()[0].disabled, scenario.status().current_step_index), (Some(true), Some(2)));
}

#[test]
fn work_that_fails_again_and_again_is_skipped_once_its_plugin_is_disabled() {
    let mut scenario = disabled(Scenario::begin().answered(errored(FailureClass::Trapped)));
    scenario.reconcile();

    scenario.reconcile();

    assert_eq!(scenario.status().current_step_index, Some(2));
    assert_eq!(scenario.outline(), ["1 Run Successful", "2 Run Running"]);
}

#[test]
fn an_unknown_step_plugin_stops_the_rollout_at_its_step_and_is_reported_once() {
    let mut scenario = Scenario::begin();
    let mut emitted = Vec::new();
    for seconds in [0, 30] {
        scenario = scenario.after(seconds);
        let id = scenario.call().unwrap().id;
        scenario.observed.step_answers = vec![StepAnswer { id, outcome: errored(FailureClass::Unknown) }];
        emitted.extend(scenario.reconcile().events.into_iter().map(|event| event.reason.as_str()));
    }

    assert_eq!(emitted.iter().filter(|reason| **reason == "ReconciliationError").count(), 1, "{emitted:?}");
    assert_eq!((scenario.outline(), scenario.status().current_step_index), (vec!["1 Run Error".to_owned()], Some(1)));
}

#[test]
fn a_rollout_at_an_unknown_step_plugin_is_degraded_at_its_deadline() {
    let mut scenario = Scenario::begin().answered(errored(FailureClass::Unknown)).after(601);

    scenario.reconcile();

    assert_eq!(scenario.status().phase, Some(kulta_api::RolloutPhase::Degraded), "{}", scenario.status().message);
}
