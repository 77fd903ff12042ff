//! Work that ends because the rollout continues without it.

use super::*;

fn promote(status: &mut RolloutStatus) {
    status.current_step_index = Some(2);
}

#[test]
fn work_that_a_user_skips_is_ended_before_the_next_begins() {
    let mut scenario = Scenario::begin().answered(waiting(40, &[7])).with(promote);

    let call = scenario.call().unwrap();

    assert_eq!((what(&call), call.memory), ((1, Operation::Terminate, 0), vec![7]));
    assert_eq!(scenario.outline(), ["1 Run Running", "1 Terminate Running", "2 Run Running"]);
}

#[test]
fn once_the_work_is_ended_the_next_is_done() {
    let mut scenario = Scenario::begin().answered(waiting(40, &[])).with(promote).answered(successful(&[]));

    assert_eq!(scenario.outline(), ["1 Run Running", "1 Terminate Successful", "2 Run Running"]);
    assert_eq!(scenario.call().map(|call| what(&call)), Some((2, Operation::Run, 0)));
}

#[test]
fn work_that_cannot_be_ended_is_given_up_at_the_deadline() {
    let scenario = Scenario::begin().answered(waiting(40, &[])).with(promote).answered(errored(FailureClass::Trapped));
    let mut early = scenario.after(30);
    assert_eq!(early.call().map(|call| what(&call)), Some((1, Operation::Terminate, 1)));

    let mut late = early.after(570);
    let call = late.call().unwrap();

    assert_eq!((what(&call), late.outline()[1].as_str()), ((2, Operation::Run, 0), "1 Terminate Error"));
    assert_eq!(late.entries()[1].message.as_deref(), Some("given up after 600 s: boom"));
}

#[test]
fn a_full_promotion_ends_the_work_that_is_under_way() {
    let mut scenario = Scenario::begin().answered(waiting(40, &[])).with(|status| status.promote_full = true);

    assert_eq!(scenario.call().map(|call| what(&call)), Some((1, Operation::Terminate, 0)));
}

#[test]
fn a_user_who_skips_the_last_step_ends_its_work() {
    let mut scenario = Scenario::begin().answered(waiting(40, &[])).with(|status| status.current_step_index = Some(4));

    assert_eq!(scenario.call().map(|call| what(&call)), Some((1, Operation::Terminate, 0)));
}

/// The user updates the pod template again.
fn supersede(mut scenario: Scenario) -> Scenario {
    let template = crate::fixtures::template("web:2");
    scenario.observed.rollout.metadata.generation = Some(2);
    scenario.observed.rollout.spec.template = kulta_api::PodTemplate(template);
    scenario
}

#[test]
fn work_of_a_superseded_revision_is_ended() {
    let mut scenario = supersede(Scenario::begin().answered(successful(&[])).answered(waiting(40, &[7])));

    let call = scenario.call().unwrap();

    assert_eq!((what(&call), call.memory), ((2, Operation::Terminate, 0), vec![7]));
    assert_eq!(scenario.outline(), ["2 Terminate Running"]);
}

#[test]
fn work_that_the_spec_no_longer_has_cannot_be_ended() {
    let mut scenario = supersede(Scenario::begin().answered(waiting(40, &[])));
    scenario.observed.rollout.spec.strategy.canary.as_mut().unwrap().steps.remove(1);

    assert_eq!((scenario.call(), scenario.outline()), (None, vec!["1 Terminate Error".to_owned()]));
}

#[test]
fn an_answer_that_is_no_longer_needed_is_dropped() {
    let mut scenario = Scenario::begin();
    let id = scenario.call().unwrap().id;
    let mut scenario = supersede(scenario);
    scenario.observed.step_answers = vec![StepAnswer { id: CallId { execution: 7, ..id }, outcome: successful(&[]) }];

    assert_eq!(scenario.call().map(|call| what(&call)), Some((1, Operation::Terminate, 0)));
}

#[test]
fn work_at_a_step_to_which_a_user_returns_is_done_again() {
    let ended = Scenario::begin().answered(waiting(40, &[7])).with(promote).answered(successful(&[]));

    let mut scenario = ended.with(|status| status.current_step_index = Some(1));

    // The work of the step that the user left is ended first.
    assert_eq!(scenario.call().map(|call| what(&call)), Some((2, Operation::Terminate, 0)));
    assert_eq!(scenario.outline(), ["2 Run Running", "2 Terminate Running", "1 Run Running"]);
}
