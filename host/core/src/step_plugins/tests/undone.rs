//! Work of an update that is aborted is undone.

use super::*;

fn abort(status: &mut RolloutStatus) {
    status.abort = true;
}

#[test]
fn work_that_failed_aborts_the_update_and_what_was_done_before_is_undone() {
    let mut scenario = Scenario::begin().answered(successful(&[7])).answered(failed());

    assert_eq!(
        (scenario.status().abort, scenario.status().kulta.as_ref().unwrap().failure),
        (true, Some(FailureKind::Gate))
    );
    let call = scenario.call().unwrap();
    assert_eq!((what(&call), call.memory), ((1, Operation::Abort, 0), vec![7]));
    assert_eq!(scenario.outline(), ["1 Run Successful", "2 Run Failed", "1 Abort Running"]);
}

#[test]
fn work_is_undone_in_reverse_order_one_after_the_other() {
    let under_way = Scenario::begin().answered(successful(&[1])).answered(waiting(40, &[2]));

    let mut scenario = under_way.with(abort);
    let first = scenario.call().unwrap();
    let mut scenario = scenario.answered(successful(&[]));
    let second = scenario.call().unwrap();
    let mut scenario = scenario.answered(failed());

    assert_eq!((what(&first), first.memory), ((2, Operation::Abort, 0), vec![2]));
    assert_eq!((what(&second), second.memory), ((1, Operation::Abort, 0), vec![1]));
    assert_eq!(scenario.call(), None);
    let outline = ["1 Run Successful", "2 Run Running", "2 Abort Successful", "1 Abort Failed"];
    assert_eq!(scenario.outline(), outline);
}

#[test]
fn undoing_gets_the_memory_of_work_that_was_in_progress_at_the_abort() {
    let mut scenario = Scenario::begin();
    let id = scenario.call().unwrap().id;
    let mut scenario = scenario.with(abort);
    scenario.observed.step_answers = vec![StepAnswer { id, outcome: successful(&[9]) }];

    assert_eq!(scenario.call().unwrap().memory, [9]);
}

#[test]
fn undoing_waits_for_the_call_in_progress_and_gets_its_memory() {
    let mut scenario = Scenario::begin();
    let id = scenario.call().unwrap().id;
    let mut scenario = scenario.with(abort);
    let early = scenario.call().unwrap();
    scenario.observed.step_answers = vec![StepAnswer { id, outcome: waiting(40, &[9]) }];

    let late = scenario.call().unwrap();

    // The controller makes one call at a time, so the earlier call is not made.
    assert_eq!((early.id, early.memory, late.memory), (late.id, Vec::new(), vec![9]));
}

#[test]
fn undoing_that_fails_delays_the_remaining_operations_only_until_the_deadline() {
    let scenario = Scenario::begin().answered(successful(&[])).answered(waiting(40, &[])).with(abort);
    let scenario = scenario.answered(waiting(9_000, &[]));

    let mut late = scenario.after(600);

    assert_eq!(late.call().map(|call| what(&call)), Some((1, Operation::Abort, 0)));
}

#[test]
fn a_disabled_step_has_nothing_to_undo() {
    let disabled = |status: &mut RolloutStatus| {
        status.canary.step_plugin_statuses = serde_json::from_value(json!([
            { "index": 1, "name": "team/gate", "operation": "Run", "phase": "Successful", "disabled": true }
        ]))
        .unwrap();
        abort(status);
    };

    assert_eq!(Scenario::begin().with(disabled).call(), None);
}

#[test]
fn an_update_that_is_retried_does_its_work_again_once_the_old_work_is_undone() {
    let mut aborted = Scenario::begin().answered(waiting(40, &[7])).with(abort);
    aborted.reconcile();

    let retried = aborted.with(|status| status.abort = false);
    let mut retried = retried.with(|status| status.current_step_index = Some(1));
    let first = retried.call().unwrap();
    let mut retried = retried.answered(successful(&[])).with(|status| status.current_step_index = Some(1));
    let second = retried.call().unwrap();

    assert_eq!((what(&first), what(&second)), ((1, Operation::Abort, 0), (1, Operation::Run, 0)));
    assert_eq!(second.memory, Vec::<u8>::new());
}
