//! Which runs are created, and how they are reported to the strategy.

use super::*;

#[test]
fn a_wanted_run_is_recorded_and_created_under_argos_name() {
    let observed = analysed(1);

    let plan = decided(observed.clone(), &wants(1, 50, &[("background", 1), (STEP, 1)]));

    let canary = after(&observed, &plan).canary;
    let recorded = |record: Option<kulta_api::foreign_status::AnalysisRunSummary>| record.map(|record| record.name);
    assert_eq!(recorded(canary.current_step_analysis_run_status), Some(name(&observed, "2-1")));
    assert_eq!(recorded(canary.current_background_analysis_run_status), Some(name(&observed, "2")));
    assert_eq!(created(&plan), [name(&observed, "2-1"), name(&observed, "2")]);
}

#[test]
fn a_created_run_has_the_spec_of_its_templates() {
    let observed = analysed(1);

    let plan = decided(observed, &wants(1, 50, &[(STEP, 1)]));

    let body = plan.writes.iter().find_map(|write| match &write.action {
        Action::CreateAnalysisRun { body, .. } => Some(body.clone()),
        _ => None,
    });
    let body = body.unwrap();
    assert_eq!(
        (&body["spec"]["metrics"][0]["name"], &body["metadata"]["labels"]["step-index"]),
        (&json!("rate"), &json!("1"))
    );
}

#[test]
fn a_recorded_run_that_was_not_created_is_created_under_its_name() {
    let mut observed = analysed(1);
    record_step(&mut observed, "2-1", "");

    let plan = decided(observed.clone(), &wants(1, 50, &[(STEP, 1)]));

    assert_eq!(created(&plan), [name(&observed, "2-1")]);
}

#[test]
fn an_existing_run_is_not_created_again() {
    let mut observed = analysed(1);
    run(&mut observed, "2-1", "Running", "");
    record_step(&mut observed, "2-1", "");

    let plan = decided(observed, &wants(1, 50, &[(STEP, 1)]));

    assert_eq!(created(&plan), Vec::<&str>::new());
}

#[test]
fn a_run_that_a_user_deleted_is_created_again_unless_it_had_ended() {
    for (phase, again) in [("Running", 1), ("Successful", 0), ("Inconclusive", 0)] {
        let mut observed = analysed(1);
        record_step(&mut observed, "2-1", phase);
        let pause = Next::Pause { cause: PauseCause::Analysis, until: None };

        let plan = decided(observed, &Decision { next: pause, ..wants(1, 50, &[(STEP, 1)]) });

        assert_eq!(created(&plan).len(), again, "{phase}");
    }
}

#[test]
fn a_name_that_another_owner_has_taken_is_not_used() {
    let mut observed = analysed(1);
    record_step(&mut observed, "2-1", "");
    observed.taken_run_names.insert(name(&observed, "2-1"));

    let plan = decided(observed.clone(), &wants(1, 50, &[(STEP, 1)]));

    assert_eq!(created(&plan), [name(&observed, "2-1.1")]);
}

#[test]
fn nothing_is_measured_before_the_revision_exists() {
    let mut observed = analysed(0);
    observed.revisions.remove(0);

    let plan = decided(observed, &wants(0, 0, &[("background", 1)]));

    assert_eq!(created(&plan), Vec::<&str>::new());
}

#[test]
fn the_outcomes_of_runs_are_reported_to_the_strategy() {
    for (phase, expected) in [
        ("", RunPhase::Running),
        ("Pending", RunPhase::Running),
        ("Running", RunPhase::Running),
        ("Successful", RunPhase::Judged(Verdict::Pass)),
        ("Failed", RunPhase::Judged(Verdict::Fail("because".into()))),
        ("Inconclusive", RunPhase::Judged(Verdict::Inconclusive("because".into()))),
        ("Error", RunPhase::FailedToRun("because".into())),
    ] {
        let mut observed = analysed(1);
        run(&mut observed, "2-1.1", phase, "because");
        record_step(&mut observed, "2-1.1", "Running");

        let reported = asked(begin(observed, now())).situation.runs;

        assert_eq!(
            (reported[0].name.as_str(), reported[0].attempt, &reported[0].phase),
            (STEP, 2, &expected),
            "{phase}"
        );
    }
}

#[test]
fn a_recorded_run_that_does_not_exist_yet_counts_as_running() {
    let mut observed = analysed(1);
    record_step(&mut observed, "2-1", "");

    assert_eq!(asked(begin(observed, now())).situation.runs[0].phase, RunPhase::Running);
}

#[test]
fn a_run_that_no_longer_exists_keeps_its_outcome() {
    let mut observed = analysed(1);
    record_step(&mut observed, "2-1", "Successful");

    assert_eq!(asked(begin(observed, now())).situation.runs[0].phase, RunPhase::Judged(Verdict::Pass));
}

#[test]
fn runs_of_another_revision_do_not_count() {
    let mut observed = analysed(1);
    let record = json!({ "name": "web-other-1-1", "status": "Failed" });
    status(&mut observed).canary.current_step_analysis_run_status = serde_json::from_value(record).unwrap();

    assert_eq!(asked(begin(observed, now())).situation.runs, []);
}

#[test]
fn the_background_continues_after_the_last_step() {
    let observed = analysed(4);

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(created(&plan), [name(&observed, "2")]);
}

#[test]
fn a_run_that_the_spec_does_not_have_is_refused() {
    for (step, run) in [(1, "pre"), (2, "steps/2/analysis"), (2, STEP), (1, "steps/1/experiment")] {
        let observed = analysed(step);

        let plan = decided(observed.clone(), &wants(u32::try_from(step).unwrap(), 50, &[(run, 1)]));

        let status = after(&observed, &plan);
        let condition = conditions::find(&status.conditions, ConditionType::StrategyReady).unwrap();
        assert!(condition.message.contains(run), "{}", condition.message);
    }
}

/// A strategy plugin whose configuration has no analyses.
pub(super) fn by_plugin(start: i32) -> Observed {
    let mut observed = analysed(2);
    let canary = observed.rollout.spec.strategy.canary.take().unwrap();
    let mut fields = canary.fields;
    fields.analysis.as_mut().unwrap().starting_step = Some(start);
    let plugin = kulta_api::PluginStrategy { name: "linear".into(), fields, ..kulta_api::PluginStrategy::default() };
    observed.rollout.spec.strategy.plugin = Some(plugin);
    status(&mut observed).current_step_hash = "another controller's".into();
    observed
}

#[test]
fn the_background_of_a_plugin_strategy_begins_at_its_step() {
    for (start, runs) in [(2, 1), (3, 0)] {
        let plan = decided(by_plugin(start), &hold(2, 50));

        assert_eq!(created(&plan).len(), runs, "starting step {start}");
    }
}

#[test]
fn a_run_that_cannot_be_created_is_an_error_that_names_the_argument() {
    let mut observed = analysed(1);
    let analysis = json!({
        "templates": [{ "templateName": "errors" }],
        "args": [{ "name": "load", "valueFrom": { "fieldRef": { "fieldPath": "status.nowhere" } } }]
    });
    let canary = observed.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.steps[1].analysis = serde_json::from_value(analysis).unwrap();
    let spec =
        json!({ "metrics": [{ "name": "rate", "provider": { "threshold": {} } }], "args": [{ "name": "load" }] });
    template(&mut observed, spec);
    canary_without_background(&mut observed);

    let plan = decided(observed.clone(), &wants(1, 50, &[(STEP, 1)]));

    let record = after(&observed, &plan).canary.current_step_analysis_run_status.unwrap();
    assert_eq!((record.status.as_str(), created(&plan).len(), plan.wake_up), ("Error", 0, Some(now())));
    assert!(record.message.as_ref().unwrap().contains("load"), "{record:?}");
}

#[test]
fn a_run_is_pinned_to_the_analyzers_that_were_served_when_it_was_created() {
    let plan = decided(analysed(1), &wants(1, 50, &[(STEP, 1)]));

    let body = plan.writes.iter().find_map(|write| match &write.action {
        Action::CreateAnalysisRun { body, .. } => Some(body),
        _ => None,
    });

    let noted = body.and_then(|body| body.pointer("/metadata/annotations/kulta.io~1plugins"));
    assert_eq!(noted, Some(&serde_json::json!(r#"{"threshold":"sha256:a"}"#)), "{body:?}");
}
