use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::analysis::fixtures::{Scenario, at, measured, metric};
use crate::analysis::{MEMORY_KEY, Outcome};

use AnalysisPhase::{Error, Failed, Successful};

fn waiting(until: i64) -> Outcome {
    Outcome::Waiting { until: at(until), metadata: BTreeMap::new(), memory: vec![1] }
}

fn errored() -> Outcome {
    Outcome::Errored { message: "no route".into() }
}

#[test]
fn a_run_that_has_not_started_measures_every_metric_without_a_delay() {
    let scenario = Scenario::new(json!({ "metrics": [
        metric("a", json!({})), metric("b", json!({ "initialDelay": "30s" })), metric("c", json!({ "interval": "5s" })),
    ] }));

    let due = due(&scenario.run, &scenario.checked(), at(1_000));

    let calls: Vec<_> =
        due.calls.iter().map(|call| (call.metric.as_str(), call.number, call.attempt, call.last)).collect();
    assert_eq!(calls, [("a", 1, 1, true), ("c", 1, 1, false)]);
    assert_eq!((due.run_started_at, due.wake_up), (at(1_000), Some(at(1_030))));
}

#[test]
fn an_initial_delay_runs_from_the_start_of_the_run() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({ "initialDelay": "30s" }))] }));
    let first = scenario.answer(|_| measured(Successful));

    assert_eq!(first.wake_up, Some(at(1_030)));
    for (now, due) in [(1_029, 0), (1_030, 1)] {
        scenario.now = now;
        assert_eq!(scenario.due().len(), due, "{now}");
    }
}

#[test]
fn the_interval_runs_from_the_end_of_the_last_measurement() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({ "interval": "20s", "count": 2 }))] }));
    assert_eq!(scenario.answer(|_| measured(Successful)).wake_up, Some(at(1_020)));

    scenario.now = 1_019;
    assert_eq!(scenario.due(), []);
    scenario.now = 1_020;
    let calls = scenario.due();

    assert_eq!((calls[0].number, calls[0].attempt, calls[0].last), (2, 2, true));
}

#[test]
fn an_error_is_retried_after_ten_seconds_under_its_number() {
    for every in [json!({}), json!({ "interval": "1h", "count": 3 })] {
        let mut scenario = Scenario::new(json!({ "metrics": [metric("a", every.clone())] }));

        assert_eq!(scenario.answer(|_| errored()).wake_up, Some(at(1_010)), "{every}");

        scenario.now = 1_010;
        let calls = scenario.due();
        assert_eq!((calls[0].kind, calls[0].number, calls[0].attempt), (CallKind::Measure, 1, 2), "{every}");
    }
}

#[test]
fn a_waiting_measurement_is_resumed_at_its_time_with_its_memory() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({}))] }));
    assert_eq!(scenario.answer(|_| waiting(1_040)).wake_up, Some(at(1_040)));

    scenario.now = 1_039;
    assert_eq!(scenario.due(), []);
    scenario.now = 1_041;

    let expected = Call {
        metric: "a".into(),
        kind: CallKind::Resume,
        number: 1,
        attempt: 1,
        last: true,
        memory: Ok(vec![1]),
        started_at: at(1_000),
    };
    assert_eq!(scenario.due(), [expected]);
}

#[test]
fn an_analyzer_that_asks_to_be_called_at_once_waits_a_second() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({}))] }));

    assert_eq!(scenario.answer(|_| waiting(5)).wake_up, Some(at(1_001)));
}

#[test]
fn a_terminated_run_cancels_waiting_measurements_at_once_and_starts_none() {
    let mut scenario = Scenario::new(json!({ "metrics": [
        metric("a", json!({})), metric("b", json!({ "initialDelay": "1h" })), metric("c", json!({ "interval": "1m" })),
    ] }));
    scenario.answer(|call| if call.metric == "a" { waiting(9_999) } else { measured(Successful) });
    scenario.run.spec.terminate = true;
    scenario.now = 8_000;

    let calls = scenario.due();

    assert_eq!(
        calls.iter().map(|call| (call.metric.as_str(), call.kind)).collect::<Vec<_>>(),
        [("a", CallKind::Terminate)]
    );
}

#[test]
fn a_metric_that_has_ended_is_not_measured_again() {
    let mut scenario =
        Scenario::new(json!({ "metrics": [metric("a", json!({})), metric("b", json!({ "interval": "5s" }))] }));
    scenario.answer(|_| measured(Successful));
    scenario.now = 2_000;

    assert_eq!(scenario.names(), ["b"]);
}

#[test]
fn a_run_that_has_ended_measures_nothing() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({}))] }));
    scenario.answer(|_| measured(Failed));

    let due = due(&scenario.run, &scenario.checked(), at(9_000));

    assert_eq!((due.calls, due.wake_up), (Vec::new(), None));
}

#[test]
fn memory_is_passed_from_one_measurement_to_the_next_and_stored_once() {
    let remember = |byte: u8| Outcome::Judged {
        verdict: crate::analysis::Verdict::Pass,
        settles: false,
        value: "1".into(),
        metadata: [("e-value".to_owned(), byte.to_string()), (MEMORY_KEY.to_owned(), "forged".to_owned())].into(),
        reason: String::new(),
        memory: vec![byte],
    };
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({ "interval": "5s" }))] }));
    scenario.answer(|_| remember(1));
    scenario.now = 1_005;
    scenario.answer(|_| remember(2));
    scenario.now = 1_010;

    assert_eq!(scenario.due()[0].memory, Ok(vec![2]));
    let stored: Vec<_> =
        scenario.run.status.unwrap().metric_results[0].measurements.iter().map(|one| json!(one.metadata)).collect();
    assert_eq!(stored, [json!({ "e-value": "1" }), json!({ "e-value": "2", MEMORY_KEY: "Ag==" })]);
}

#[test]
fn an_error_keeps_the_stored_memory() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({}))] }));
    scenario.answer(|_| waiting(1_010));
    scenario.now = 1_010;
    scenario.answer(|_| errored());
    scenario.now = 1_020;

    assert_eq!(scenario.due()[0].memory, Ok(vec![1]));
}

#[test]
fn memory_that_another_writer_has_changed_is_unreadable() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({}))] }));
    scenario.answer(|_| waiting(1_010));
    let last = &mut scenario.run.status.as_mut().unwrap().metric_results[0].measurements[0];
    last.metadata.insert(MEMORY_KEY.to_owned(), "?".to_owned());
    scenario.now = 1_010;

    assert_eq!(scenario.due()[0].memory, Err(UnreadableMemory));
}

#[test]
fn a_run_of_the_argo_controller_is_continued() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({ "interval": "1m", "count": 5 }))] }));
    scenario.run.status = serde_json::from_value(json!({
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

    let due = due(&scenario.run, &scenario.checked(), at(1_000));

    let call = &due.calls[0];
    assert_eq!((call.number, call.attempt, call.last, due.run_started_at), (3, 4, false, at(600)));
    assert_eq!(call.memory, Ok(Vec::new()));
}

#[test]
fn calling_due_twice_gives_the_same_calls() {
    let mut scenario =
        Scenario::new(json!({ "metrics": [metric("a", json!({ "interval": "5s" })), metric("b", json!({}))] }));
    scenario.answer(|call| if call.metric == "a" { measured(Error) } else { waiting(1_003) });
    scenario.now = 1_010;

    assert_eq!(scenario.due(), scenario.due());
}

#[test]
fn an_interval_of_less_than_a_second_is_one_second() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({ "interval": "250ms", "count": 9 }))] }));

    let first = scenario.answer(|_| measured(Successful));

    assert_eq!(first.wake_up, Some(at(1_001)));
}
