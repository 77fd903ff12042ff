//! What looks wrong in a template and runs all the same, as in Argo Rollouts: each warning says what is done instead.

use std::collections::BTreeSet;

use crate::analysis::AnalysisTemplateSpec;
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
        let path = path.field("args").index(index).field("name");
        doubts.add_if(arg.name.is_empty(), &path, "is empty: only {{args.}} stands for its value");
        doubts.add_if(
            !names.insert(&arg.name),
            &path,
            format!("{:?} is there already: the first value counts", arg.name),
        );
    }
    doubts.done().err().unwrap_or_default()
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
    fn empty_names_repeated_arguments_and_keys_without_effect_are_warnings() {
        for (spec, expected) in [
            (json!({ "metrics": [{ "provider": { "web": {} } }] }), "spec.metrics[0].name"),
            (
                json!({ "metrics": [{ "name": "m", "provider": { "web": {}, "threshold": {} } }] }),
                "spec.metrics[0].provider.threshold",
            ),
            (json!({ "args": [{ "value": "x" }] }), "spec.args[0].name"),
            (json!({ "args": [{ "name": "a" }, { "name": "a" }] }), "spec.args[1].name"),
        ] {
            assert_eq!(warnings_of(spec.clone()), [expected], "{spec}");
        }
    }
}
