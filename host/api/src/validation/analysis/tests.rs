use serde_json::{Value, json};

use super::*;

const SERVED: [ServedAnalyzer<'static>; 3] =
    [ServedAnalyzer { name: "prometheus" }, ServedAnalyzer { name: "threshold" }, ServedAnalyzer { name: "acme/own" }];

fn paths(result: Result<(), Vec<FieldError>>) -> Vec<String> {
    result.err().unwrap_or_default().into_iter().map(|error| error.path).collect()
}

fn run_of(spec: Value) -> Result<(), Vec<FieldError>> {
    validate_run(&serde_json::from_value(spec).unwrap(), &SERVED)
}

fn template_of(spec: Value) -> Result<(), Vec<FieldError>> {
    validate_template(&serde_json::from_value(spec).unwrap(), &SERVED)
}

fn plain(name: &str) -> Value {
    json!({ "name": name, "provider": { "threshold": {} } })
}

/// A valid metric with these fields.
fn metric(fields: Value) -> Value {
    let mut metric = plain("m");
    metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    metric
}

/// Each entry has the fields of a metric and the errors below `spec.metrics[0]`.
fn assert_metric_faults(cases: Vec<(Value, &[&str])>) {
    for (fields, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|path| format!("spec.metrics[0].{path}")).collect();
        for paths in [
            paths(run_of(json!({ "metrics": [metric(fields.clone())] }))),
            paths(template_of(json!({ "metrics": [metric(fields.clone())] }))),
        ] {
            assert_eq!(paths, expected, "{fields}");
        }
    }
}

#[test]
fn a_metric_with_a_name_and_a_provider_is_valid() {
    assert_metric_faults(vec![(json!({}), &[])]);
}

#[test]
fn numbers_must_be_within_their_bounds() {
    assert_metric_faults(vec![
        (json!({ "count": -1 }), &["count"]),
        (json!({ "count": "0" }), &[]),
        (json!({ "count": "many" }), &["count"]),
        (json!({ "failureLimit": -2 }), &["failureLimit"]),
        (json!({ "inconclusiveLimit": -1 }), &["inconclusiveLimit"]),
        (json!({ "consecutiveErrorLimit": -1 }), &["consecutiveErrorLimit"]),
        (json!({ "consecutiveErrorLimit": "x" }), &["consecutiveErrorLimit"]),
        (json!({ "consecutiveSuccessLimit": -1 }), &["consecutiveSuccessLimit"]),
        (json!({ "failureLimit": -1 }), &["failureLimit"]),
        (json!({ "failureLimit": "-1", "consecutiveSuccessLimit": "2" }), &[]),
    ]);
}

#[test]
fn the_count_leaves_room_for_the_limits() {
    let every = "5s";
    assert_metric_faults(vec![
        (json!({ "interval": every, "count": 5, "failureLimit": 3, "consecutiveSuccessLimit": 2 }), &[]),
        (json!({ "interval": every, "count": 4, "failureLimit": 3, "consecutiveSuccessLimit": 2 }), &["count"]),
        (json!({ "interval": every, "count": 2, "failureLimit": -1, "consecutiveSuccessLimit": 3 }), &["count"]),
        (json!({ "interval": every, "count": 2, "inconclusiveLimit": 3 }), &["count"]),
        (json!({ "interval": every, "failureLimit": 30 }), &[]),
    ]);
}

#[test]
fn several_measurements_need_an_interval() {
    assert_metric_faults(vec![
        (json!({ "count": 2 }), &["count"]),
        (json!({ "count": 2, "interval": "1m" }), &[]),
        (json!({ "count": 1 }), &[]),
    ]);
}

#[test]
fn durations_are_readable() {
    assert_metric_faults(vec![
        (json!({ "interval": "soon" }), &["interval"]),
        (json!({ "initialDelay": "-5s" }), &["initialDelay"]),
        (json!({ "interval": "1h30m", "initialDelay": "10s" }), &[]),
    ]);
}

#[test]
fn unresolved_arguments_are_not_checked() {
    let open = "{{ args.x }}";
    assert_metric_faults(vec![
        (json!({ "count": open, "interval": open, "initialDelay": open, "failureLimit": open }), &[]),
        (json!({ "count": 2, "inconclusiveLimit": open, "interval": "5s", "consecutiveErrorLimit": open }), &[]),
    ]);
}

#[test]
fn exactly_one_served_analyzer_is_required() {
    assert_metric_faults(vec![
        (json!({ "provider": {} }), &["provider"]),
        (json!({ "provider": { "plugin": {} } }), &["provider"]),
        (json!({ "provider": { "threshold": {}, "acme/own": {} } }), &["provider"]),
        (json!({ "provider": { "prometheus": {}, "web": {} } }), &["provider"]),
        (json!({ "provider": { "threshold": {}, "prometheus": {} } }), &[]),
        (json!({ "provider": { "threshold": {}, "datadog": {} } }), &["provider.datadog"]),
        (json!({ "provider": { "datadog": {} } }), &["provider.datadog"]),
        (json!({ "provider": { "plugin": { "acme/other": {} } } }), &["provider.plugin[\"acme/other\"]"]),
        (json!({ "provider": { "plugin": { "acme/own": {} } } }), &[]),
        (json!({ "provider": { "plugin": "threshold" } }), &["provider.plugin"]),
    ]);
}

#[test]
fn an_analyzer_that_is_not_served_is_reported_with_the_served_ones() {
    let errors = run_of(json!({ "metrics": [metric(json!({ "provider": { "wavefront": {} } }))] })).unwrap_err();

    assert_eq!(
        errors[0].to_string(),
        "spec.metrics[0].provider.wavefront: is not served; there are: prometheus, threshold, acme/own"
    );
}

/// As in Argo Rollouts: every value passes.
#[test]
fn a_measured_value_needs_no_condition() {
    assert_metric_faults(vec![
        (json!({ "provider": { "prometheus": { "query": "up" } } }), &[]),
        (json!({ "provider": { "prometheus": { "query": "up" } }, "failureCondition": "result[0] > 1" }), &[]),
    ]);
}

#[test]
fn names_of_metrics_are_unique_and_may_be_empty() {
    let spec = json!({ "metrics": [plain("a"), plain(""), plain("a")] });

    assert_eq!(paths(run_of(spec)), ["spec.metrics[2].name"]);
}

#[test]
fn a_run_needs_a_metric() {
    assert_eq!(paths(run_of(json!({}))), ["spec.metrics"]);
}

#[test]
fn a_template_needs_a_metric_or_another_template() {
    assert_eq!(paths(template_of(json!({}))), ["spec.metrics"]);
    assert_eq!(paths(template_of(json!({ "templates": [{ "templateName": "other" }] }))), Vec::<String>::new());
    assert_eq!(paths(template_of(json!({ "templates": [{}] }))), ["spec.templates[0].templateName"]);
}

#[test]
fn more_metrics_than_fit_into_a_status_are_rejected() {
    let spec = |count: usize| json!({ "metrics": (0..count).map(|i| plain(&format!("m{i}"))).collect::<Vec<_>>() });

    assert_eq!(paths(run_of(spec(super::MAX_METRICS))), Vec::<String>::new());
    assert_eq!(paths(run_of(spec(super::MAX_METRICS + 1))), ["spec.metrics"]);
}

#[test]
fn a_rule_for_metrics_must_match_one() {
    for (rules, expected) in [
        (json!({ "dryRun": [{ "metricName": "*" }, { "metricName": "m.*" }] }), vec![]),
        (json!({ "dryRun": [{ "metricName": "other" }] }), vec!["spec.dryRun[0].metricName"]),
        (json!({ "dryRun": [{ "metricName": "a(" }] }), vec!["spec.dryRun[0].metricName"]),
        (
            json!({ "measurementRetention": [{ "metricName": "m", "limit": 1 }, { "metricName": "n", "limit": 1 }] }),
            vec!["spec.measurementRetention[1].metricName"],
        ),
    ] {
        let mut spec = json!({ "metrics": [plain("m")] });
        spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());

        assert_eq!(paths(run_of(spec.clone())), expected, "{rules}");
        assert_eq!(paths(template_of(spec)), expected, "{rules}");
    }
}

#[test]
fn an_argument_of_a_run_needs_a_source() {
    let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    for (arg, expected) in [
        (json!({ "name": "a", "value": "" }), vec![]),
        (json!({ "name": "a", "valueFrom": secret }), vec![]),
        (json!({ "name": "a", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }), vec![]),
        (json!({ "name": "a" }), vec!["spec.args[0]"]),
        (json!({ "name": "a", "value": "x", "valueFrom": secret }), vec![]),
        (json!({ "name": "a", "value": "x", "valueFrom": {} }), vec![]),
        (json!({ "name": "a", "value": "x", "valueFrom": { "fieldRef": {} } }), vec![]),
        (json!({ "name": "a", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" }, "fieldRef": {} } }), vec![]),
        (json!({ "value": "x" }), vec![]),
        (json!({ "name": "a", "valueFrom": {} }), vec!["spec.args[0].valueFrom"]),
        (
            json!({ "name": "a", "valueFrom": { "secretKeyRef": {} } }),
            vec!["spec.args[0].valueFrom.secretKeyRef.name", "spec.args[0].valueFrom.secretKeyRef.key"],
        ),
        (json!({ "name": "a", "valueFrom": { "fieldRef": {} } }), vec!["spec.args[0].valueFrom.fieldRef.fieldPath"]),
    ] {
        assert_eq!(paths(run_of(json!({ "metrics": [plain("m")], "args": [arg] }))), expected, "{arg}");
    }
}

/// As in Argo Rollouts, where the last value counts.
#[test]
fn an_argument_of_a_run_may_be_named_twice() {
    let args = json!([{ "name": "a", "value": "1" }, { "name": "a", "value": "2" }]);

    assert_eq!(paths(run_of(json!({ "metrics": [plain("m")], "args": args }))), Vec::<String>::new());
}

#[test]
fn a_template_may_leave_an_argument_to_the_run() {
    let spec = json!({ "metrics": [plain("m")], "args": [{ "name": "a" }] });

    assert_eq!(paths(template_of(spec)), Vec::<String>::new());
}

#[test]
fn the_source_of_a_rollouts_argument_is_validated() {
    for (arg, expected) in [
        (json!({ "name": "a", "value": "x" }), vec![]),
        (json!({ "name": "a" }), vec![]),
        (json!({ "name": "a", "valueFrom": { "podTemplateHashValue": "Stable" } }), vec![]),
        (
            json!({ "name": "a", "valueFrom": { "podTemplateHashValue": "Old" } }),
            vec!["at.args[0].valueFrom.podTemplateHashValue"],
        ),
        (
            json!({ "name": "a", "valueFrom": { "fieldRef": { "fieldPath": "" } } }),
            vec!["at.args[0].valueFrom.fieldRef.fieldPath"],
        ),
        (json!({ "name": "a", "value": "x", "valueFrom": { "podTemplateHashValue": "Latest" } }), vec![]),
        (
            json!({ "name": "a", "valueFrom": { "podTemplateHashValue": "Latest", "fieldRef": { "fieldPath": "" } } }),
            vec![],
        ),
        (json!({ "name": "a", "valueFrom": {} }), vec![]),
    ] {
        let analysis = serde_json::from_value(json!({ "args": [arg] })).unwrap();

        assert_eq!(paths(validate_request(&analysis, "at")), expected, "{arg}");
    }
}

#[test]
fn a_request_names_its_templates() {
    let analysis = serde_json::from_value(json!({ "templates": [{}], "startingStep": -1 })).unwrap();

    assert_eq!(paths(validate_request(&analysis, "at")), ["at.templates[0].templateName"]);
}
