//! What looks wrong in a template and runs all the same, as in Argo Rollouts: each warning says what is done instead.

use std::collections::BTreeSet;

use crate::analysis::{AnalysisTemplateSpec, Argument};
use crate::field_error::{Faults, FieldError, Path};

/// Every doubt about the spec of a template.
#[must_use]
pub fn template_warnings(spec: &AnalysisTemplateSpec) -> Vec<FieldError> {
    let path = Path::new("spec");
    let mut doubts = Faults::default();
    for (index, metric) in spec.metrics.iter().enumerate() {
        let path = path.field("metrics").index(index);
        doubts.add_if(
            metric.name.is_empty(),
            &path.field("name"),
            "is empty: events and messages cannot name the metric",
        );
        for key in metric.provider.ignored() {
            doubts.add(&path.field("provider").field(key), "has no effect beside a provider of Argo Rollouts");
        }
    }
    let mut names = BTreeSet::new();
    for (index, arg) in spec.args.iter().enumerate() {
        let arg_path = path.field("args").index(index);
        source_without_effect(arg, &arg_path, &mut doubts);
        let path = arg_path.field("name");
        doubts.add_if(arg.name.is_empty(), &path, "is empty: only {{args.}} stands for its value");
        doubts.add_if(
            !names.insert(&arg.name),
            &path,
            format!("{:?} is there already: the first value counts", arg.name),
        );
    }
    doubts.done().err().unwrap_or_default()
}

/// Of several sources one counts, as in Argo Rollouts.
fn source_without_effect(arg: &Argument, path: &Path, doubts: &mut Faults) {
    let Some(from) = &arg.value_from else { return };
    let has_secret = from.secret_key_ref.is_some();
    let by_secret = "has no effect: valueFrom.secretKeyRef counts";
    doubts.add_if(has_secret && arg.value.is_some(), &path.field("value"), by_secret);
    let field = path.field("valueFrom").field("fieldRef");
    doubts.add_if(has_secret && from.field_ref.is_some(), &field, by_secret);
    let beside_value = !has_secret && arg.value.is_some() && from.field_ref.is_some();
    doubts.add_if(beside_value, &field, "has no effect: value counts");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn warnings_of(spec: Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).unwrap();
        template_warnings(&spec).into_iter().map(|warning| warning.path).collect()
    }

    #[test]
    fn a_template_that_is_well_is_not_warned_of() {
        let metric = json!({ "name": "errors", "provider": { "threshold": {} } });

        assert_eq!(
            warnings_of(json!({ "metrics": [metric], "args": [{ "name": "a" }, { "name": "b" }] })),
            Vec::<String>::new()
        );
    }

    #[test]
    fn empty_names_repeated_arguments_and_fields_without_effect_are_warnings() {
        for (spec, expected) in [
            (json!({ "metrics": [{ "provider": { "web": {} } }] }), "spec.metrics[0].name"),
            (
                json!({ "metrics": [{ "name": "m", "provider": { "web": {}, "threshold": {} } }] }),
                "spec.metrics[0].provider.threshold",
            ),
            (json!({ "args": [{ "value": "x" }] }), "spec.args[0].name"),
            (json!({ "args": [{ "name": "a" }, { "name": "a" }] }), "spec.args[1].name"),
            (
                json!({ "args": [{ "name": "a", "value": "x", "valueFrom": { "secretKeyRef": {} } }] }),
                "spec.args[0].value",
            ),
            (
                json!({ "args": [{ "name": "a", "value": "x", "valueFrom": { "fieldRef": {} } }] }),
                "spec.args[0].valueFrom.fieldRef",
            ),
            (
                json!({ "args": [{ "name": "a", "valueFrom": { "secretKeyRef": {}, "fieldRef": {} } }] }),
                "spec.args[0].valueFrom.fieldRef",
            ),
        ] {
            assert_eq!(warnings_of(spec.clone()), [expected], "{spec}");
        }
    }
}
