//! ReplicaSets of a rollout: names, labels and annotations as in Argo (`reference/argo-rollouts.md` section 4, "Identity").

use std::collections::BTreeMap;

use kulta_api::{PodTemplate, Rollout, annotations};
use serde_json::{Map, Value, json};

use crate::affinity;
use crate::hash;
use crate::metadata;
use crate::patch::merge_into_object;

/// Rollout annotations that describe the Rollout object itself and are not copied to its ReplicaSets.
const NOT_COPIED: [&str; 4] =
    [annotations::LAST_APPLIED, annotations::REVISION, annotations::REVISION_HISTORY, annotations::DESIRED_REPLICAS];

/// The kind of these objects, as messages name it.
pub const KIND: &str = "ReplicaSet";

/// Inputs for the object of a revision.
#[derive(Clone, Copy, Debug)]
pub struct NewWorkload<'a> {
    pub rollout: &'a Rollout,
    pub template: &'a PodTemplate,
    pub hash: &'a str,
    pub revision: u64,
    pub replicas: u32,
    /// The stable revision's hash, if the object is for another revision.
    pub stable: Option<&'a str>,
}

/// `<rollout>-<hash>`.
#[must_use]
pub fn name(rollout: &str, hash: &str) -> String {
    format!("{rollout}-{hash}")
}

/// The object to create.
#[must_use]
pub fn body(spec: &NewWorkload<'_>) -> Value {
    let NewWorkload { rollout, template: written, hash, revision, replicas, stable } = *spec;
    let rollout_name = rollout.metadata.name.as_deref().unwrap_or_default();
    let fields = rollout.spec.strategy.any_fields();
    let mut template = written.0.clone();
    let mut annotations = copied_annotations(rollout);
    annotations.insert(annotations::REVISION.into(), revision.to_string());
    annotations.insert(annotations::DESIRED_REPLICAS.into(), rollout.spec.replicas().to_string());
    annotations.insert(annotations::TEMPLATE_HASH.into(), hash::template_hash(&written.0));

    if let Some(fields) = fields {
        let role = if stable.is_some() { fields.canary_metadata.as_ref() } else { fields.stable_metadata.as_ref() };
        if let Some(injected) = role {
            metadata::inject(&mut template, injected);
            annotations.insert(annotations::EPHEMERAL_METADATA.into(), metadata::annotation(injected));
        }
        affinity::inject(&mut template, fields.anti_affinity.as_ref(), stable);
    }
    let mut labels = written.labels();
    labels.insert(annotations::POD_TEMPLATE_HASH.into(), hash.to_owned());
    merge_into(&mut template, "metadata", json!({ "labels": { annotations::POD_TEMPLATE_HASH: hash } }));

    let mut selector = serde_json::to_value(&rollout.spec.selector).unwrap_or_default();
    merge_into_object(&mut selector, json!({ "matchLabels": { annotations::POD_TEMPLATE_HASH: hash } }));
    json!({
        "apiVersion": "apps/v1",
        "kind": KIND,
        "metadata": {
            "name": name(rollout_name, hash),
            "namespace": rollout.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "name": rollout_name,
                "uid": rollout.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true
            }]
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": rollout.spec.min_ready_seconds(),
            "selector": selector,
            "template": template
        }
    })
}

/// The Rollout's annotations that its newest revision's object carries.
#[must_use]
pub fn copied_annotations(rollout: &Rollout) -> BTreeMap<String, String> {
    rollout
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Deep-merges `addition` into the object at `key`. Any other value there is replaced by an object.
fn merge_into(target: &mut Value, key: &str, addition: Value) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(map) = target {
        merge_into_object(map.entry(key.to_owned()).or_insert_with(|| json!({})), addition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn build(stable: Option<&str>) -> Value {
        let rollout = fixtures::rollout(json!({ "canary": { "canaryMetadata": { "labels": { "role": "canary" } } } }));
        let template = &rollout.spec.template;
        body(&NewWorkload { rollout: &rollout, template, hash: "abc", revision: 3, replicas: 2, stable })
    }

    #[test]
    fn a_new_replica_set_is_named_after_the_rollout_and_the_hash() {
        assert_eq!(build(None)["metadata"]["name"], "web-abc");
    }

    #[test]
    fn pods_and_selector_carry_the_hash() {
        let body = build(None);

        assert_eq!(
            (
                &body["spec"]["selector"]["matchLabels"][annotations::POD_TEMPLATE_HASH],
                &body["spec"]["template"]["metadata"]["labels"][annotations::POD_TEMPLATE_HASH],
                &body["spec"]["template"]["metadata"]["labels"]["app"],
            ),
            (&json!("abc"), &json!("abc"), &json!("web"))
        );
    }

    #[test]
    fn a_canary_is_created_with_the_canary_metadata() {
        let body = build(Some("old"));

        assert_eq!(body["spec"]["template"]["metadata"]["labels"]["role"], "canary");
    }

    #[test]
    fn the_first_revision_is_created_without_the_canary_metadata() {
        assert_eq!(build(None)["spec"]["template"]["metadata"]["labels"]["role"], Value::Null);
    }

    #[test]
    fn the_rollout_is_the_controlling_owner() {
        let body = build(None);

        assert_eq!(body["metadata"]["ownerReferences"][0]["controller"], true);
    }

    #[test]
    fn the_annotation_of_kubectl_on_the_rollout_is_not_copied() {
        let mut rollout = fixtures::rollout(json!({ "canary": {} }));
        rollout.metadata.annotations = Some(BTreeMap::from([
            (annotations::LAST_APPLIED.to_owned(), "{}".to_owned()),
            ("team".to_owned(), "shop".to_owned()),
        ]));

        assert_eq!(copied_annotations(&rollout), BTreeMap::from([("team".to_owned(), "shop".to_owned())]));
    }
}
