//! Validation of analyses before any run is needed.

use super::*;

#[test]
fn a_template_that_is_missing_is_an_invalid_spec_until_it_appears() {
    let mut observed = analysed(1);
    assert_eq!(invalid(observed.clone()), None);
    observed.templates.clear();

    let message = invalid(observed).unwrap();

    for part in
        ["spec.strategy.canary.analysis.templates[0]", "steps[1].analysis.templates[0]", "AnalysisTemplate/errors"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn only_the_background_may_measure_without_end() {
    let mut observed = analysed(1);
    let metric = json!({ "name": "rate", "interval": "5s", "provider": { "threshold": {} } });
    template(&mut observed, json!({ "metrics": [metric] }));

    let message = invalid(observed.clone()).unwrap();
    observed.rollout.spec.strategy.canary.as_mut().unwrap().steps.remove(1);

    assert!(message.contains("rate"), "{message}");
    assert_eq!(invalid(observed), None);
}

#[test]
fn an_analyzer_that_is_not_served_is_an_invalid_spec() {
    let mut observed = analysed(1);
    observed.analyzers = Arc::default();

    // Both analyses use the template, so its error is reported once.
    let message = invalid(observed).unwrap();
    assert!(message.contains("threshold"), "{message}");
    assert_eq!(message.matches("AnalysisTemplate/errors").count(), 1, "{message}");
}

#[test]
fn an_error_of_an_analyzer_about_a_configuration_is_an_invalid_spec() {
    let mut observed = analysed(1);
    let path = "AnalysisTemplate/errors spec.metrics[0].provider.threshold.errorRat".to_owned();
    observed.analyzer_errors = vec![kulta_api::FieldError { path: path.clone(), message: "unknown field".into() }];

    let message = invalid(observed).unwrap();

    assert!(message.contains(&path), "{message}");
}

#[test]
fn a_configuration_is_known_as_far_as_its_arguments_are_known() {
    let mut observed = analysed(1);
    let threshold = json!({ "service": "{{args.service}}", "cluster": "{{args.hash}}", "token": "{{args.token}}" });
    template(
        &mut observed,
        json!({
            "metrics": [{ "name": "rate", "provider": { "threshold": threshold } }],
            "args": [
                { "name": "service" }, { "name": "hash" },
                { "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            ],
        }),
    );
    let args = json!([
        { "name": "service", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
        { "name": "hash", "valueFrom": { "podTemplateHashValue": "Latest" } },
    ]);
    let canary = observed.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.fields.analysis.as_mut().unwrap().args = serde_json::from_value(args.clone()).unwrap();
    canary.steps[1].analysis.as_mut().unwrap().args = serde_json::from_value(args).unwrap();

    let all = crate::reference::configurations(&observed);

    // Both analyses pass the same configuration.
    assert_eq!(all.len(), 1, "{all:?}");
    let one = &all[0];
    assert_eq!(one.path.as_str(), "AnalysisTemplate/errors spec.metrics[0].provider.threshold");
    assert_eq!(
        (one.metric.as_str(), one.analyzer.as_str(), &one.config["service"]),
        ("rate", "threshold", &json!("web"))
    );
    assert_eq!(["service", "cluster", "token"].map(|at| one.is_known(at)), [true, false, false]);
    assert_eq!(one.secret_paths(), ["token"]);
}

#[test]
fn the_canary_plugin_is_told_of_its_background_if_there_is_one() {
    let with = asked(begin(analysed(0), now())).config;
    let mut observed = analysed(0);
    canary_without_background(&mut observed);
    let without = asked(begin(observed, now())).config;

    let keys = |config: &Value| config.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        (keys(&with), keys(&without)),
        (vec!["analysis".to_owned(), "steps".to_owned()], vec!["steps".to_owned()])
    );
}

/// Argo compares the index of the step with `startingStep`, and starts the run.
#[test]
fn a_background_that_would_begin_before_the_first_step_begins_with_the_update() {
    let mut observed = analysed(0);
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    fields.analysis.as_mut().unwrap().starting_step = Some(-1);

    let config = asked(begin(observed, now())).config;

    assert_eq!(config.pointer("/analysis/startingStep"), None);
}

#[test]
fn a_metric_without_a_condition_runs_and_causes_one_warning_per_generation() {
    let mut observed = analysed(1);
    observed.analyzers = Arc::new(vec![Analyzer { name: "web".into(), pin: None, needs_condition: true }]);
    template(&mut observed, json!({ "metrics": [{ "name": "rate", "provider": { "web": {} } }] }));
    observed.template_warnings = vec![kulta_api::FieldError { path: "at".into(), message: "no expression".into() }];
    let warnings = |observed: Observed| {
        let plan = plan_with(observed, &hold(1, 50));
        let events = plan.events.into_iter().filter(|event| event.reason.as_str() == "AnalysisWarning");
        events.map(|event| event.message).collect::<Vec<_>>()
    };
    observed.rollout.status.as_mut().unwrap().observed_generation = "0".into();

    let first = warnings(observed.clone());
    let generation = observed.rollout.metadata.generation.unwrap_or(0).to_string();
    observed.rollout.status.as_mut().unwrap().observed_generation = generation;
    let again = warnings(observed);

    assert_eq!(
        first,
        [
            "at: no expression",
            "AnalysisTemplate/errors spec.metrics[0]: metric \"rate\": neither successCondition nor failureCondition is set: \
             every value passes",
        ]
    );
    assert_eq!(again, Vec::<String>::new());
}

#[test]
fn errors_in_the_spec_and_in_its_references_are_reported_together() {
    let mut observed = analysed(1);
    observed.rollout.spec.min_ready_seconds = Some(-1);
    observed.templates.clear();
    observed.analyzer_errors =
        vec![kulta_api::FieldError { path: "headers[0].name".into(), message: "unknown".into() }];

    let message = invalid(observed).unwrap();

    for part in ["spec.minReadySeconds", "spec.strategy.canary.analysis.templates[0]", "headers[0].name"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
