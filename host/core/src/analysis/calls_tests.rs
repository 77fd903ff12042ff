use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::analysis::fixtures::{Story, at, measured, metric};
use crate::analysis::{MEMORY_KEY, Outcome};

use AnalysisPhase::{Error, Failed, Successful};

fn waiting(until: i64) -> Outcome {
    Outcome::Waiting { until: at(until), metadata: BTreeMap::new(), memory: vec![1] }
}

fn errored() -> Outcome {
    Outcome::Errored { message: "no route".into() }
}

#[test]
fn a_run_that_has_not_begun_measures_every_metric_that_need_not_wait() {
    let story = Story::new(json!({ "metrics": [
        metric("a", json!({})), metric("b", json!({ "initialDelay": "30s" })), metric("c", json!({ "interval": "5s" })),
    ] }));

    let due = due(&story.run, &story.checked(), at(1_000));

    let calls: Vec<_> =
        due.calls.iter().map(|call| (call.metric.as_str(), call.number, call.attempt, call.last)).collect();
    assert_eq!(calls, [("a", 1, 1, true), ("c", 1, 1, false)]);
    assert_eq!((due.run_started_at, due.wake_up), (at(1_000), Some(at(1_030))));
}

#[test]
fn an_initial_delay_runs_from_the_start_of_the_run() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({ "initialDelay": "30s" }))] }));
    let first = story.answer(|_| measured(Successful));

    assert_eq!(first.wake_up, Some(at(1_030)));
    for (now, due) in [(1_029, 0), (1_030, 1)] {
        story.now = now;
        assert_eq!(story.due().len(), due, "{now}");
    }
}

#[test]
fn the_interval_runs_from_the_end_of_the_last_measurement() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({ "interval": "20s", "count": 2 }))] }));
    assert_eq!(story.answer(|_| measured(Successful)).wake_up, Some(at(1_020)));

    story.now = 1_019;
    assert_eq!(story.due(), []);
    story.now = 1_020;
    let calls = story.due();

    assert_eq!((calls[0].number, calls[0].attempt, calls[0].last), (2, 2, true));
}

#[test]
fn an_error_is_retried_after_ten_seconds_under_its_number() {
    for every in [json!({}), json!({ "interval": "1h", "count": 3 })] {
        let mut story = Story::new(json!({ "metrics": [metric("a", every.clone())] }));

        assert_eq!(story.answer(|_| errored()).wake_up, Some(at(1_010)), "{every}");

        story.now = 1_010;
        let calls = story.due();
        assert_eq!((calls[0].kind, calls[0].number, calls[0].attempt), (CallKind::Measure, 1, 2), "{every}");
    }
}

#[test]
fn a_measurement_that_waits_is_resumed_at_its_time_with_its_memory() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({}))] }));
    assert_eq!(story.answer(|_| waiting(1_040)).wake_up, Some(at(1_040)));

    story.now = 1_039;
    assert_eq!(story.due(), []);
    story.now = 1_041;

    let expected = Call {
        metric: "a".into(),
        kind: CallKind::Resume,
        number: 1,
        attempt: 1,
        last: true,
        memory: Ok(vec![1]),
        started_at: at(1_000),
    };
    assert_eq!(story.due(), [expected]);
}

#[test]
fn an_analyzer_that_wants_to_be_asked_at_once_waits_a_second() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({}))] }));

    assert_eq!(story.answer(|_| waiting(5)).wake_up, Some(at(1_001)));
}

#[test]
fn a_terminated_run_cancels_at_once_what_waits_and_measures_nothing() {
    let mut story = Story::new(json!({ "metrics": [
        metric("a", json!({})), metric("b", json!({ "initialDelay": "1h" })), metric("c", json!({ "interval": "1m" })),
    ] }));
    story.answer(|call| if call.metric == "a" { waiting(9_999) } else { measured(Successful) });
    story.run.spec.terminate = true;
    story.now = 8_000;

    let calls = story.due();

    assert_eq!(
        calls.iter().map(|call| (call.metric.as_str(), call.kind)).collect::<Vec<_>>(),
        [("a", CallKind::Terminate)]
    );
}

#[test]
fn a_metric_that_has_ended_is_not_measured_again() {
    let mut story =
        Story::new(json!({ "metrics": [metric("a", json!({})), metric("b", json!({ "interval": "5s" }))] }));
    story.answer(|_| measured(Successful));
    story.now = 2_000;

    assert_eq!(story.names(), ["b"]);
}

#[test]
fn a_run_that_has_ended_measures_nothing() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({}))] }));
    story.answer(|_| measured(Failed));

    let due = due(&story.run, &story.checked(), at(9_000));

    assert_eq!((due.calls, due.wake_up), (Vec::new(), None));
}

#[test]
fn memory_goes_from_one_measurement_to_the_next_and_is_kept_once() {
    let remember = |byte: u8| Outcome::Judged {
        verdict: crate::analysis::Verdict::Pass,
        settles: false,
        value: "1".into(),
        metadata: [("e-value".to_owned(), byte.to_string()), (MEMORY_KEY.to_owned(), "forged".to_owned())].into(),
        reason: String::new(),
        memory: vec![byte],
    };
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({ "interval": "5s" }))] }));
    story.answer(|_| remember(1));
    story.now = 1_005;
    story.answer(|_| remember(2));
    story.now = 1_010;

    assert_eq!(story.due()[0].memory, Ok(vec![2]));
    let stored: Vec<_> =
        story.run.status.unwrap().metric_results[0].measurements.iter().map(|one| json!(one.metadata)).collect();
    assert_eq!(stored, [json!({ "e-value": "1" }), json!({ "e-value": "2", MEMORY_KEY: "Ag==" })]);
}

#[test]
fn an_error_keeps_the_memory_that_was() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({}))] }));
    story.answer(|_| waiting(1_010));
    story.now = 1_010;
    story.answer(|_| errored());
    story.now = 1_020;

    assert_eq!(story.due()[0].memory, Ok(vec![1]));
}

#[test]
fn memory_that_somebody_changed_is_said_to_be_unreadable() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({}))] }));
    story.answer(|_| waiting(1_010));
    let last = &mut story.run.status.as_mut().unwrap().metric_results[0].measurements[0];
    last.metadata.insert(MEMORY_KEY.to_owned(), "?".to_owned());
    story.now = 1_010;

    assert_eq!(story.due()[0].memory, Err(UnreadableMemory));
}

#[test]
fn a_run_of_argos_controller_is_taken_over_where_it_stands() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({ "interval": "1m", "count": 5 }))] }));
    story.run.status = serde_json::from_value(json!({
        "phase": "Running", "startedAt": "1970-01-01T00:10:00Z", "runSummary": { "count": 1 }, "dryRunSummary": {},
        "metricResults": [{
            "name": "a", "phase": "Running", "count": 2, "successful": 2, "error": 1, "consecutiveSuccess": 2,
            "measurements": [
                { "phase": "Error", "finishedAt": "1970-01-01T00:11:00Z" },
                { "phase": "Successful", "finishedAt": "1970-01-01T00:15:00Z", "value": "[1]" },
            ],
        }],
    }))
    .unwrap();

    let due = due(&story.run, &story.checked(), at(1_000));

    let call = &due.calls[0];
    assert_eq!((call.number, call.attempt, call.last, due.run_started_at), (3, 4, false, at(600)));
    assert_eq!(call.memory, Ok(Vec::new()));
}

#[test]
fn asking_twice_says_the_same() {
    let mut story =
        Story::new(json!({ "metrics": [metric("a", json!({ "interval": "5s" })), metric("b", json!({}))] }));
    story.answer(|call| if call.metric == "a" { measured(Error) } else { waiting(1_003) });
    story.now = 1_010;

    assert_eq!(story.due(), story.due());
}

#[test]
fn an_interval_of_less_than_a_second_is_one_second() {
    let mut story = Story::new(json!({ "metrics": [metric("a", json!({ "interval": "250ms", "count": 9 }))] }));

    let first = story.answer(|_| measured(Successful));

    assert_eq!(first.wake_up, Some(at(1_001)));
}
