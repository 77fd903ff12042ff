use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::analysis::walk::Scope;

const SERVED: [ServedAnalyzer<'static>; 1] = [ServedAnalyzer { name: "threshold" }];

fn metric(name: &str) -> Value {
    json!({ "name": name, "provider": { "threshold": {} } })
}

/// Templates in the rollout's namespace.
fn templates(entries: &[(&str, Value)]) -> Templates {
    entries
        .iter()
        .map(|(name, spec)| {
            let template = TemplateRef { scope: Scope::Namespace, name: (*name).to_owned() };
            (template, Ok(Arc::new(serde_json::from_value(spec.clone()).unwrap())))
        })
        .collect()
}

/// Resolves a request with these fields and all of the templates.
fn resolved(request: Value, entries: &[(&str, Value)]) -> Result<AnalysisRunSpec, Vec<String>> {
    let names: Vec<_> = entries.iter().map(|(name, _)| json!({ "templateName": name })).collect();
    let mut whole = json!({ "templates": names });
    whole.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
    let rollout = json!({ "metadata": { "name": "web" } });
    let source = Source { rollout: &rollout, latest: "new", stable: Some("old") };
    resolve(&serde_json::from_value(whole).unwrap(), &Path::new("at"), &source, &templates(entries), &SERVED, false)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn args(spec: &AnalysisRunSpec) -> Value {
    json!(spec.args)
}

#[test]
fn metrics_of_all_templates_make_one_run() {
    let spec = resolved(
        json!({ "dryRun": [{ "metricName": "x" }] }),
        &[
            ("a", json!({ "metrics": [metric("x")], "measurementRetention": [{ "metricName": "x", "limit": 3 }] })),
            ("b", json!({ "metrics": [metric("y")], "dryRun": [{ "metricName": "y" }] })),
        ],
    )
    .unwrap();

    assert_eq!(
        json!(spec),
        json!({
            "metrics": [metric("x"), metric("y")],
            "dryRun": [{ "metricName": "x" }, { "metricName": "y" }],
            "measurementRetention": [{ "metricName": "x", "limit": 3 }],
        })
    );
}

#[test]
fn a_value_of_the_rollout_overrides_the_one_of_the_template() {
    let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    let spec = resolved(
        json!({ "args": [
            { "name": "one", "value": "mine" },
            { "name": "hash", "valueFrom": { "podTemplateHashValue": "Latest" } },
            { "name": "unknown", "value": "x" },
        ] }),
        &[(
            "a",
            json!({ "metrics": [metric("x")], "args": [
                { "name": "one", "value": "default" },
                { "name": "two", "value": "default" },
                { "name": "hash" },
                { "name": "key", "valueFrom": secret },
                { "name": "name", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            ] }),
        )],
    )
    .unwrap();

    assert_eq!(
        args(&spec),
        json!([
            { "name": "one", "value": "mine" },
            { "name": "two", "value": "default" },
            { "name": "hash", "value": "new" },
            { "name": "key", "valueFrom": secret },
            { "name": "name", "value": "web" },
        ])
    );
}

/// As in Argo (`analysis/analysis.go`, `resolveArgs`). It never reads a template's `fieldRef`.
#[test]
fn a_secret_of_the_template_counts_before_any_value_and_a_value_before_a_field() {
    let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    let field = json!({ "fieldRef": { "fieldPath": "metadata.name" } });
    let both = json!({ "secretKeyRef": secret["secretKeyRef"], "fieldRef": field["fieldRef"] });
    let given = json!([{ "name": "a", "value": "mine" }]);
    let from_secret = json!([{ "name": "a", "valueFrom": secret }]);
    for (arg, given, expected) in [
        (json!({ "name": "a", "value": "x", "valueFrom": secret }), json!([]), from_secret.clone()),
        (json!({ "name": "a", "valueFrom": both }), json!([]), from_secret.clone()),
        (json!({ "name": "a", "valueFrom": secret }), given.clone(), from_secret),
        (json!({ "name": "a", "value": "x", "valueFrom": field }), json!([]), json!([{ "name": "a", "value": "x" }])),
        (json!({ "name": "a", "value": "x", "valueFrom": {} }), json!([]), json!([{ "name": "a", "value": "x" }])),
        (json!({ "name": "a", "valueFrom": field }), given.clone(), given),
    ] {
        let template = json!({ "metrics": [metric("x")], "args": [arg] });

        assert_eq!(args(&resolved(json!({ "args": given }), &[("a", template)]).unwrap()), expected, "{arg}");
    }
}

/// As in Argo (`utils/analysis/helpers.go`, `MergeArgs`).
#[test]
fn the_last_of_two_values_of_the_rollout_for_one_argument_counts() {
    let spec = resolved(
        json!({ "args": [{ "name": "one", "value": "first" }, { "name": "one", "value": "last" }] }),
        &[("a", json!({ "metrics": [metric("x")], "args": [{ "name": "one" }] }))],
    )
    .unwrap();

    assert_eq!(args(&spec), json!([{ "name": "one", "value": "last" }]));
}

#[test]
fn templates_that_share_an_argument_must_agree_on_its_value() {
    let with = |value: Value| json!({ "metrics": [metric("x")], "args": [value] });
    let other = |value: Value| json!({ "metrics": [metric("y")], "args": [value] });
    for (first, second, expected) in [
        (json!({ "name": "p" }), json!({ "name": "p", "value": "1" }), Some("1")),
        (json!({ "name": "p", "value": "1" }), json!({ "name": "p" }), Some("1")),
        (json!({ "name": "p", "value": "1" }), json!({ "name": "p", "value": "1" }), Some("1")),
        (json!({ "name": "p", "value": "1" }), json!({ "name": "p", "value": "2" }), None),
    ] {
        let spec = resolved(json!({}), &[("a", with(first.clone())), ("b", other(second.clone()))]);

        let value = spec.ok().and_then(|spec| spec.args[0].value.clone());
        assert_eq!(value.as_deref(), expected, "{first} {second}");
    }
}

#[test]
fn a_source_is_kept_if_a_later_template_declares_no_value() {
    let secret = json!({ "name": "p", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    let spec = resolved(
        json!({}),
        &[
            ("a", json!({ "metrics": [metric("x")], "args": [secret] })),
            ("b", json!({ "metrics": [metric("y")], "args": [{ "name": "p" }] })),
        ],
    )
    .unwrap();

    assert_eq!(args(&spec), json!([secret]));
}

#[test]
fn each_error_is_reported_with_template_metric_and_field() {
    for (spec, expected) in [
        (
            json!({ "metrics": [metric("x")], "args": [{ "name": "p" }] }),
            "AnalysisTemplate/a spec.args[0]: args.p was not resolved: neither the template nor the rollout gives a value",
        ),
        (
            json!({ "metrics": [{ "name": "x", "provider": { "threshold": { "q": "{{args.p}}" } } }] }),
            "AnalysisTemplate/a spec.metrics[0].provider.threshold.q: metric \"x\": failed to resolve {{args.p}}",
        ),
        (
            json!({ "metrics": [{ "name": "x", "provider": { "datadog": {} } }] }),
            "AnalysisTemplate/a spec.metrics[0].provider.datadog: is not served; there are: threshold",
        ),
        (
            json!({ "metrics": [{ "name": "x", "interval": "5s", "provider": { "threshold": {} } }] }),
            "AnalysisTemplate/a spec.metrics[0].count: metric \"x\" runs indefinitely, which only a background analysis may: \
             set count",
        ),
        (
            json!({ "metrics": [metric("x"), metric("x")] }),
            "AnalysisTemplate/a spec.metrics[1].name: two metrics have the same name 'x'",
        ),
        (
            json!({ "metrics": [metric("x")], "dryRun": [{ "metricName": "x" }, { "metricName": "x" }] }),
            "AnalysisTemplate/a spec.dryRun[1].metricName: two dryRun rules have the same name 'x'",
        ),
        (
            json!({ "metrics": [metric("x")], "dryRun": [{ "metricName": "y" }] }),
            "at run spec.dryRun[0].metricName: \"y\" matches the name of no metric",
        ),
        (json!({}), "at run spec.metrics: must hold at least one metric"),
    ] {
        assert_eq!(resolved(json!({}), &[("a", spec.clone())]).unwrap_err(), [expected], "{spec}");
    }
}

#[test]
fn metrics_of_two_templates_must_have_different_names() {
    let spec = json!({ "metrics": [metric("x")] });

    assert_eq!(
        resolved(json!({}), &[("a", spec.clone()), ("b", spec)]).unwrap_err(),
        ["AnalysisTemplate/b spec.metrics[0].name: two metrics have the same name 'x': see AnalysisTemplate/a"]
    );
}

#[test]
fn a_background_analysis_may_measure_without_end() {
    let entries = [("a", json!({ "metrics": [{ "name": "x", "interval": "5s", "provider": { "threshold": {} } }] }))];
    let analysis = serde_json::from_value(json!({ "templates": [{ "templateName": "a" }] })).unwrap();
    let source = Source { rollout: &json!({}), latest: "new", stable: None };

    let spec = resolve(&analysis, &Path::new("at"), &source, &templates(&entries), &SERVED, true);

    assert_eq!(spec.unwrap().metrics.len(), 1);
}

#[test]
fn more_metrics_than_a_status_can_store_are_refused() {
    let half =
        |from: usize| json!({ "metrics": (from..from + 201).map(|i| metric(&format!("m{i}"))).collect::<Vec<_>>() });

    let errors = resolved(json!({}), &[("a", half(0)), ("b", half(1_000))]).unwrap_err();

    assert_eq!(errors, ["at run spec.metrics: 402 metrics are more than the 400 allowed"]);
}

#[test]
fn a_value_of_the_rollout_that_a_secret_of_the_template_replaces_is_reported() {
    let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    let analysis = json!({
        "templates": [{ "templateName": "t" }],
        "args": [{ "name": "plain", "value": "x" }, { "name": "token", "value": "x" }],
    });
    let template = json!({ "args": [{ "name": "plain" }, { "name": "token", "valueFrom": secret }] });

    let found = templates(&[("t", template)]);
    let warnings = args_without_effect(&serde_json::from_value(analysis).unwrap(), &Path::new("at"), &found);

    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["at.args[1]: args.token has no effect: the Secret of AnalysisTemplate/t spec.args[1] counts"]);
}
