//! Arguments: the sources of their values, and the placeholder `{{args.name}}` in a metric.

use std::collections::{BTreeMap, BTreeSet};

use kulta_api::FieldError;
use kulta_api::analysis::{AnalysisArgument, Argument, Metric, SecretKeyRef};
use kulta_api::validation::Path;
use serde_json::Value;

use super::field_path;
use super::source::Source;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const PREFIX: &str = "args.";

/// The Secrets that arguments refer to. `check` needs a result for each: a placeholder text for the secret, or why it cannot be
/// read.
#[must_use]
pub fn secrets(args: &[Argument]) -> BTreeSet<SecretKeyRef> {
    args.iter().filter_map(secret).cloned().collect()
}

fn secret(arg: &Argument) -> Option<&SecretKeyRef> {
    arg.value_from.as_ref()?.secret_key_ref.as_ref()
}

/// The values of a run's arguments. A `fieldRef` reads the run itself, because the rollout's own references are resolved before
/// the run is created.
pub(super) fn values(
    args: &[Argument],
    run: &dyn Fn() -> Value,
    secrets: &BTreeMap<SecretKeyRef, Result<String, String>>,
) -> Result<BTreeMap<String, String>, Vec<FieldError>> {
    let mut values = BTreeMap::new();
    let mut errors = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let path = Path::new("spec").field("args").index(index);
        match value(arg, &path, run, secrets) {
            Ok(value) => {
                values.insert(arg.name.clone(), value);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn value(
    arg: &Argument,
    path: &Path,
    run: &dyn Fn() -> Value,
    secrets: &BTreeMap<SecretKeyRef, Result<String, String>>,
) -> Result<String, FieldError> {
    let from = path.field("valueFrom");
    let source = arg.value_from.as_ref();
    let (secret, field) = (secret(arg), source.and_then(|source| source.field_ref.as_ref()));
    match (secret, &arg.value, field) {
        // As in Argo, a Secret counts before `value`, and `value` before a field.
        (Some(secret), ..) => {
            let at = from.field("secretKeyRef");
            match secrets.get(secret) {
                Some(Ok(placeholder)) => Ok(placeholder.clone()),
                Some(Err(why)) => Err(at.error(format!("args.{}: {why}", arg.name))),
                None => Err(at.error(format!("args.{}: Secret {:?} was not looked up", arg.name, secret.name))),
            }
        }
        (None, Some(value), _) => Ok(value.clone()),
        (None, None, Some(field)) => field_path::read(&run(), &field.field_path)
            .map_err(|why| from.field("fieldRef").field("fieldPath").error(format!("args.{}: {why}", arg.name))),
        (None, None, None) if source.is_some() => Err(from.error("must have secretKeyRef or fieldRef")),
        (None, None, None) => Err(path.error(format!("args.{} was not resolved", arg.name))),
    }
}

/// The arguments that a rollout passes to its analysis. Every `valueFrom` is replaced by its value. `at` is the path of the
/// arguments.
///
/// # Errors
/// Each argument whose value does not exist.
pub fn request_args(
    args: &[AnalysisArgument],
    source: &Source<'_>,
    at: &Path,
) -> Result<Vec<Argument>, Vec<FieldError>> {
    let mut values = Vec::new();
    let mut errors = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        match request_value(arg, source, &at.index(index)) {
            Ok(value) => values.push(Argument { name: arg.name.clone(), value: Some(value), value_from: None }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn request_value(arg: &AnalysisArgument, source: &Source<'_>, path: &Path) -> Result<String, FieldError> {
    let given = || arg.value.clone().unwrap_or_default();
    let Some(from) = &arg.value_from else { return Ok(given()) };
    let path = path.field("valueFrom");
    match (from.pod_template_hash_value.as_deref(), &from.field_ref) {
        (Some("Latest"), _) => Ok(source.latest.to_owned()),
        (Some("Stable"), _) => source.stable.map(str::to_owned).ok_or_else(|| {
            path.field("podTemplateHashValue").error(format!("args.{}: there is no stable revision yet", arg.name))
        }),
        (Some(_), _) => Err(path.field("podTemplateHashValue").error("must be Stable or Latest")),
        (None, Some(field)) => read_field(&arg.name, &field.field_path, source, &path),
        (None, None) => Ok(given()),
    }
}

/// The value of a field of the rollout. `from` is the path of `valueFrom`.
pub(super) fn read_field(arg: &str, field_path: &str, source: &Source<'_>, from: &Path) -> Result<String, FieldError> {
    field_path::read(source.rollout, field_path)
        .map_err(|why| from.field("fieldRef").field("fieldPath").error(format!("args.{arg}: {why} in the rollout")))
}

/// The metrics with every `{{args.name}}` replaced in the keys and values of their JSON. Numbers that the API accepts as text
/// become text.
pub(super) fn fill(metrics: &[Metric], values: &BTreeMap<String, String>) -> Result<Vec<Metric>, Vec<FieldError>> {
    let mut filled = Vec::new();
    let mut errors = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let path = Path::new("spec").field("metrics").index(index);
        let mut unresolved = Vec::new();
        let json = match serde_json::to_value(metric) {
            Ok(json) => json,
            Err(error) => {
                errors.push(path.error(error.to_string()));
                continue;
            }
        };
        let json = fill_value(&json, values, &path, &mut unresolved);
        if !unresolved.is_empty() {
            let named = unresolved.into_iter().map(|error: FieldError| FieldError {
                message: format!("metric {:?}: {}", metric.name, error.message),
                ..error
            });
            errors.extend(named);
            continue;
        }
        match serde_json::from_value(json) {
            Ok(metric) => filled.push(metric),
            Err(error) => errors.push(path.error(error.to_string())),
        }
    }
    if errors.is_empty() { Ok(filled) } else { Err(errors) }
}

fn fill_value(value: &Value, values: &BTreeMap<String, String>, path: &Path, errors: &mut Vec<FieldError>) -> Value {
    match value {
        Value::String(written) => Value::String(text_at(written, values, path, errors)),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| fill_value(item, values, &path.index(index), errors)).collect()
        }
        Value::Object(fields) => {
            let filled = fields.iter().map(|(key, field)| {
                let path = path.field(key);
                (text_at(key, values, &path, errors), fill_value(field, values, &path, errors))
            });
            Value::Object(filled.collect())
        }
        other => other.clone(),
    }
}

fn text_at(text: &str, values: &BTreeMap<String, String>, path: &Path, errors: &mut Vec<FieldError>) -> String {
    fill_text(text, values).unwrap_or_else(|message| {
        errors.push(path.error(message));
        String::new()
    })
}

/// # Errors
/// The first placeholder that names no argument or has no end.
fn fill_text(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (tag, behind) = after.split_once(CLOSE).ok_or_else(|| format!("{OPEN} is not closed by {CLOSE}"))?;
        let value = tag.trim().strip_prefix(PREFIX).and_then(|name| values.get(name));
        filled.push_str(before);
        filled.push_str(value.ok_or_else(|| format!("failed to resolve {OPEN}{tag}{CLOSE}"))?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn metric(fields: Value) -> Metric {
        let mut whole = json!({ "name": "latency" });
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn placeholders_are_filled_with_and_without_spaces() {
        for text in ["{{args.a}}b{{args.a}}", "{{ args.a }}b{{args.a}}", "{{\targs.a}}b{{ args.a}}"] {
            assert_eq!(fill_text(text, &values(&[("a", "x")])), Ok("xbx".to_owned()), "{text}");
        }
    }

    #[test]
    fn placeholders_in_a_value_are_not_filled_in() {
        let filled = fill_text("{{args.a}}", &values(&[("a", "{{args.b}}"), ("b", "x")]));

        assert_eq!(filled, Ok("{{args.b}}".to_owned()));
    }

    #[test]
    fn every_text_of_a_metric_is_filled_in_and_quotes_are_kept() {
        let written = metric(json!({
            "interval": "{{args.every}}", "count": "{{args.n}}", "successCondition": "result == '{{args.q}}'",
            "provider": { "web": { "headers": [{ "key": "{{args.q}}" }], "jsonBody": { "{{args.every}}": 5 } } },
        }));

        let filled = fill(&[written], &values(&[("every", "5s"), ("n", "3"), ("q", "a\"b\\\n")])).unwrap();

        assert_eq!(
            serde_json::to_value(&filled).unwrap(),
            json!([{
                "name": "latency", "interval": "5s", "count": "3", "successCondition": "result == 'a\"b\\\n'",
                "provider": { "web": { "headers": [{ "key": "a\"b\\\n" }], "jsonBody": { "5s": 5 } } },
            }])
        );
    }

    #[test]
    fn an_unresolved_placeholder_is_reported_with_metric_field_and_argument() {
        let written = metric(json!({
            "count": "{{args.n}}", "provider": { "prometheus": { "query": "up{a=\"{{ args.gone }}\"}" } },
        }));

        let errors = fill(&[metric(json!({})), written], &values(&[])).unwrap_err();

        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "spec.metrics[1].count: metric \"latency\": failed to resolve {{args.n}}",
                "spec.metrics[1].provider.prometheus.query: metric \"latency\": failed to resolve {{ args.gone }}",
            ]
        );
    }

    #[test]
    fn an_open_brace_without_an_end_is_refused() {
        assert_eq!(fill_text("a {{args.a", &values(&[])), Err("{{ is not closed by }}".to_owned()));
    }

    fn one(arg: Value, secrets: &[(SecretKeyRef, Result<String, String>)]) -> Result<String, FieldError> {
        let run = || json!({ "metadata": { "name": "mine" } });
        value(
            &serde_json::from_value(arg).unwrap(),
            &Path::new("spec.args[0]"),
            &run,
            &secrets.iter().cloned().collect(),
        )
    }

    fn key(name: &str) -> SecretKeyRef {
        SecretKeyRef { name: name.into(), key: "token".into() }
    }

    #[test]
    fn a_secret_is_its_placeholder() {
        let arg = json!({ "name": "a", "valueFrom": { "secretKeyRef": { "name": "s", "key": "token" } } });

        assert_eq!(one(arg, &[(key("s"), Ok("<1>".into()))]), Ok("<1>".into()));
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_an_error_with_the_reason() {
        let arg = json!({ "name": "a", "valueFrom": { "secretKeyRef": { "name": "s", "key": "token" } } });

        let error = one(arg, &[(key("s"), Err("secrets \"s\" is forbidden".into()))]).unwrap_err();

        assert_eq!(error.to_string(), "spec.args[0].valueFrom.secretKeyRef: args.a: secrets \"s\" is forbidden");
    }

    #[test]
    fn a_secret_counts_before_a_value_and_a_value_before_a_field() {
        let secret = json!({ "name": "s", "key": "token" });
        let field = json!({ "fieldPath": "metadata.name" });
        let secrets = [(key("s"), Ok("<1>".to_owned()))];
        for (arg, expected) in [
            (json!({ "name": "a", "value": "x", "valueFrom": { "secretKeyRef": secret } }), "<1>"),
            (json!({ "name": "a", "valueFrom": { "secretKeyRef": secret, "fieldRef": field } }), "<1>"),
            (json!({ "name": "a", "value": "x", "valueFrom": { "fieldRef": field } }), "x"),
            (json!({ "name": "a", "value": "x", "valueFrom": {} }), "x"),
        ] {
            assert_eq!(one(arg.clone(), &secrets), Ok(expected.to_owned()), "{arg}");
        }
    }

    #[test]
    fn a_field_reference_of_a_run_reads_the_run() {
        let arg = json!({ "name": "a", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } });

        assert_eq!(one(arg, &[]), Ok("mine".into()));
    }

    #[test]
    fn an_argument_of_a_rollout_is_resolved_by_its_source() {
        let rollout = json!({ "metadata": { "labels": { "team": "blue" } } });
        let source = Source { rollout: &rollout, latest: "new", stable: Some("old") };
        for (arg, expected) in [
            (json!({ "name": "a", "value": "v" }), "v"),
            (json!({ "name": "a" }), ""),
            (json!({ "name": "a", "valueFrom": { "podTemplateHashValue": "Latest" } }), "new"),
            (json!({ "name": "a", "valueFrom": { "podTemplateHashValue": "Stable" } }), "old"),
            (json!({ "name": "a", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['team']" } } }), "blue"),
            (json!({ "name": "a", "value": "v", "valueFrom": { "podTemplateHashValue": "Latest" } }), "new"),
            (json!({ "name": "a", "value": "v", "valueFrom": {} }), "v"),
            (json!({ "name": "a", "valueFrom": {} }), ""),
        ] {
            let resolved =
                request_args(&[serde_json::from_value(arg.clone()).unwrap()], &source, &Path::new("args")).unwrap();

            assert_eq!(resolved[0].value.as_deref(), Some(expected), "{arg}");
        }
    }

    #[test]
    fn an_argument_of_a_rollout_without_a_value_is_reported_with_its_path() {
        let source = Source { rollout: &json!({}), latest: "new", stable: None };
        for (arg, path) in [
            (json!({ "valueFrom": { "podTemplateHashValue": "Stable" } }), "args[0].valueFrom.podTemplateHashValue"),
            (json!({ "valueFrom": { "podTemplateHashValue": "Odd" } }), "args[0].valueFrom.podTemplateHashValue"),
            (
                json!({ "valueFrom": { "fieldRef": { "fieldPath": "status.x" } } }),
                "args[0].valueFrom.fieldRef.fieldPath",
            ),
        ] {
            let errors =
                request_args(&[serde_json::from_value(arg.clone()).unwrap()], &source, &Path::new("args")).unwrap_err();

            assert_eq!(errors[0].path, path, "{arg}");
        }
    }

    proptest! {
        #[test]
        fn text_without_braces_stays_as_it_is(text in "[^{}]{0,40}") {
            prop_assert_eq!(fill_text(&text, &values(&[("a", "x")])), Ok(text));
        }

        #[test]
        fn any_value_is_filled_in_unchanged(value in any::<String>(), before in "[^{}]{0,9}", after in "[^{}]{0,9}") {
            let written = metric(json!({ "provider": { "web": { "body": format!("{before}{{{{args.a}}}}{after}") } } }));

            let filled = fill(&[written], &values(&[("a", &value)])).unwrap();

            let body = filled[0].provider.0["web"]["body"].clone();
            prop_assert_eq!(body, json!(format!("{before}{value}{after}")));
        }

        #[test]
        fn filling_in_never_panics(text in any::<String>()) {
            let _ = fill_text(&text, &values(&[("a", "x")]));
        }
    }
}
