//! The end of runs that the rollout no longer waits for.

use super::*;

#[test]
fn a_completed_step_has_no_current_run_and_its_run_is_not_changed() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Successful", "");
    record_step(&mut observed, "2-1", "Running");

    let plan = decided(observed.clone(), &hold(2, 50));

    assert_eq!(after(&observed, &plan).canary.current_step_analysis_run_status, None);
    assert_eq!((terminated(&plan), created(&plan)), (vec![], vec![]));
}

#[test]
fn a_run_that_is_no_longer_wanted_is_terminated_and_emitted_as_cancelled() {
    let mut observed = analysed(2);
    run(&mut observed, "2-1", "Running", "");
    record_step(&mut observed, "2-1", "Running");

    let plan = decided(observed.clone(), &hold(2, 50));

    assert_eq!(terminated(&plan), [name(&observed, "2-1")]);
    let outbox = outbox(&observed, &plan);
    let end = outbox.iter().find(|entry| entry.kind == TransitionKind::AnalysisFinished).unwrap();
    assert_eq!(end.outcome.unwrap().as_str(), "cancel");
}

#[test]
fn a_run_that_was_terminated_before_is_not_terminated_again() {
    let mut observed = analysed(2);
    run(&mut observed, "2-1", "Running", "");
    let mut ending = AnalysisRun::clone(&observed.runs[0]);
    ending.spec.terminate = true;
    observed.runs[0] = Arc::new(ending);

    assert_eq!(terminated(&decided(observed, &hold(2, 50))), Vec::<&str>::new());
}

#[test]
fn an_abort_ends_the_runs() {
    let mut observed = with_background(2, "Running", "");
    status(&mut observed).abort = true;

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(terminated(&plan), [name(&observed, "2")]);
    assert_eq!(after(&observed, &plan).canary.current_background_analysis_run_status, None);
}

#[test]
fn a_retry_begins_with_fresh_runs() {
    let mut observed = with_background(0, "Failed", "slow");
    record_background(&mut observed, "2", "Failed");
    status(&mut observed).aborted_at = Some(kulta_api::Time(now()));

    let ask = asked(begin(observed.clone(), now()));
    assert_eq!(ask.situation.runs, []);
    let plan = decided(observed.clone(), &wants(0, 50, &[("background", 1)]));

    assert_eq!((created(&plan), is_aborted(&observed, &plan)), (vec![name(&observed, "2.1").as_str()], false));
}

#[test]
fn a_new_revision_ends_the_runs_of_the_one_before() {
    let mut observed = with_background(2, "Running", "");
    let old = name(&observed, "2");
    observed.rollout.metadata.generation = Some(2);
    observed.rollout.spec.template = kulta_api::PodTemplate(fixtures::template("web:3"));

    let plan = decided(observed.clone(), &hold(0, 50));

    assert_eq!(terminated(&plan), [old]);
    let kinds = kinds(&observed, &plan);
    let at = |kind| kinds.iter().position(|one| *one == kind).unwrap();
    assert!(at(TransitionKind::AnalysisFinished) < at(TransitionKind::Finished), "{kinds:?}");
}

#[test]
fn the_outcome_of_a_run_is_emitted_when_it_is_first_observed_together_with_a_new_revision() {
    let mut observed = with_background(2, "Successful", "");
    observed.rollout.metadata.generation = Some(2);
    observed.rollout.spec.template = kulta_api::PodTemplate(fixtures::template("web:3"));

    let plan = decided(observed.clone(), &hold(0, 50));

    let outbox = outbox(&observed, &plan);
    let ends: Vec<_> = outbox.iter().filter(|entry| entry.kind == TransitionKind::AnalysisFinished).collect();
    let outcomes: Vec<_> = ends.iter().map(|entry| (entry.hash.clone(), entry.outcome.unwrap().as_str())).collect();
    assert_eq!(outcomes, [(hash(&observed), "success")]);
}

#[test]
fn a_first_revision_is_not_analysed() {
    let mut observed = analysed(0);
    observed.rollout.status = None;
    observed.revisions.truncate(1);

    assert_eq!(created(&done(begin(observed, now()))), Vec::<&str>::new());
}

#[test]
fn a_promotion_ends_the_background_with_success() {
    let mut observed = with_background(4, "Running", "");
    observed.revisions = vec![
        Arc::new(crate::workload::Revision {
            replicas: 2,
            available_replicas: 2,
            created_replicas: 2,
            ..crate::workload::Revision::clone(&observed.revisions[0])
        }),
        observed.revisions[1].clone(),
    ];
    observed.routes = vec![crate::rollout::tests::support::route(100)];

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(terminated(&plan), [name(&observed, "2")]);
    let outbox = outbox(&observed, &plan);
    let end = outbox.iter().find(|entry| entry.kind == TransitionKind::AnalysisFinished).unwrap();
    let finished = outbox.iter().find(|entry| entry.kind == TransitionKind::Finished).unwrap();
    assert_eq!((end.outcome.unwrap().as_str(), end.seq < finished.seq), ("success", true));
}

#[test]
fn a_plugin_strategy_that_promotes_ends_the_background_with_success() {
    let mut observed = super::created::by_plugin(0);
    run(&mut observed, "2", "Running", "");
    record_background(&mut observed, "2", "Running");

    let plan = decided(observed.clone(), &Decision { next: Next::Promote, ..hold(2, 50) });

    let outbox = outbox(&observed, &plan);
    let end = outbox.iter().find(|entry| entry.kind == TransitionKind::AnalysisFinished).unwrap();
    assert_eq!(end.outcome.unwrap().as_str(), "success");
}

#[test]
fn a_roll_back_within_the_window_is_not_analysed() {
    let mut observed = analysed(4);
    observed.rollout.spec.rollback_window = Some(kulta_api::rollout::RollbackWindow { revisions: Some(3) });
    let older = crate::workload::Revision {
        created: jiff::Timestamp::from_second(1).unwrap(),
        ..crate::workload::Revision::clone(&observed.revisions[0])
    };
    observed.revisions[0] = Arc::new(older);

    assert_eq!(created(&done(begin(observed, now()))), Vec::<&str>::new());
}

#[test]
fn a_run_of_a_revision_that_no_longer_exists_is_ended_before_it_is_deleted() {
    for (phase, outcome) in [("Running", (1, 0)), ("Failed", (0, 1))] {
        let mut observed = analysed(2);
        run(&mut observed, "2", phase, "");
        let mut orphan = AnalysisRun::clone(&observed.runs[0]);
        orphan.metadata.labels = Some([("rollouts-pod-template-hash".to_owned(), "gone".to_owned())].into());
        observed.runs[0] = Arc::new(orphan);

        let plan = decided(observed, &hold(2, 50));

        assert_eq!((terminated(&plan).len(), deleted(&plan).len()), outcome, "{phase}");
    }
}

#[test]
fn ended_runs_beyond_the_limits_are_deleted_but_never_the_current_one() {
    let mut observed = with_background(2, "Successful", "");
    record_background(&mut observed, "2", "Successful");
    run(&mut observed, "2-0", "Successful", "");
    run(&mut observed, "2-1", "Failed", "");
    run(&mut observed, "2-1.1", "Running", "");
    observed.rollout.spec.analysis =
        serde_json::from_value(json!({ "successfulRunHistoryLimit": 0, "unsuccessfulRunHistoryLimit": 0 })).unwrap();

    let plan = decided(observed.clone(), &wants(2, 50, &[("background", 1)]));

    let mut gone = deleted(&plan);
    gone.sort_unstable();
    assert_eq!(gone, [name(&observed, "2-0"), name(&observed, "2-1")]);
}
