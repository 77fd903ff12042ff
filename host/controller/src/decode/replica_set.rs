//! ReplicaSets, with their template as JSON.

use jiff::Timestamp;
use kulta_api::PodTemplate;
use kulta_core::observed::ReplicaSet;
use serde_json::Value;

use super::{count, texts};
use crate::object::{Object, text, version};
use crate::packed::Packed;

#[derive(Clone, Debug)]
pub struct CachedReplicaSet {
    pub version: u64,
    /// Uid of the Rollout that controls it; `None` when something else does, or nothing.
    pub owner: Option<String>,
    object: Packed,
}

#[must_use]
pub fn replica_set(mut object: Object) -> CachedReplicaSet {
    object.trim();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    CachedReplicaSet {
        version: version(text(metadata, "resourceVersion")),
        owner: controlling_rollout(metadata),
        object: Packed::of(&object.json),
    }
}

impl CachedReplicaSet {
    #[must_use]
    pub fn open(&self) -> ReplicaSet {
        read(self.object.open())
    }
}

fn read(mut json: Value) -> ReplicaSet {
    let template = json.pointer_mut("/spec/template").map(Value::take).unwrap_or_default();
    let metadata = json.get("metadata").unwrap_or(&Value::Null);
    ReplicaSet {
        name: text(metadata, "name").to_owned(),
        uid: text(metadata, "uid").to_owned(),
        created: text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH),
        generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
        labels: texts(&json, "/metadata/labels"),
        annotations: texts(&json, "/metadata/annotations"),
        replicas: count(&json, "/spec/replicas"),
        min_ready_seconds: count(&json, "/spec/minReadySeconds"),
        template: PodTemplate(template),
        created_replicas: count(&json, "/status/replicas"),
        ready_replicas: count(&json, "/status/readyReplicas"),
        available_replicas: count(&json, "/status/availableReplicas"),
        deleting: metadata.get("deletionTimestamp").is_some(),
        failure: failure(&json),
    }
}

/// Uid of the Rollout in the owner reference that controls.
pub fn controlling_rollout(metadata: &Value) -> Option<String> {
    metadata.get("ownerReferences")?.as_array()?.iter().find_map(|owner| {
        let controls = owner.get("controller").and_then(Value::as_bool).unwrap_or(false);
        let is_rollout = text(owner, "kind") == "Rollout" && text(owner, "apiVersion").starts_with("argoproj.io/");
        (controls && is_rollout).then(|| text(owner, "uid").to_owned())
    })
}

fn failure(json: &Value) -> Option<String> {
    json.pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| text(condition, "type") == "ReplicaFailure" && text(condition, "status") == "True")
        .map(|condition| text(condition, "message").to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replica_set_keeps_its_template_and_its_owner() {
        let cached = replica_set(Object::new(json!({
            "metadata": {
                "name": "shop-1", "uid": "u1", "resourceVersion": "42", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3,
                "labels": { "rollouts-pod-template-hash": "abc" },
                "ownerReferences": [
                    { "kind": "Other", "apiVersion": "v1", "uid": "x" },
                    { "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1", "uid": "r1", "controller": true },
                ],
            },
            "spec": { "replicas": 2, "template": { "spec": { "ofTheFuture": [1] } } },
            "status": { "replicas": 2, "readyReplicas": 1, "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "quota" }] },
        })));

        let replica_set = cached.open();
        assert_eq!((cached.version, cached.owner.as_deref()), (42, Some("r1")));
        assert_eq!((replica_set.hash(), replica_set.replicas, replica_set.ready_replicas), ("abc", 2, 1));
        assert_eq!(replica_set.template.0, json!({ "spec": { "ofTheFuture": [1] } }));
        assert_eq!(replica_set.failure.as_deref(), Some("quota"));
    }

    #[test]
    fn a_replica_set_of_a_deployment_has_no_owner_here() {
        let cached = replica_set(Object::new(json!({ "metadata": {
            "ownerReferences": [{ "kind": "Deployment", "apiVersion": "apps/v1", "uid": "d", "controller": true }]
        } })));

        assert_eq!(cached.owner, None);
    }
}
