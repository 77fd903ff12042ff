//! The first call of work, whose entry is stored together with the answer.

use super::*;

impl Scenario {
    /// Step 1 is about to begin, and everything else is stored.
    fn before_first_call() -> Self {
        let mut scenario = Self::begin().with(|status| status.current_step_index = Some(0));
        let revision = ("rollout.argoproj.io/revision".to_owned(), "2".to_owned());
        scenario.observed.rollout.metadata.annotations.get_or_insert_default().extend([revision]);
        scenario.reconcile();
        scenario.with(|status| status.current_step_index = Some(1))
    }

    /// A reconciliation whose plan waits for the first call. Nothing of the plan is stored.
    fn with_first_call(mut self) -> (Self, StepCall) {
        let mut reconciled = Self { observed: self.observed.clone(), now: self.now };
        let plan = reconciled.reconcile();
        assert!(plan.first_call_may_wait, "{plan:?}");
        let call = plan.step_call.unwrap();
        self.observed.unstored_call = Some(call.clone());
        (self, call)
    }

    fn with_first_answer(self, outcome: StepOutcome) -> Self {
        let (mut scenario, StepCall { id, .. }) = self.with_first_call();
        scenario.observed.step_answers = vec![StepAnswer { id, outcome }];
        scenario
    }
}

#[test]
fn the_first_call_does_not_wait_if_something_is_written_after_the_entry() {
    let mut scenario = Scenario::before_first_call();
    scenario.observed.rollout.metadata.annotations = None;

    let plan = scenario.reconcile();

    assert!(plan.step_call.is_some() && !plan.first_call_may_wait);
}

fn emitted(plan: &Plan) -> Vec<&str> {
    let emitted = plan.events.iter().filter(|event| event.reason.as_str() == "StepPluginTransition");
    emitted.map(|event| event.message.as_str()).collect()
}

#[test]
fn the_answer_to_the_first_call_and_the_next_step_are_one_plan() {
    let mut scenario = Scenario::before_first_call().with_first_answer(successful(&[7]));

    let plan = scenario.reconcile();

    assert_eq!(scenario.outline(), ["1 Run Successful", "2 Run Running"]);
    assert_eq!((scenario.status().current_step_index, scenario.entries()[0].executions), (Some(2), Some(1)));
    assert_eq!(emitted(&plan)[0], "Step plugin \"team/gate\" of step 1: Run went to Successful: open");
    assert!(plan.step_answers_taken);
}

#[test]
fn an_answer_that_is_to_be_stored_does_not_wait_for_the_next_call() {
    let mut scenario = Scenario::before_first_call().with_first_answer(successful(&[]));

    let plan = scenario.reconcile();

    assert!(plan.step_call.is_some() && !plan.first_call_may_wait);
}

#[test]
fn work_that_failed_at_its_first_call_aborts_in_the_same_plan() {
    let mut scenario = Scenario::before_first_call().with_first_answer(failed());

    scenario.reconcile();

    assert_eq!((scenario.outline(), scenario.status().abort), (vec!["1 Run Failed".to_owned()], true));
}

#[test]
fn work_that_waits_at_its_first_call_is_emitted_once() {
    let mut scenario = Scenario::before_first_call().with_first_answer(waiting(40, &[7]));

    let plan = scenario.reconcile();

    assert_eq!(emitted(&plan), ["Step plugin \"team/gate\" of step 1: Run went to Running: not yet"]);
    assert_eq!(plan.step_call, None);
}

#[test]
fn work_that_would_change_something_is_stored_and_called_again() {
    let mut scenario = Scenario::before_first_call().with_first_answer(StepOutcome::NotStored);
    let first = scenario.observed.unstored_call.clone().unwrap();

    let plan = scenario.reconcile();

    assert_eq!((scenario.outline(), plan.first_call_may_wait), (vec!["1 Run Running".to_owned()], false));
    assert_eq!(plan.step_call.as_ref().map(StepCall::identity), Some(first.identity()));
    assert!(plan.step_answers_taken);
}

#[test]
fn an_error_of_the_first_call_is_recorded_once_the_entry_is_stored() {
    let mut scenario = Scenario::before_first_call().with_first_answer(errored(FailureClass::Trapped));
    let answers = scenario.observed.step_answers.clone();
    let plan = scenario.reconcile();
    assert_eq!((scenario.outline(), plan.step_answers_taken), (vec!["1 Run Running".to_owned()], false));

    scenario.observed.step_answers = answers;
    scenario.reconcile();

    assert_eq!(scenario.outline(), ["1 Run Error"]);
}

#[test]
fn work_that_is_stored_later_began_when_its_call_was_made() {
    let (scenario, call) = Scenario::before_first_call().with_first_call();

    let mut late = scenario.after(2);
    let again = late.call().unwrap();

    assert_eq!(again.identity(), call.identity());
    assert_eq!(late.entries()[0].started_at, Some(kulta_api::Time(now())));
}

#[test]
fn an_answer_to_a_call_with_another_configuration_is_ignored() {
    let mut scenario = Scenario::before_first_call().with_first_answer(successful(&[]));
    scenario.observed.unstored_call.as_mut().unwrap().config = json!({});

    scenario.reconcile();

    assert_eq!(scenario.outline(), ["1 Run Running"]);
}

#[test]
fn work_whose_entry_is_not_stored_has_changed_nothing_and_is_not_undone() {
    let (scenario, _) = Scenario::before_first_call().with_first_call();

    let mut aborted = scenario.with(|status| status.abort = true);

    assert_eq!((aborted.call(), aborted.outline()), (None, Vec::<String>::new()));
}
