use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::analysis::fixtures::{SERVED, Scenario, at, measured, metric};
use crate::analysis::{CallKind, Outcome, Verdict, check};

use AnalysisPhase::{Error, Failed, Inconclusive, Running, Successful};

fn measured_with(phase: AnalysisPhase, message: &str) -> Outcome {
    Outcome::Measured {
        value: "[1]".into(),
        phase,
        message: message.into(),
        metadata: BTreeMap::new(),
        memory: Vec::new(),
    }
}

fn judged(verdict: Verdict, settles: bool, reason: &str) -> Outcome {
    Outcome::Judged {
        verdict,
        settles,
        value: "1".into(),
        metadata: BTreeMap::new(),
        reason: reason.into(),
        memory: Vec::new(),
    }
}

fn waiting(until: i64) -> Outcome {
    Outcome::Waiting { until: at(until), metadata: BTreeMap::new(), memory: Vec::new() }
}

pub(super) fn one(fields: Value) -> Scenario {
    Scenario::new(json!({ "metrics": [metric("m", fields)] }))
}

/// S, F, I and E are measurements of that phase.
fn outcomes(letters: &str) -> Vec<Outcome> {
    letters.chars().map(|letter| measured(phase_of(letter))).collect()
}

pub(super) fn phase_of(letter: char) -> AnalysisPhase {
    match letter {
        'S' => Successful,
        'F' => Failed,
        'I' => Inconclusive,
        _ => Error,
    }
}

#[test]
fn the_phase_of_a_metric_follows_its_counters() {
    let every = |fields: Value| {
        let mut whole = json!({ "interval": "5s" });
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        whole
    };
    for (fields, letters, phase) in [
        (json!({}), "S", Successful),
        (json!({}), "F", Failed),
        (json!({}), "I", Inconclusive),
        (json!({}), "E", Running),
        (json!({}), "EEEE", Running),
        (json!({}), "EEEEE", Error),
        (json!({}), "EEEES", Successful),
        (json!({ "consecutiveErrorLimit": 0 }), "E", Error),
        (every(json!({ "count": 3 })), "SS", Running),
        (every(json!({ "count": 3 })), "SSS", Successful),
        (every(json!({ "count": 3 })), "SESES", Successful),
        (every(json!({ "count": 3, "failureLimit": 1 })), "FSS", Successful),
        (every(json!({ "count": 3, "failureLimit": 1 })), "FF", Failed),
        (every(json!({ "count": 3, "inconclusiveLimit": 1 })), "ISS", Successful),
        (every(json!({ "count": 3, "inconclusiveLimit": 1 })), "II", Inconclusive),
        (every(json!({})), "SSSSSSSSSSSSSSS", Running),
        (every(json!({ "consecutiveSuccessLimit": 2, "failureLimit": -1 })), "SFSFSS", Successful),
        (every(json!({ "consecutiveSuccessLimit": 2, "failureLimit": -1, "count": 4 })), "SFSF", Failed),
        (every(json!({ "consecutiveSuccessLimit": 2, "failureLimit": 2, "count": 4 })), "SFSF", Inconclusive),
        (every(json!({ "consecutiveSuccessLimit": 2, "failureLimit": 1, "count": 4 })), "FF", Failed),
    ] {
        let mut scenario = one(fields.clone());

        scenario.answer_all(&outcomes(letters));

        assert_eq!(scenario.phase(), phase, "{fields} {letters}");
    }
}

#[test]
fn of_several_exceeded_limits_the_error_limit_comes_first_and_then_the_inconclusive_one() {
    let fields = json!({ "interval": "5s", "failureLimit": 1, "inconclusiveLimit": 1, "consecutiveErrorLimit": 1 });
    for (counters, phase) in [
        (json!({ "failed": 2, "inconclusive": 2, "consecutiveError": 2 }), Error),
        (json!({ "failed": 2, "inconclusive": 2 }), Inconclusive),
        (json!({ "failed": 2, "consecutiveError": 2 }), Error),
        (json!({ "failed": 2 }), Failed),
    ] {
        let mut scenario = one(fields.clone());
        let mut result = json!({
            "name": "m", "phase": "Running",
            "measurements": [{ "phase": "Failed", "finishedAt": "1970-01-01T00:10:00Z" }],
        });
        result.as_object_mut().unwrap().extend(counters.as_object().unwrap().clone());
        scenario.run.status = serde_json::from_value(json!({ "phase": "Running", "metricResults": [result] })).unwrap();

        let assessed = assess(&scenario.run, &scenario.checked(), Vec::new(), at(700));

        assert_eq!(assessed.status.phase, Some(phase), "{counters}");
    }
}

#[test]
fn the_message_names_the_metric_the_exceeded_limit_and_the_last_message() {
    for (fields, outcome, message) in [
        (json!({}), measured_with(Failed, ""), "Metric \"m\" assessed Failed due to failed (1) > failureLimit (0)"),
        (
            json!({}),
            measured_with(Inconclusive, "odd"),
            "Metric \"m\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0): \"Error Message: odd\"",
        ),
        (
            json!({ "consecutiveErrorLimit": 0 }),
            Outcome::Errored { message: "no route".into() },
            "Metric \"m\" assessed Error due to consecutiveErrors (1) > consecutiveErrorLimit (0): \
             \"Error Message: no route\"",
        ),
        (
            json!({ "failureLimit": 3 }),
            judged(Verdict::Fail("error rate 5 % is above 1 %".into()), true, ""),
            "Metric \"m\" assessed Failed due to the analyzer's verdict: \"Error Message: error rate 5 % is above 1 %\"",
        ),
        (
            json!({ "consecutiveSuccessLimit": 1, "failureLimit": -1 }),
            measured_with(Failed, ""),
            "Metric \"m\" assessed Failed due to consecutiveSuccessLimit (1) not reached",
        ),
        (json!({}), measured_with(Successful, ""), ""),
    ] {
        let mut scenario = one(fields.clone());

        let assessed = scenario.answer(|_| outcome.clone());

        assert_eq!(assessed.status.message, message, "{fields}");
    }
}

#[test]
fn the_phase_of_the_run_is_that_of_the_worst_metric() {
    for (a, b, phase) in
        [(Successful, Successful, Successful), (Successful, Inconclusive, Inconclusive), (Failed, Inconclusive, Failed)]
    {
        let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({})), metric("b", json!({}))] }));

        scenario.answer(|call| measured(if call.metric == "a" { a } else { b }));

        assert_eq!(scenario.phase(), phase, "{a} {b}");
    }
}

#[test]
fn a_failing_metric_ends_the_others_in_the_same_assessment() {
    let mut scenario = Scenario::new(json!({ "metrics": [
        metric("a", json!({ "interval": "5s" })), metric("b", json!({})), metric("late", json!({ "initialDelay": "1h" })),
    ] }));

    let assessed = scenario.answer(|call| measured(if call.metric == "b" { Failed } else { Successful }));

    let phases: Vec<_> = assessed.status.metric_results.iter().map(|one| (one.name.as_str(), one.phase)).collect();
    assert_eq!(phases, [("a", Successful), ("b", Failed)]);
    assert_eq!((assessed.status.phase, assessed.wake_up), (Some(Failed), None));
    assert_eq!(json!(assessed.status.run_summary), json!({ "count": 3, "successful": 1, "failed": 1 }));
}

#[test]
fn a_waiting_measurement_is_cancelled_before_a_failing_metric_ends_the_run() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({})), metric("b", json!({}))] }));

    let first = scenario.answer(|call| if call.metric == "a" { waiting(9_000) } else { measured(Failed) });
    assert_eq!((first.status.phase, first.wake_up), (Some(Running), Some(at(1_000))));
    assert_eq!(scenario.due()[0].kind, CallKind::Terminate);
    let second = scenario.answer(|_| measured(Successful));

    assert_eq!(second.status.phase, Some(Failed));
    let cancelled = &second.status.metric_results[0];
    assert_eq!((cancelled.phase, cancelled.measurements[0].message.as_str()), (Successful, "Metric Terminated"));
}

#[test]
fn an_analyzer_that_answers_wait_to_terminate_has_ended() {
    let mut scenario = one(json!({}));
    scenario.answer(|_| waiting(9_000));
    scenario.run.spec.terminate = true;

    let assessed = scenario.answer(|_| waiting(9_000));

    assert_eq!(assessed.status.phase, Some(Successful));
    assert_eq!(assessed.status.metric_results[0].measurements[0].message, "Metric Terminated");
}

#[test]
fn a_terminated_run_is_successful_even_without_a_measurement() {
    let mut scenario = one(json!({ "initialDelay": "1h" }));
    scenario.answer(|_| measured(Successful));
    scenario.run.spec.terminate = true;

    let assessed = scenario.answer(|_| measured(Failed));

    assert_eq!((assessed.status.phase, assessed.status.message.as_str()), (Some(Successful), "Run Terminated"));
    assert_eq!(assessed.status.metric_results, []);
    assert_eq!(assessed.status.completed_at, Some(time::floor(at(1_000))));
}

#[test]
fn a_terminated_run_keeps_a_metric_that_had_failed_before() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({})), metric("b", json!({}))] }));
    scenario.answer(|call| if call.metric == "b" { waiting(9_000) } else { measured(Failed) });
    scenario.run.spec.terminate = true;

    let assessed = scenario.answer(|_| measured(Successful));

    assert_eq!(assessed.status.message, "Metric \"a\" assessed Failed due to failed (1) > failureLimit (0)");
}

/// argo-rollouts #4479: one metric fails late, another one has only errors and failures by then.
fn ended_by_another(letters: &str) -> Assessed {
    let flaky = json!({ "count": 5, "interval": "5s", "failureLimit": 2 });
    let bad = json!({ "initialDelay": "33s" });
    let mut scenario = Scenario::new(json!({ "metrics": [metric("flaky", flaky), metric("bad", bad)] }));
    let letters = RefCell::new(letters.chars().cycle());
    loop {
        let assessed = scenario.answer(|call| match call.metric.as_str() {
            "bad" => measured(Failed),
            _ => measured(letters.borrow_mut().next().map_or(Failed, phase_of)),
        });
        if assessed.status.is_completed() {
            return assessed;
        }
        scenario.now = assessed.wake_up.map_or(scenario.now, |time| time.as_second());
    }
}

#[test]
fn a_metric_that_never_succeeded_is_not_successful_when_another_one_ends_the_run() {
    for last in [Failed, Error, Inconclusive] {
        let flaky = json!({ "count": 9, "interval": "60s", "failureLimit": 2, "inconclusiveLimit": 9 });
        let bad = json!({ "interval": "5s", "count": 99, "failureLimit": 1 });
        let mut scenario = Scenario::new(json!({ "metrics": [metric("flaky", flaky), metric("bad", bad)] }));
        scenario.answer(|call| if call.metric == "bad" { measured(Failed) } else { measured_with(last, "v is 1") });
        scenario.now += 5;

        let assessed = scenario.answer(|_| measured(Failed));

        let flaky = &assessed.status.metric_results[0];
        assert_eq!(
            (flaky.phase, flaky.message.as_str()),
            (last, "Cut short when another metric ended the run: v is 1")
        );
        assert_eq!(assessed.status.phase, Some(Failed), "{last}");
        assert_eq!(assessed.status.message, "Metric \"bad\" assessed Failed due to failed (2) > failureLimit (1)");
    }
}

#[test]
fn the_reported_case_names_the_metric_that_failed() {
    let assessed = ended_by_another("EEEF");

    let flaky = &assessed.status.metric_results[0];
    assert_eq!((flaky.phase, flaky.error, flaky.failed), (Failed, 3, 1));
    assert_eq!(assessed.status.phase, Some(Failed));
    assert_eq!(assessed.status.message, "Metric \"bad\" assessed Failed due to failed (1) > failureLimit (0)");
}

#[test]
fn a_metric_that_has_succeeded_stays_successful_when_another_one_ends_the_run() {
    let assessed = ended_by_another("SF");

    assert_eq!(assessed.status.metric_results[0].phase, Successful);
    assert_eq!(assessed.status.phase, Some(Failed));
}

#[test]
fn a_dry_run_metric_does_not_affect_the_run_but_reports_its_effect() {
    let mut scenario = Scenario::new(json!({
        "metrics": [metric("dry", json!({})), metric("real", json!({ "interval": "5s", "count": 2 }))],
        "dryRun": [{ "metricName": "dry" }],
    }));

    let assessed = scenario.answer_all(&outcomes("F"));
    assert_eq!(assessed.status.phase, Some(Failed), "the real one failed as well");

    let mut scenario = Scenario { run: scenario.run, now: 1_000 };
    scenario.run.status = None;
    scenario.answer(|call| measured(if call.metric == "dry" { Failed } else { Successful }));
    scenario.now = 1_005;
    let assessed = scenario.answer(|_| measured(Successful));

    let dry = &assessed.status.metric_results[0];
    assert!(dry.dry_run);
    assert_eq!(dry.message, "Metric assessed Failed due to failed (1) > failureLimit (0)");
    assert_eq!((assessed.status.phase, assessed.status.message.as_str()), (Some(Successful), ""));
    assert_eq!(json!(assessed.status.dry_run_summary), json!({ "count": 1, "failed": 1 }));
    assert_eq!(json!(assessed.status.run_summary), json!({ "count": 1, "successful": 1 }));
}

#[test]
fn a_run_with_only_dry_run_metrics_is_successful() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("m", json!({}))], "dryRun": [{ "metricName": "*" }] }));

    assert_eq!(scenario.answer(|_| measured(Failed)).status.phase, Some(Successful));
}

#[test]
fn a_verdict_that_settles_ends_the_metric_whatever_the_count() {
    let fields = json!({ "interval": "5s", "count": 100, "failureLimit": 50 });
    for (verdict, settles, phase) in [
        (Verdict::Pass, true, Successful),
        (Verdict::Fail("bad".into()), true, Failed),
        (Verdict::Inconclusive("?".into()), true, Inconclusive),
        (Verdict::Pass, false, Running),
        (Verdict::Fail("bad".into()), false, Running),
    ] {
        let mut scenario = one(fields.clone());

        scenario.answer(|_| judged(verdict.clone(), settles, ""));

        assert_eq!(scenario.phase(), phase, "{verdict:?} {settles}");
    }
}

#[test]
fn a_verdict_that_does_not_settle_counts_as_a_measurement() {
    for (verdict, counters) in [
        (Verdict::Pass, (1, 0, 0)),
        (Verdict::Fail("bad".into()), (0, 1, 0)),
        (Verdict::Inconclusive("?".into()), (0, 0, 1)),
    ] {
        let mut scenario = one(json!({ "interval": "5s", "failureLimit": 9, "inconclusiveLimit": 9 }));

        let status = scenario.answer(|_| judged(verdict.clone(), false, "")).status;

        let result = &status.metric_results[0];
        assert_eq!((result.successful, result.failed, result.inconclusive), counters, "{verdict:?}");
    }
}

#[test]
fn the_reason_of_an_analyzer_is_the_message_of_its_measurement() {
    for (verdict, reason, message) in [
        (Verdict::Pass, "3 of 900 failed", "3 of 900 failed"),
        (Verdict::Fail("too many errors".into()), "", "too many errors"),
        (Verdict::Fail("too many errors".into()), "90 of 900 failed", "too many errors: 90 of 900 failed"),
        (Verdict::Inconclusive("no data".into()), "no data", "no data"),
    ] {
        let mut scenario = one(json!({}));

        let status = scenario.answer(|_| judged(verdict.clone(), false, reason)).status;

        assert_eq!(status.metric_results[0].measurements[0].message, message);
    }
}

#[test]
fn events_carry_argos_reasons_and_messages_and_names_of_their_own() {
    let mut scenario = Scenario::new(json!({ "metrics": [metric("a", json!({})), metric("b", json!({}))] }));
    let first = scenario.answer(|call| if call.metric == "a" { measured(Successful) } else { waiting(1_005) });
    scenario.now = 1_005;
    let second = scenario.answer(|_| measured(Failed));

    let events = |assessed: &Assessed| {
        let list = assessed.events.iter();
        list.map(|one| (one.name.clone(), one.kind, one.reason.as_str(), one.message.clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        events(&first),
        [(
            "0a1b2c3d.metric0.metricsuccessful".to_owned(),
            EventKind::Normal,
            "MetricSuccessful",
            "Metric 'a' Completed. Result: Successful".to_owned()
        )]
    );
    assert_eq!(
        events(&second),
        [
            (
                "0a1b2c3d.metric1.metricfailed".to_owned(),
                EventKind::Warning,
                "MetricFailed",
                "Metric 'b' Completed. Result: Failed".to_owned()
            ),
            (
                "0a1b2c3d.run.analysisrunfailed".to_owned(),
                EventKind::Warning,
                "AnalysisRunFailed",
                "Analysis Completed. Result: Failed".to_owned()
            ),
        ]
    );
}

#[test]
fn the_patch_contains_only_changes_and_there_is_none_without_changes() {
    let mut scenario = one(json!({ "interval": "5s" }));
    let first = scenario.answer(|_| measured(Successful));
    let again = assess(&scenario.run, &scenario.checked(), Vec::new(), at(1_002));

    assert_eq!(first.patch, Some(json!(first.status)));
    assert_eq!((again.patch, again.wake_up), (None, Some(at(1_005))));
}

#[test]
fn an_ended_run_is_not_changed() {
    let mut scenario = one(json!({}));
    let taken: Vec<_> = scenario.due().iter().map(|call| call.taken(measured(Failed))).collect();
    scenario.answer(|_| measured(Successful));

    let late = assess(&scenario.run, &scenario.checked(), taken, at(2_000));

    assert_eq!((late.patch, late.events, late.status.phase), (None, Vec::new(), Some(Successful)));
}

#[test]
fn the_retention_rule_limits_the_measurements_that_are_kept() {
    let mut scenario = Scenario::new(json!({
        "metrics": [metric("m", json!({ "interval": "5s" }))],
        "measurementRetention": [{ "metricName": "m", "limit": 2 }],
    }));

    let status = scenario.answer_all(&outcomes("SSSS")).status;

    assert_eq!((status.metric_results[0].measurements.len(), status.metric_results[0].count), (2, 4));
}

#[test]
fn metadata_of_a_waiting_measurement_is_stored_and_kept() {
    let mut scenario = one(json!({}));
    let metadata = BTreeMap::from([("job-name".to_owned(), "u.m.1".to_owned())]);
    scenario.answer(|_| Outcome::Waiting { until: at(1_001), metadata: metadata.clone(), memory: Vec::new() });
    let waiting = scenario.run.status.clone().unwrap().metric_results[0].measurements[0].metadata.clone();
    scenario.now = 1_001;

    scenario.answer(|_| measured(Error));

    let error = &scenario.run.status.unwrap().metric_results[0].measurements[0];
    assert_eq!((&waiting, &error.metadata), (&metadata, &metadata));
}

#[test]
fn times_are_those_of_the_measurement() {
    let mut scenario = one(json!({}));
    let calls = scenario.due();
    scenario.now = 1_003;
    let taken = calls.iter().map(|call| call.taken(measured(Successful))).collect();

    let status = assess(&scenario.run, &scenario.checked(), taken, at(scenario.now)).status;

    let measurement = &status.metric_results[0].measurements[0];
    let second = |time: &Option<kulta_api::Time>| time.as_ref().unwrap().0.as_second();
    assert_eq!(
        (second(&status.started_at), second(&measurement.started_at), second(&measurement.finished_at)),
        (1_000, 1_000, 1_003)
    );
}

#[test]
fn a_metric_that_the_spec_does_not_have_any_more_is_ignored() {
    let mut scenario = one(json!({ "interval": "5s" }));
    scenario.answer(|_| measured(Successful));
    scenario.run.spec.metrics = serde_json::from_value(json!([metric("other", json!({}))])).unwrap();

    let assessed = scenario.answer(|_| measured(Successful));

    assert_eq!(assessed.status.phase, Some(Successful));
    assert_eq!(json!(assessed.status.run_summary), json!({ "count": 1, "successful": 1 }));
}

#[test]
fn an_invalid_run_ends_in_an_error_that_names_the_field() {
    let scenario = one(json!({ "count": 2 }));
    let errors = check(&scenario.run, &BTreeMap::new(), &SERVED).unwrap_err();

    let assessed = invalid(&scenario.run, &errors, at(1_000));

    assert_eq!(assessed.status.phase, Some(Error));
    assert_eq!(
        assessed.status.message,
        "Analysis spec invalid: spec.metrics[0].count: 2 measurements need an interval"
    );
    assert_eq!(assessed.events[0].reason, RunEventReason::AnalysisRun(Error));
    assert_eq!(assessed.status.completed_at, Some(time::floor(at(1_000))));
}

#[test]
fn a_run_that_has_ended_does_not_become_invalid() {
    let mut scenario = one(json!({}));
    scenario.answer(|_| measured(Successful));

    assert_eq!(invalid(&scenario.run, &[], at(2_000)).patch, None);
}
