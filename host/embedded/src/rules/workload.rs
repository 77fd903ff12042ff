//! ReplicaSets, and Leases.

use serde_json::Value;

use super::pod;
use crate::json::{default, number};
use crate::selector::Labels;
use crate::status::Cause;

pub fn defaults(set: &mut Value) {
    default(set, &["spec", "replicas"], 1);
    if let Some(spec) = set.pointer_mut("/spec/template/spec") {
        pod::spec_defaults(spec);
    }
}

pub fn check(set: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(replicas) = number(set, "/spec/replicas").filter(|replicas| *replicas < 0) {
        causes.push(Cause::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0"));
    }
    let selector = set.pointer("/spec/selector");
    let template = set.pointer("/spec/template");
    match selector.map(Labels::of_object) {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(Err(error)) => {
            causes.push(Cause::invalid("spec.selector", &selector.cloned().unwrap_or_default(), &error.to_string()));
        }
        Some(Ok(labels)) if labels.is_empty() => {
            let why = "empty selector is invalid for deployment";
            causes.push(Cause::invalid("spec.selector", &selector.cloned().unwrap_or_default(), why));
        }
        Some(Ok(labels)) => {
            if template.is_some_and(|template| !labels.matches(template)) {
                let found =
                    template.and_then(|template| template.pointer("/metadata/labels")).cloned().unwrap_or_default();
                let why = "`selector` does not match template `labels`";
                causes.push(Cause::invalid("spec.template.metadata.labels", &found, why));
            }
        }
    }
    match template {
        None => causes.push(Cause::required("spec.template", "")),
        some => causes.extend(pod::check_template(some, "spec.template")),
    }
    if let Some(before) = old.and_then(|old| old.pointer("/spec/selector"))
        && Some(before) != selector
    {
        causes.push(Cause::invalid("spec.selector", &selector.cloned().unwrap_or_default(), "field is immutable"));
    }
    causes
}

pub fn check_lease(lease: &Value) -> Vec<Cause> {
    let duration = number(lease, "/spec/leaseDurationSeconds").filter(|seconds| *seconds <= 0);
    let transitions = number(lease, "/spec/leaseTransitions").filter(|count| *count < 0);
    let long =
        duration.map(|found| Cause::invalid("spec.leaseDurationSeconds", &found.into(), "must be greater than 0"));
    let many = transitions
        .map(|found| Cause::invalid("spec.leaseTransitions", &found.into(), "must be greater than or equal to 0"));
    long.into_iter().chain(many).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(labels: &Value) -> Value {
        json!({ "spec": {
            "selector": { "matchLabels": { "app": "a" } },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "a", "image": "a" }] } },
        } })
    }

    #[test]
    fn a_selector_must_match_the_template() {
        let causes = check(&set(&json!({ "app": "b" })), None);

        assert_eq!(
            causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(),
            ["spec.template.metadata.labels"]
        );
    }

    #[test]
    fn a_selector_does_not_change() {
        let mut changed = set(&json!({ "app": "a", "b": "c" }));
        crate::json::set(&mut changed, &["spec", "selector", "matchLabels"], json!({ "b": "c" }));

        let causes = check(&changed, Some(&set(&json!({ "app": "a" }))));

        assert!(causes.iter().any(|cause| cause.message.ends_with("field is immutable")));
    }
}
