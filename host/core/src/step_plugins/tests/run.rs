//! Work that runs to its end.

use super::*;

#[test]
fn work_is_recorded_and_its_first_call_is_due_in_the_same_reconciliation() {
    let mut scenario = Scenario::begin();

    let call = scenario.call().unwrap();

    assert_eq!(what(&call), (1, Operation::Run, 0));
    assert_eq!((call.plugin.as_str(), &call.config), ("team/gate", &json!({ "url": "http://gate" })));
    assert_eq!(scenario.outline(), ["1 Run Running"]);
}

#[test]
fn a_call_is_due_until_its_answer_is_stored() {
    let mut scenario = Scenario::begin();
    let first = scenario.call();

    // This happens, for example, when the controller dies in between.
    assert_eq!(scenario.call(), first);
}

#[test]
fn an_answer_is_recorded_while_the_spec_is_invalid_and_no_further_work_begins() {
    let mut scenario = Scenario::begin();
    let id = scenario.call().unwrap().id;
    scenario.observed.step_answers = vec![StepAnswer { id, outcome: successful(&[]) }];
    scenario.observed.step_errors = vec![kulta_api::FieldError { path: "spec".into(), message: "bad".into() }];

    let plan = scenario.reconcile();

    assert_eq!((scenario.outline(), plan.step_call), (vec!["1 Run Successful".to_owned()], None));
}

#[test]
fn work_that_is_done_leads_to_the_next_step_and_its_work() {
    let mut scenario = Scenario::begin().answered(successful(&[]));

    assert_eq!(scenario.outline(), ["1 Run Successful", "2 Run Running"]);
    assert_eq!(scenario.status().current_step_index, Some(2));
    assert_eq!(scenario.call().map(|call| what(&call)), Some((2, Operation::Run, 0)));
}

#[test]
fn work_that_waits_is_called_again_when_it_wants_with_what_it_remembers() {
    let mut scenario = Scenario::begin().answered(waiting(40, &[1, 2]));
    assert_eq!(scenario.reconcile().step_call, None);

    let early = scenario.reconcile().wake_up;
    let mut scenario = scenario.after(40);
    let call = scenario.call().unwrap();

    assert_eq!(early, Some(scenario.now));
    assert_eq!((what(&call), call.memory), ((1, Operation::Run, 1), vec![1, 2]));
    assert_eq!(scenario.entries()[0].message.as_deref(), Some("not yet"));
}

#[test]
fn work_is_not_called_again_for_at_least_ten_seconds() {
    let scenario = Scenario::begin().answered(waiting(1, &[]));
    assert_eq!(scenario.entries()[0].backoff.as_deref(), Some("10s"));

    let mut early = scenario.after(9);
    assert_eq!(early.call(), None);
    assert!(early.after(1).call().is_some());
}

#[test]
fn the_backoff_is_the_time_that_the_plugin_asked_for_and_no_call_is_early() {
    let mut scenario = Scenario::begin();
    let id = scenario.call().unwrap().id;
    // The call is made 900 ms after a whole second, and its answer is observed 50 ms later.
    let until = now().checked_add(SignedDuration::from_millis(17_900)).unwrap();
    scenario.now = now().checked_add(SignedDuration::from_millis(950)).unwrap();
    let outcome = StepOutcome::Waiting { until, reason: "not yet".into(), memory: Vec::new() };
    scenario.observed.step_answers = vec![StepAnswer { id, outcome }];
    scenario.reconcile();

    assert_eq!(scenario.entries()[0].backoff.as_deref(), Some("17s"));
    scenario.now = until.checked_sub(SignedDuration::from_millis(1)).unwrap();
    assert_eq!(scenario.call(), None);
    scenario.now = until.checked_add(SignedDuration::from_secs(1)).unwrap();
    assert!(scenario.call().is_some());
}

#[test]
fn work_runs_waits_runs_again_and_is_done() {
    let scenario = Scenario::begin().answered(waiting(10, &[7])).after(10).answered(successful(&[8]));

    let done = &scenario.entries()[0];
    assert_eq!(
        (done.executions, done.phase.as_deref(), done.message.as_deref()),
        (Some(2), Some("Successful"), Some("open"))
    );
    assert_eq!((done.finished_at.is_some(), done.backoff.clone()), (true, None));
    assert_eq!(done.status.as_ref().unwrap().0, json!({ "memory": "CA==" }));
}

#[test]
fn a_call_with_an_invalid_answer_is_repeated_after_thirty_seconds() {
    let scenario = Scenario::begin().answered(errored(FailureClass::Trapped));
    assert_eq!(scenario.outline(), ["1 Run Error"]);

    let mut early = scenario.after(29);
    assert_eq!((early.call(), early.status().abort), (None, false));
    assert_eq!(early.after(1).call().map(|call| what(&call)), Some((1, Operation::Run, 1)));
}

#[test]
fn memory_survives_an_invalid_answer() {
    let scenario = Scenario::begin().answered(waiting(10, &[7])).after(10).answered(errored(FailureClass::Trapped));

    assert_eq!(scenario.after(30).call().unwrap().memory, [7]);
}

#[test]
fn a_rollout_waits_for_plugins_that_are_being_loaded_without_a_condition() {
    let mut scenario = Scenario::begin();
    let id = scenario.call().unwrap().id;
    scenario.observed.step_answers = vec![StepAnswer { id, outcome: errored(FailureClass::Loading) }];

    let plan = scenario.reconcile();

    assert_eq!((plan.step_call, scenario.outline()), (None, vec!["1 Run Running".to_owned()]));
    assert!(plan.wake_up.is_some());
    assert!(scenario.call().is_some());
}

#[test]
fn a_disabled_step_is_passed_without_a_call() {
    let mut scenario = Scenario::begin();
    let canary = scenario.observed.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.steps[1].plugin.as_mut().unwrap().disabled = true;
    // The status is about a revision with these steps.
    status(&mut scenario.observed).current_step_hash.clear();

    let plan = scenario.reconcile();

    assert_eq!(
        (plan.step_call.map(|call| what(&call)), scenario.status().current_step_index),
        (Some((2, Operation::Run, 0)), Some(2))
    );
    assert_eq!((scenario.entries()[0].disabled, scenario.outline()[0].as_str()), (Some(true), "1 Run Successful"));
}

#[test]
fn a_rollout_that_is_paused_has_no_work_done() {
    let by_spec = |scenario: &mut Scenario| scenario.observed.rollout.spec.paused = Some(true);
    let by_pause = |scenario: &mut Scenario| {
        let pause = kulta_api::PauseCondition {
            reason: kulta_api::PauseReason::InconclusiveAnalysisRun,
            start_time: kulta_api::Time(now()),
        };
        status(&mut scenario.observed).pause_conditions = vec![pause];
    };
    let mut stopped = Scenario::begin().answered(waiting(10, &[])).after(10);
    by_spec(&mut stopped);
    let mut unsure = Scenario::begin().answered(waiting(10, &[])).after(10);
    by_pause(&mut unsure);

    // The background analysis that paused the rollout no longer exists, so this reconciliation resumes it.
    assert_eq!(stopped.call(), None);
    assert!(unsure.call().is_some());
}

#[test]
fn the_deadline_runs_while_work_is_waited_for() {
    let waits = Scenario::begin().answered(waiting(900, &[]));
    let events = |scenario: &mut Scenario| {
        scenario.reconcile().events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>()
    };
    let mut early = waits.after(599);
    assert_eq!(events(&mut early), Vec::<&str>::new());

    assert_eq!(events(&mut early.after(1)), ["ProgressDeadlineExceeded"]);
}

#[test]
fn a_component_that_can_no_longer_be_loaded_stops_the_rollout_until_a_user_pins_the_served_one() {
    let key = "step/team/gate".to_owned();
    let mut scenario = Scenario::begin();
    scenario.observed.pins = [(key, "sha256:a".to_owned())].into();
    let mut scenario = scenario.answered(errored(FailureClass::DigestGone));
    scenario.observed.pins.values_mut().for_each(|pin| "sha256:b".clone_into(pin));
    let mut held = scenario.after(40);
    assert_eq!((held.call(), held.status().pause_conditions.len()), (None, 1));
    let reasons: Vec<_> = held.status().conditions.iter().map(|condition| condition.reason.as_str()).collect();
    assert!(reasons.contains(&"PluginDigestGone"), "{reasons:?}");

    let mut promoted = held.with(|status| status.pause_conditions.clear());

    assert_eq!(promoted.call().unwrap().pin.as_deref(), Some("sha256:b"));
}
