//! ReplicaSets: create and delete pods, and report counts.

use std::{cmp::Reverse, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    client::{self, Client, Watched},
    pods::{NODE, Pods},
};
use crate::{
    json::{self, meta, number, text},
    kind::Key,
    selector::Labels,
};

/// The annotation with a pod's deletion cost; the lowest is deleted first.
const DELETION_COST: &str = "/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost";

/// The ReplicaSet that controls a pod.
pub fn owner(pod: &Value) -> Option<Key> {
    let owner = meta::owners(pod).find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    (text(owner, "/kind") == "ReplicaSet").then(|| Key::new(meta::namespace(pod), text(owner, "/name")))
}

pub fn reconcile(client: &Client, pods: &Pods, key: &Key, now: Timestamp) -> Option<Timestamp> {
    let set = client.get(Watched::ReplicaSet, key)?;
    let mut active = active_pods(client, &set);
    let wanted = usize::try_from(number(&set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
    if !meta::deleting(&set) && active.len() != wanted {
        for _ in active.len()..wanted {
            client.create(Watched::Pod, key.namespace(), pod_of(&set));
        }
        active.sort_by_cached_key(|pod| worth(pods, pod));
        for surplus in active.iter().take(active.len().saturating_sub(wanted)) {
            client.delete(Watched::Pod, &client::key(surplus), false);
        }
        active = active_pods(client, &set);
    }
    let (status, again) = counts(pods, &set, &active, now);
    client.set_status(Watched::ReplicaSet, &set, status);
    again
}

fn active_pods(client: &Client, set: &Value) -> Vec<Arc<Value>> {
    let mut pods = client.list_in(Watched::Pod, meta::namespace(set));
    pods.retain(|pod| {
        let over = ["Failed", "Succeeded"].contains(&text(pod, "/status/phase"));
        !over && !meta::deleting(pod) && meta::owners(pod).any(|owner| text(owner, "/uid") == meta::uid(set))
    });
    pods
}

fn pod_of(set: &Value) -> Value {
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": template.get("metadata").filter(|metadata| metadata.is_object()).cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_default(),
    });
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": meta::name(set), "uid": meta::uid(set),
        "controller": true, "blockOwnerDeletion": true,
    });
    json::set(&mut pod, &["metadata", "generateName"], format!("{}-", meta::name(set)));
    json::set(&mut pod, &["metadata", "ownerReferences"], vec![owner]);
    json::set(&mut pod, &["spec", "nodeName"], NODE);
    pod
}

/// The order in which surplus pods are deleted, as in Kubernetes: not running, not ready, low cost, ready for the
/// shortest time, youngest.
fn worth(pods: &Pods, pod: &Value) -> (bool, bool, i64, Reverse<Option<Timestamp>>, Reverse<String>, String) {
    let ready = pods.ready_since(pod);
    let cost = text(pod, DELETION_COST).parse().unwrap_or(0);
    (
        text(pod, "/status/phase") == "Running",
        ready.is_some(),
        cost,
        Reverse(ready),
        Reverse(text(pod, "/metadata/creationTimestamp").to_owned()),
        meta::name(pod).to_owned(),
    )
}

/// The status, and when the next ready pod counts as available.
fn counts(pods: &Pods, set: &Value, active: &[Arc<Value>], now: Timestamp) -> (Value, Option<Timestamp>) {
    let patience = SignedDuration::from_secs(number(set, "/spec/minReadySeconds").unwrap_or(0));
    let template = set.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
    let labelled = Labels::of_object(&json!({"matchLabels": template}));
    let full = active.iter().filter(|pod| labelled.as_ref().is_ok_and(|labels| labels.matches(pod))).count();
    let ready: Vec<Timestamp> = active.iter().filter_map(|pod| pods.ready_since(pod)).collect();
    let due: Vec<Timestamp> = ready.iter().filter_map(|since| since.checked_add(patience).ok()).collect();
    let available = due.iter().filter(|due| **due <= now).count();
    let mut status = json!({"replicas": active.len()});
    // Kubernetes omits counts of zero.
    for (field, count) in
        [("fullyLabeledReplicas", full), ("readyReplicas", ready.len()), ("availableReplicas", available)]
    {
        if count > 0 {
            json::set(&mut status, &[field], count);
        }
    }
    if let Some(generation) = meta::generation(set) {
        json::set(&mut status, &["observedGeneration"], generation);
    }
    if let Some(conditions) = set.pointer("/status/conditions") {
        json::set(&mut status, &["conditions"], conditions.clone());
    }
    (status, due.into_iter().filter(|due| *due > now).min())
}
