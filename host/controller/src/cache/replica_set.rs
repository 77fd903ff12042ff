//! ReplicaSets, with their template as JSON.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kulta_api::PodTemplate;
use kulta_core::workload::Revision;
use serde::Deserialize;
use serde_json::Value;

use super::kind::stored_in;
use super::raw_json::RawJson;
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, controlling_rollout, text, version};

#[derive(Clone, Debug)]
pub struct CachedReplicaSet {
    pub version: u64,
    /// Uid of the Rollout that controls it; `None` when something else does, or nothing.
    pub owner: Option<String>,
    object: RawJson,
}

fn replica_set(mut object: Object) -> CachedReplicaSet {
    object.trim();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    CachedReplicaSet {
        version: version(text(metadata, "resourceVersion")),
        owner: controlling_rollout(metadata),
        object: RawJson::of(&object.json),
    }
}

impl CachedReplicaSet {
    /// # Errors
    /// When it is no ReplicaSet, which no API server lets happen.
    pub fn open(&self) -> Result<Revision, serde_json::Error> {
        let Read { metadata, spec, status } = self.object.decode()?;
        let failure = status.conditions.into_iter().find(|condition| condition.is_failure());
        Ok(Revision {
            name: metadata.name,
            uid: metadata.uid,
            created: metadata.creation_timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
            generation: metadata.generation,
            labels: metadata.labels,
            annotations: metadata.annotations,
            replicas: count(spec.replicas),
            min_ready_seconds: count(spec.min_ready_seconds),
            template: spec.template,
            created_replicas: count(status.replicas),
            ready_replicas: count(status.ready_replicas),
            available_replicas: count(status.available_replicas),
            deleting: metadata.deletion_timestamp.is_some(),
            failure: failure.map(|condition| condition.message),
        })
    }
}

/// A count; negative ones are none.
fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// What is read of a ReplicaSet, whose form the API server vouches for.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Read {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    generation: i64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    replicas: i64,
    min_ready_seconds: i64,
    template: PodTemplate,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    replicas: i64,
    ready_replicas: i64,
    available_replicas: i64,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    message: String,
}

impl Condition {
    fn is_failure(&self) -> bool {
        self.r#type == "ReplicaFailure" && self.status == "True"
    }
}

pub struct ReplicaSets;

impl CachedKind for ReplicaSets {
    const KIND: Kind = Kind::ReplicaSet;
    const OPTIONAL: bool = false;
    /// Those of plain Deployments, which are most of them, do not have it.
    const SELECTION: Selection = Selection::Labelled(kulta_api::annotations::POD_TEMPLATE_HASH);

    stored_in!(replica_sets, CachedReplicaSet);

    fn decode(object: Object) -> CachedReplicaSet {
        replica_set(object)
    }

    fn set(contents: &mut Contents, key: Key, replica_set: CachedReplicaSet) -> ChangeSet {
        let owner = replica_set.owner.clone();
        let before = contents.replica_sets.set(key.clone(), replica_set);
        let mut changes = ChangeSet::default();
        let owner_before = before.and_then(|before| before.owner);
        if owner_before != owner {
            if let Some(owner) = &owner_before {
                contents.index.remove_replica_set(&key, owner);
                changes.rollouts.extend(contents.index.rollout(owner).cloned());
            }
            if let Some(owner) = &owner {
                contents.index.add_replica_set(&key, owner);
            }
        }
        changes.rollouts.extend(owner.and_then(|owner| contents.index.rollout(&owner).cloned()));
        changes
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let mut changes = ChangeSet::default();
        if let Some(owner) = contents.replica_sets.remove(key).and_then(|before| before.owner) {
            contents.index.remove_replica_set(key, &owner);
            changes.rollouts.extend(contents.index.rollout(&owner).cloned());
        }
        changes
    }

    fn rollouts_of_watch(_: &Contents, _: &Scope) -> BTreeSet<Key> {
        BTreeSet::new()
    }
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

        let replica_set = cached.open().unwrap();
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
