//! Work of an update that is aborted.

use super::*;

fn abort(status: &mut RolloutStatus) {
    status.abort = true;
}

#[test]
fn work_that_failed_aborts_the_update_and_what_was_done_before_is_undone() {
    let mut story = Story::begin().answered(successful(&[7])).answered(failed());

    assert_eq!((story.status().abort, story.status().kulta.as_ref().unwrap().failure), (true, Some(FailureKind::Gate)));
    let call = story.call().unwrap();
    assert_eq!((what(&call), call.memory), ((1, Operation::Abort, 0), vec![7]));
    assert_eq!(story.outline(), ["1 Run Successful", "2 Run Failed", "1 Abort Running"]);
}

#[test]
fn work_is_undone_in_reverse_order_one_after_the_other() {
    let under_way = Story::begin().answered(successful(&[1])).answered(waiting(40, &[2]));

    let mut story = under_way.with(abort);
    let first = story.call().unwrap();
    let mut story = story.answered(successful(&[]));
    let second = story.call().unwrap();
    let mut story = story.answered(failed());

    assert_eq!((what(&first), first.memory), ((2, Operation::Abort, 0), vec![2]));
    assert_eq!((what(&second), second.memory), ((1, Operation::Abort, 0), vec![1]));
    assert_eq!(story.call(), None);
    let outline = ["1 Run Successful", "2 Run Running", "2 Abort Successful", "1 Abort Failed"];
    assert_eq!(story.outline(), outline);
}

#[test]
fn undoing_knows_what_came_of_work_that_was_under_way_at_the_abort() {
    let mut story = Story::begin();
    let id = story.call().unwrap().id;
    let mut story = story.with(abort);
    story.observed.step_answers = vec![StepAnswer { id, outcome: successful(&[9]) }];

    assert_eq!(story.call().unwrap().memory, [9]);
}

#[test]
fn undoing_waits_for_the_call_that_was_under_way_and_knows_what_came_of_it() {
    let mut story = Story::begin();
    let id = story.call().unwrap().id;
    let mut story = story.with(abort);
    let early = story.call().unwrap();
    story.observed.step_answers = vec![StepAnswer { id, outcome: waiting(40, &[9]) }];

    let late = story.call().unwrap();

    // The controller makes one call at a time: the early one is not made.
    assert_eq!((early.id, early.memory, late.memory), (late.id, Vec::new(), vec![9]));
}

#[test]
fn undoing_that_cannot_be_done_keeps_the_rest_only_until_the_deadline() {
    let story = Story::begin().answered(successful(&[])).answered(waiting(40, &[])).with(abort);
    let story = story.answered(waiting(9_000, &[]));

    let mut late = story.after(600);

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

    assert_eq!(Story::begin().with(disabled).call(), None);
}

#[test]
fn an_update_that_is_tried_again_does_its_work_anew_once_the_old_is_undone() {
    let mut aborted = Story::begin().answered(waiting(40, &[7])).with(abort);
    aborted.look();

    let retried = aborted.with(|status| status.abort = false);
    let mut retried = retried.with(|status| status.current_step_index = Some(1));
    let first = retried.call().unwrap();
    let mut retried = retried.answered(successful(&[])).with(|status| status.current_step_index = Some(1));
    let second = retried.call().unwrap();

    assert_eq!((what(&first), what(&second)), ((1, Operation::Abort, 0), (1, Operation::Run, 0)));
    assert_eq!(second.memory, Vec::<u8>::new());
}
