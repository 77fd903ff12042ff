//! Reports about runs: Kubernetes events, the outbox, the status.

use super::*;

#[test]
fn a_new_phase_is_recorded_and_emitted_once_as_in_argo() {
    let observed = with_background(0, "Running", "");
    let mut observed = observed;
    record_background(&mut observed, "2", "");

    let plan = decided(observed.clone(), &wants(0, 50, &[("background", 1)]));

    let event = plan.events.iter().find(|event| event.reason.as_str() == "AnalysisRunRunning").unwrap();
    assert_eq!(
        event.message,
        format!("Background Analysis Run '{}' Status New: 'Running' Previous: ''", name(&observed, "2"))
    );
    let again = decided(stored(observed, &plan), &wants(0, 50, &[("background", 1)]));
    assert!(!events(&again).contains(&"AnalysisRunRunning"), "{again:?}");
}

#[test]
fn events_of_two_runs_have_two_names() {
    let mut observed = with_background(1, "Running", "");
    record_background(&mut observed, "2", "");
    run(&mut observed, "2-1", "Running", "");
    record_step(&mut observed, "2-1", "");

    let plan = decided(observed, &wants(1, 50, &[("background", 1), (STEP, 1)]));

    let mut names: Vec<_> = plan.events.iter().map(|event| &event.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), plan.events.len());
}

#[test]
fn the_start_of_a_run_is_emitted() {
    let observed = analysed(1);

    let plan = decided(observed.clone(), &wants(1, 50, &[(STEP, 1)]));

    let outbox = outbox(&observed, &plan);
    let entry = outbox.iter().find(|entry| entry.kind == TransitionKind::AnalysisStarted).unwrap();
    assert_eq!((entry.run.as_deref(), entry.step), (Some("2-1"), Some(1)));
}

#[test]
fn the_outcome_of_each_metric_is_emitted_before_that_of_the_run() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Successful", "");
    record_step(&mut observed, "2-1", "Running");

    let plan = decided(observed.clone(), &hold(2, 50));

    let outbox = outbox(&observed, &plan);
    let ends: Vec<_> = outbox
        .iter()
        .filter(|entry| entry.run.is_some())
        .map(|entry| (entry.kind, entry.metric.as_deref(), entry.outcome.unwrap().as_str()))
        .collect();
    assert_eq!(
        ends,
        [
            (TransitionKind::MetricFinished, Some("rate"), "success"),
            (TransitionKind::AnalysisFinished, None, "success")
        ]
    );
}

#[test]
fn a_failed_step_aborts_and_its_reason_and_cause_are_kept() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Failed", "9 % of requests fail");
    record_step(&mut observed, "2-1", "Running");
    let reason = "Step-based analysis phase error/failed: 9 % of requests fail";
    let next = Next::Abort { kind: FailureKind::Analysis, reason: reason.into() };

    let plan = decided(observed.clone(), &Decision { next, ..wants(1, 50, &[(STEP, 1)]) });

    let status = after(&observed, &plan);
    let kulta = status.kulta.clone().unwrap();
    let end = kulta.outbox.iter().find(|entry| entry.kind == TransitionKind::AnalysisFinished).unwrap();
    assert_eq!(status.message, format!("RolloutAborted: Rollout aborted update to revision 2: {reason}"));
    assert_eq!(
        (kulta.failure, kulta.failure_reason.as_deref(), kulta.failure_cause),
        (Some(FailureKind::Analysis), Some("9 % of requests fail"), Some(end.seq))
    );
}

#[test]
fn the_end_of_a_run_is_emitted_once_whatever_happens_to_it_later() {
    let mut observed = with_background(2, "Successful", "");
    record_background(&mut observed, "2", "Inconclusive");

    let plan = decided(observed.clone(), &wants(2, 50, &[("background", 1)]));

    assert!(!kinds(&observed, &plan).contains(&TransitionKind::AnalysisFinished), "{plan:?}");
}

#[test]
fn a_run_that_a_user_terminated_was_cancelled() {
    let mut observed = with_background(2, "Successful", "");
    let mut ended = AnalysisRun::clone(&observed.runs[0]);
    ended.spec.terminate = true;
    observed.runs[0] = Arc::new(ended);

    let plan = decided(observed.clone(), &wants(2, 50, &[("background", 1)]));

    let outbox = outbox(&observed, &plan);
    let end = outbox.iter().find(|entry| entry.kind == TransitionKind::AnalysisFinished).unwrap();
    assert_eq!(end.outcome.unwrap().as_str(), "cancel");
}

#[test]
fn an_update_that_ends_for_another_reason_reports_that_reason() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Failed", "9 % of requests fail");
    record_step(&mut observed, "2-1", "Running");
    let next = Next::Abort { kind: FailureKind::Gate, reason: "the gate is shut".into() };

    let plan = decided(observed.clone(), &Decision { next, ..wants(1, 50, &[(STEP, 1)]) });

    assert_eq!(after(&observed, &plan).kulta.unwrap().failure_reason.as_deref(), Some("the gate is shut"));
}

#[test]
fn an_abort_begins_no_run() {
    let observed = analysed(1);
    let next = Next::Abort { kind: FailureKind::Gate, reason: "the gate is shut".into() };

    let plan = decided(observed.clone(), &Decision { next, ..wants(1, 50, &[("background", 1), (STEP, 1)]) });

    assert!(!kinds(&observed, &plan).contains(&TransitionKind::AnalysisStarted), "{plan:?}");
}

#[test]
fn the_outcome_of_a_failed_run_stays_in_the_status_of_an_aborted_update() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Failed", "slow");
    record_step(&mut observed, "2-1", "Running");
    let next = Next::Abort { kind: FailureKind::Analysis, reason: "slow".into() };

    let plan = decided(observed.clone(), &Decision { next, ..wants(1, 50, &[(STEP, 1)]) });

    let record = after(&observed, &plan).canary.current_step_analysis_run_status.unwrap();
    assert_eq!((record.status.as_str(), record.message.as_deref()), ("Failed", Some("slow")));
}

#[test]
fn the_end_of_a_failed_update_says_why_and_names_its_cause() {
    let mut observed = analysed(0);
    observed.routes = vec![crate::rollout::tests::support::route(0)];
    let revision = hash(&observed);
    let status = status(&mut observed);
    status.abort = true;
    status.aborted_at = Some(kulta_api::Time(now()));
    status.kulta = Some(kulta_api::KultaStatus {
        sequence: 9,
        exposed: true,
        restoring: Some(revision),
        failure: Some(FailureKind::Analysis),
        failure_reason: Some("9 % of requests fail".into()),
        failure_cause: Some(7),
        ..Default::default()
    });

    let plan = done(begin(observed.clone(), now()));

    let outbox = outbox(&observed, &plan);
    let find = |kind| outbox.iter().find(|entry| entry.kind == kind).unwrap();
    let (back, finished) = (find(TransitionKind::ServiceRolledBack), find(TransitionKind::Finished));
    assert_eq!((back.cause, finished.cause), (Some(7), Some(7)));
    assert_eq!(finished.why.as_deref(), Some("9 % of requests fail"));
}

#[test]
fn an_analysis_step_is_named_as_argo_names_it() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Successful", "");
    record_step(&mut observed, "2-1", "Successful");

    let plan = decided(observed, &hold(2, 50));

    let passed = plan.events.iter().find(|event| event.reason.as_str() == "RolloutStepCompleted").unwrap();
    assert_eq!(passed.message, "Rollout step 2/4 completed (analysis)");
}
