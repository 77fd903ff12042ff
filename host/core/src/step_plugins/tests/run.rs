//! Work that is done.

use super::*;

#[test]
fn work_is_noted_and_its_first_call_due_in_the_same_look() {
    let mut story = Story::begin();

    let call = story.call().unwrap();

    assert_eq!(what(&call), (1, Operation::Run, 0));
    assert_eq!((call.plugin.as_str(), &call.config), ("team/gate", &json!({ "url": "http://gate" })));
    assert_eq!(story.outline(), ["1 Run Running"]);
}

#[test]
fn a_call_is_due_until_its_answer_is_stored() {
    let mut story = Story::begin();
    let first = story.call();

    // The controller died in between, for one.
    assert_eq!(story.call(), first);
}

#[test]
fn an_answer_is_recorded_while_the_spec_is_invalid_and_no_further_work_begins() {
    let mut story = Story::begin();
    let id = story.call().unwrap().id;
    story.observed.step_answers = vec![StepAnswer { id, outcome: successful(&[]) }];
    story.observed.step_errors = vec![kulta_api::FieldError { path: "spec".into(), message: "bad".into() }];

    let plan = story.look();

    assert_eq!((story.outline(), plan.step_call), (vec!["1 Run Successful".to_owned()], None));
}

#[test]
fn work_that_is_done_leads_to_the_next_step_and_its_work() {
    let mut story = Story::begin().answered(successful(&[]));

    assert_eq!(story.outline(), ["1 Run Successful", "2 Run Running"]);
    assert_eq!(story.status().current_step_index, Some(2));
    assert_eq!(story.call().map(|call| what(&call)), Some((2, Operation::Run, 0)));
}

#[test]
fn work_that_waits_is_called_again_when_it_wants_with_what_it_remembers() {
    let mut story = Story::begin().answered(waiting(40, &[1, 2]));
    assert_eq!(story.look().step_call, None);

    let early = story.look().wake_up;
    let mut story = story.after(40);
    let call = story.call().unwrap();

    assert_eq!(early, Some(story.now));
    assert_eq!((what(&call), call.memory), ((1, Operation::Run, 1), vec![1, 2]));
    assert_eq!(story.entries()[0].message.as_deref(), Some("not yet"));
}

#[test]
fn work_is_left_alone_for_ten_seconds_at_least() {
    let story = Story::begin().answered(waiting(1, &[]));
    assert_eq!(story.entries()[0].backoff.as_deref(), Some("10s"));

    let mut early = story.after(9);
    assert_eq!(early.call(), None);
    assert!(early.after(1).call().is_some());
}

#[test]
fn the_backoff_is_the_time_that_the_plugin_asked_for_and_no_call_is_early() {
    let mut story = Story::begin();
    let id = story.call().unwrap().id;
    // It was asked 900 ms after a whole second, and its answer is seen 50 ms later.
    let until = now().checked_add(SignedDuration::from_millis(17_900)).unwrap();
    story.now = now().checked_add(SignedDuration::from_millis(950)).unwrap();
    let outcome = StepOutcome::Waiting { until, reason: "not yet".into(), memory: Vec::new() };
    story.observed.step_answers = vec![StepAnswer { id, outcome }];
    story.look();

    assert_eq!(story.entries()[0].backoff.as_deref(), Some("17s"));
    story.now = until.checked_sub(SignedDuration::from_millis(1)).unwrap();
    assert_eq!(story.call(), None);
    story.now = until.checked_add(SignedDuration::from_secs(1)).unwrap();
    assert!(story.call().is_some());
}

#[test]
fn work_runs_waits_runs_again_and_is_done() {
    let story = Story::begin().answered(waiting(10, &[7])).after(10).answered(successful(&[8]));

    let done = &story.entries()[0];
    assert_eq!(
        (done.executions, done.phase.as_deref(), done.message.as_deref()),
        (Some(2), Some("Successful"), Some("open"))
    );
    assert_eq!((done.finished_at.is_some(), done.backoff.clone()), (true, None));
    assert_eq!(done.status.as_ref().unwrap().0, json!({ "memory": "CA==" }));
}

#[test]
fn an_answer_that_makes_no_sense_is_asked_for_again_after_thirty_seconds() {
    let story = Story::begin().answered(errored(FailureClass::Trapped));
    assert_eq!(story.outline(), ["1 Run Error"]);

    let mut early = story.after(29);
    assert_eq!((early.call(), early.status().abort), (None, false));
    assert_eq!(early.after(1).call().map(|call| what(&call)), Some((1, Operation::Run, 1)));
}

#[test]
fn what_is_remembered_survives_an_answer_that_makes_no_sense() {
    let story = Story::begin().answered(waiting(10, &[7])).after(10).answered(errored(FailureClass::Trapped));

    assert_eq!(story.after(30).call().unwrap().memory, [7]);
}

#[test]
fn plugins_that_are_being_loaded_are_waited_for_without_a_word() {
    let mut story = Story::begin();
    let id = story.call().unwrap().id;
    story.observed.step_answers = vec![StepAnswer { id, outcome: errored(FailureClass::Loading) }];

    let plan = story.look();

    assert_eq!((plan.step_call, story.outline()), (None, vec!["1 Run Running".to_owned()]));
    assert!(plan.wake_up.is_some());
    assert!(story.call().is_some());
}

#[test]
fn a_disabled_step_is_passed_without_a_call() {
    let mut story = Story::begin();
    let canary = story.observed.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.steps[1].plugin.as_mut().unwrap().disabled = true;
    // What the status is about has these steps too.
    status(&mut story.observed).current_step_hash.clear();

    let plan = story.look();

    assert_eq!(
        (plan.step_call.map(|call| what(&call)), story.status().current_step_index),
        (Some((2, Operation::Run, 0)), Some(2))
    );
    assert_eq!((story.entries()[0].disabled, story.outline()[0].as_str()), (Some(true), "1 Run Successful"));
}

#[test]
fn a_rollout_that_is_paused_has_no_work_done() {
    let by_spec = |story: &mut Story| story.observed.rollout.spec.paused = Some(true);
    let by_pause = |story: &mut Story| {
        let pause = kulta_api::PauseCondition {
            reason: kulta_api::PauseReason::InconclusiveAnalysisRun,
            start_time: kulta_api::Time(now()),
        };
        status(&mut story.observed).pause_conditions = vec![pause];
    };
    let mut stopped = Story::begin().answered(waiting(10, &[])).after(10);
    by_spec(&mut stopped);
    let mut unsure = Story::begin().answered(waiting(10, &[])).after(10);
    by_pause(&mut unsure);

    // The background that paused it is gone: the look that sees it resumes.
    assert_eq!(stopped.call(), None);
    assert!(unsure.call().is_some());
}

#[test]
fn the_deadline_runs_while_work_is_waited_for() {
    let waits = Story::begin().answered(waiting(900, &[]));
    let events = |story: &mut Story| story.look().events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>();
    let mut early = waits.after(599);
    assert_eq!(events(&mut early), Vec::<&str>::new());

    assert_eq!(events(&mut early.after(1)), ["ProgressDeadlineExceeded"]);
}

#[test]
fn a_component_that_is_gone_stops_the_rollout_until_a_person_takes_the_one_that_is_served() {
    let key = "step/team/gate".to_owned();
    let mut story = Story::begin();
    story.observed.pins = [(key, "sha256:a".to_owned())].into();
    let mut story = story.answered(errored(FailureClass::DigestGone));
    story.observed.pins.values_mut().for_each(|pin| "sha256:b".clone_into(pin));
    let mut held = story.after(40);
    assert_eq!((held.call(), held.status().pause_conditions.len()), (None, 1));
    let reasons: Vec<_> = held.status().conditions.iter().map(|condition| condition.reason.as_str()).collect();
    assert!(reasons.contains(&"PluginDigestGone"), "{reasons:?}");

    let mut promoted = held.with(|status| status.pause_conditions.clear());

    assert_eq!(promoted.call().unwrap().pin.as_deref(), Some("sha256:b"));
}
