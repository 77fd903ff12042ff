//! The phases of metrics and of the run: counters and limits, and metrics that end each other.

use super::*;

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
