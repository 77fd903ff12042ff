//! Verdicts, and what a run records: messages, events, patches, measurements.

use super::*;

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
