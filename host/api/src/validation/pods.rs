//! Validates selector and pod template. Only basic checks: the API server validates a template completely when a
//! ReplicaSet is created from it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::Value;

use crate::field_error::{Faults, Path};
use crate::rollout::RolloutSpec;

pub(super) fn validate(spec: &RolloutSpec, path: &Path, faults: &mut Faults) {
    let selector_path = path.field("selector");
    let usable = match &spec.selector {
        None => {
            faults.add(&selector_path, "is required");
            None
        }
        Some(empty) if is_empty(empty) => {
            faults.add(&selector_path, "must not be empty: it would select every pod of the namespace");
            None
        }
        Some(selector) => selector_is_sound(selector, &selector_path, faults).then_some(selector),
    };
    let template_path = path.field("template");
    if spec.template.is_empty() {
        faults.add(&template_path, "is required");
        return;
    }
    let labels = spec.template.labels();
    faults.add_if(
        usable.is_some_and(|selector| !matches(selector, &labels)),
        &template_path.field("metadata").field("labels"),
        "are not matched by spec.selector",
    );
    containers(&spec.template.0, &template_path.field("spec").field("containers"), faults);
}

fn containers(template: &Value, path: &Path, faults: &mut Faults) {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let Some(containers) = containers.filter(|containers| !containers.is_empty()) else {
        faults.add(path, "must list at least one container");
        return;
    };
    for (index, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            let given = container.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            faults.add_if(!given, &path.index(index).field(field), "is required");
        }
    }
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// How a requirement compares a label.
#[derive(Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "In" => Some(Self::In),
            "NotIn" => Some(Self::NotIn),
            "Exists" => Some(Self::Exists),
            "DoesNotExist" => Some(Self::DoesNotExist),
            _ => None,
        }
    }

    const fn takes_values(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }
}

/// Reports errors of a selector's expressions; returns true if there are none.
pub(super) fn selector_is_sound(selector: &LabelSelector, path: &Path, faults: &mut Faults) -> bool {
    let mut sound = true;
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.field("matchExpressions").index(index);
        let values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
        let fault = match Operator::parse(&requirement.operator) {
            None => Some((path.field("operator"), "must be In, NotIn, Exists or DoesNotExist")),
            Some(operator) if operator.takes_values() && !values => {
                Some((path.field("values"), "are required for this operator"))
            }
            Some(operator) if !operator.takes_values() && values => {
                Some((path.field("values"), "must be empty for this operator"))
            }
            Some(_) => None,
        };
        if let Some((path, message)) = fault {
            faults.add(&path, message);
            sound = false;
        }
    }
    sound
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(|requirement| fulfils(requirement, labels))
}

fn fulfils(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let label = labels.get(&requirement.key);
    let listed = label.is_some_and(|label| requirement.values.iter().flatten().any(|value| value == label));
    match Operator::parse(&requirement.operator) {
        Some(Operator::In) => listed,
        Some(Operator::NotIn) => !listed,
        Some(Operator::Exists) => label.is_some(),
        Some(Operator::DoesNotExist) => label.is_none(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{assert_faults, rollout};

    #[test]
    fn a_selector_is_required_and_must_not_be_empty() {
        assert_faults(vec![
            (rollout(json!({ "selector": null })), &["spec.selector"]),
            (rollout(json!({ "selector": { "matchLabels": null } })), &["spec.selector"]),
        ]);
    }

    #[test]
    fn the_selector_must_match_the_labels_of_the_template() {
        let labels = "spec.template.metadata.labels";
        let with = |key: &str, operator: &str, values: &[&str]| {
            rollout(
                json!({ "selector": { "matchExpressions": [{ "key": key, "operator": operator, "values": values }] } }),
            )
        };
        assert_faults(vec![
            (rollout(json!({ "selector": { "matchLabels": { "app": "other" } } })), &[labels]),
            (with("app", "In", &["shop", "other"]), &[]),
            (with("app", "In", &["other"]), &[labels]),
            (with("app", "NotIn", &["other"]), &[]),
            (with("app", "NotIn", &["shop"]), &[labels]),
            (with("tier", "NotIn", &["web"]), &[]),
            (with("app", "Exists", &[]), &[]),
            (with("tier", "Exists", &[]), &[labels]),
            (with("tier", "DoesNotExist", &[]), &[]),
            (with("app", "DoesNotExist", &[]), &[labels]),
        ]);
    }

    #[test]
    fn an_incomplete_expression_is_rejected() {
        let with = |operator: &str, values: &[&str]| {
            rollout(
                json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] } }),
            )
        };
        assert_faults(vec![
            (with("Is", &["shop"]), &["spec.selector.matchExpressions[0].operator"]),
            (with("In", &[]), &["spec.selector.matchExpressions[0].values"]),
            (with("Exists", &["shop"]), &["spec.selector.matchExpressions[0].values"]),
        ]);
    }

    #[test]
    fn a_template_needs_containers_with_name_and_image() {
        assert_faults(vec![
            (rollout(json!({ "template": null })), &["spec.template"]),
            (rollout(json!({ "template": { "spec": null } })), &["spec.template.spec.containers"]),
            (rollout(json!({ "template": { "spec": { "containers": [] } } })), &["spec.template.spec.containers"]),
            (
                rollout(
                    json!({ "template": { "spec": { "containers": [{ "name": "a", "image": "b" }, { "image": "" }] } } }),
                ),
                &["spec.template.spec.containers[1].name", "spec.template.spec.containers[1].image"],
            ),
        ]);
    }
}
