//! The first call of work whose entry waits for what the call comes to.

use super::*;

impl Story {
    /// All that is not about the work of step 1, which is about to begin, is stored.
    fn settled() -> Self {
        let mut story = Self::begin().with(|status| status.current_step_index = Some(0));
        let revision = ("rollout.argoproj.io/revision".to_owned(), "2".to_owned());
        story.observed.rollout.metadata.annotations.get_or_insert_default().extend([revision]);
        story.look();
        story.with(|status| status.current_step_index = Some(1))
    }

    /// A look whose plan waits for the first call: nothing of it is stored.
    fn held(mut self) -> (Self, StepCall) {
        let mut looked = Self { observed: self.observed.clone(), now: self.now };
        let plan = looked.look();
        assert!(plan.first_call_may_wait, "{plan:?}");
        let call = plan.step_call.unwrap();
        self.observed.unstored_call = Some(call.clone());
        (self, call)
    }

    fn held_and_answered(self, outcome: StepOutcome) -> Self {
        let (mut story, StepCall { id, .. }) = self.held();
        story.observed.step_answers = vec![StepAnswer { id, outcome }];
        story
    }
}

#[test]
fn work_does_not_wait_while_something_is_to_be_done_after_its_entry() {
    let mut story = Story::settled();
    story.observed.rollout.metadata.annotations = None;

    let plan = story.look();

    assert!(plan.step_call.is_some() && !plan.first_call_may_wait);
}

fn told(plan: &Plan) -> Vec<&str> {
    let told = plan.events.iter().filter(|event| event.reason.as_str() == "StepPluginTransition");
    told.map(|event| event.message.as_str()).collect()
}

#[test]
fn what_the_first_call_comes_to_and_the_next_step_are_one_plan() {
    let mut story = Story::settled().held_and_answered(successful(&[7]));

    let plan = story.look();

    assert_eq!(story.outline(), ["1 Run Successful", "2 Run Running"]);
    assert_eq!((story.status().current_step_index, story.entries()[0].executions), (Some(2), Some(1)));
    assert_eq!(told(&plan)[0], "Step plugin \"team/gate\" of step 1: Run went to Successful: open");
    assert!(plan.step_answers_taken);
}

#[test]
fn an_answer_that_is_to_be_stored_does_not_wait_for_the_next_call() {
    let mut story = Story::settled().held_and_answered(successful(&[]));

    let plan = story.look();

    assert!(plan.step_call.is_some() && !plan.first_call_may_wait);
}

#[test]
fn work_that_failed_at_its_first_call_aborts_in_the_same_plan() {
    let mut story = Story::settled().held_and_answered(failed());

    story.look();

    assert_eq!((story.outline(), story.status().abort), (vec!["1 Run Failed".to_owned()], true));
}

#[test]
fn work_that_wants_to_wait_at_its_first_call_is_told_once() {
    let mut story = Story::settled().held_and_answered(waiting(40, &[7]));

    let plan = story.look();

    assert_eq!(told(&plan), ["Step plugin \"team/gate\" of step 1: Run went to Running: not yet"]);
    assert_eq!(plan.step_call, None);
}

#[test]
fn work_that_would_change_something_is_stored_and_called_again() {
    let mut story = Story::settled().held_and_answered(StepOutcome::NotStored);
    let first = story.observed.unstored_call.clone().unwrap();

    let plan = story.look();

    assert_eq!((story.outline(), plan.first_call_may_wait), (vec!["1 Run Running".to_owned()], false));
    assert_eq!(plan.step_call.as_ref().map(StepCall::identity), Some(first.identity()));
    assert!(plan.step_answers_taken);
}

#[test]
fn an_error_of_the_first_call_is_recorded_once_the_entry_is_stored() {
    let mut story = Story::settled().held_and_answered(errored(FailureClass::Trapped));
    let answers = story.observed.step_answers.clone();
    let plan = story.look();
    assert_eq!((story.outline(), plan.step_answers_taken), (vec!["1 Run Running".to_owned()], false));

    story.observed.step_answers = answers;
    story.look();

    assert_eq!(story.outline(), ["1 Run Error"]);
}

#[test]
fn work_that_is_noted_later_began_when_its_call_was_made() {
    let (story, call) = Story::settled().held();

    let mut late = story.after(2);
    let again = late.call().unwrap();

    assert_eq!(again.identity(), call.identity());
    assert_eq!(late.entries()[0].started_at, Some(kulta_api::Time(now())));
}

#[test]
fn an_answer_to_a_call_with_another_configuration_is_not_taken() {
    let mut story = Story::settled().held_and_answered(successful(&[]));
    story.observed.unstored_call.as_mut().unwrap().config = json!({});

    story.look();

    assert_eq!(story.outline(), ["1 Run Running"]);
}

#[test]
fn work_whose_entry_is_not_stored_has_changed_nothing_and_is_not_undone() {
    let (story, _) = Story::settled().held();

    let mut aborted = story.with(|status| status.abort = true);

    assert_eq!((aborted.call(), aborted.outline()), (None, Vec::<String>::new()));
}
