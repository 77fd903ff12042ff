//! The writes that bring pods, Services and routes to what was decided. A write that changes nothing is not planned.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use kulta_api::annotations;
use serde_json::{Map, Value, json};

use crate::observed::ReplicaSet;
use crate::pass::Pass;
use crate::patch;
use crate::plan::{Action, EventReason, Need, PodController, Write};
use crate::replica_set::{self, Blueprint};
use crate::{affinity, hash, identity, pod_names, time};

/// How soon to look again whether EndpointSlices still list pods that are to go.
const ENDPOINTS_RETRY: SignedDuration = SignedDuration::from_millis(500);
/// `spec.replicas` of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pods {
    pub new: u32,
    /// Without meaning while the new revision is the stable one.
    pub stable: u32,
}

/// Annotations to set, or to take off, by the ReplicaSet's hash.
pub(crate) type Notes = BTreeMap<String, BTreeMap<&'static str, Option<String>>>;

impl Pass {
    /// Plans all writes. `weight` is what routes should say, with traffic routing.
    pub fn apply_sides(&mut self, pods: Pods, weight: Option<u32>) {
        if self.scene.canary_exposed() && !self.scene.is_stable(&self.status) {
            self.kulta.exposed = true;
        }
        if self.kulta.serving_since.is_none() && self.scene.canary_serves() && !self.scene.is_stable(&self.status) {
            self.kulta.serving_since = Some(time::ceil(self.scene.now));
        }
        self.switch_services();
        let begins_nothing = self.blocked.is_some();
        self.refused = weight.map(|weight| self.write_routes(weight)).unwrap_or_default();
        match self.scene.new.clone().filter(|_| begins_nothing) {
            Some(new) => self.scale(&new, self.kept_for_requests(&new, pods.new, weight), Map::new(), None),
            None if begins_nothing => {}
            None => {
                let new = self.scene.new.as_ref();
                self.new_replica_set(new.map_or(pods.new, |new| self.kept_for_requests(new, pods.new, weight)));
            }
        }
        if let Some(stable) = self.scene.stable.clone()
            && Some(&stable.name) != self.scene.new.as_ref().map(|new| &new.name)
        {
            self.note_in_use(&stable);
            self.scale(&stable, self.kept_for_requests(&stable, pods.stable, weight), Map::new(), None);
        }
        self.other_replica_sets();
        if begins_nothing {
            return;
        }
        self.sync_metadata();
        self.restart();
        self.collect_history();
        self.number_rollout();
    }

    /// The scale that leaves a revision the pods that its requests need, by whichever Service it gets them: now, or with the weight that
    /// is written beside this.
    fn kept_for_requests(&self, replica_set: &ReplicaSet, target: u32, weight: Option<u32>) -> u32 {
        let Some(traffic) = self.scene.traffic.as_ref().filter(|_| self.scene.replicas > 0) else { return target };
        let (max, served) = (traffic.shape.max_weight, traffic.served);
        let least = weight.map_or(served.least, |weight| weight.min(served.least));
        let most = weight.map_or(served.most, |weight| weight.max(served.most));
        let selects = |service: &String| {
            self.scene.service(Some(service)).and_then(|service| service.hash()) == Some(replica_set.hash())
        };
        // The canary Service selects the new revision, or may be pointed at it beside this.
        let by_canary = selects(&traffic.canary_service) || replica_set.hash() == self.scene.new_hash;
        let by_stable = selects(&traffic.stable_service);
        let share = if by_stable { max.saturating_sub(least) } else { 0 } + if by_canary { most } else { 0 };
        let needed = crate::replicas::share_of(traffic.shape.replicas, share.min(max), max);
        target.max(replica_set.replicas.min(needed))
    }

    /// Where the traffic is cannot be told: no pod goes, and stable gets all that it may have to serve with.
    pub fn keep_pods(&mut self) {
        if let Some(stable) = self.scene.stable.clone() {
            self.scale(&stable, stable.replicas.max(self.scene.replicas), Map::new(), None);
        }
    }

    pub fn annotate(&mut self, hash: &str, key: &'static str, value: Option<String>) {
        self.notes.entry(hash.to_owned()).or_default().insert(key, value);
    }

    /// A revision that is wanted has no deadline.
    fn note_in_use(&mut self, replica_set: &ReplicaSet) {
        if replica_set.annotations.contains_key(annotations::SCALE_DOWN_DEADLINE) {
            let hash = replica_set.hash().to_owned();
            self.annotate(&hash, annotations::SCALE_DOWN_DEADLINE, None);
        }
    }

    fn new_replica_set(&mut self, replicas: u32) {
        let number = self.scene.revision_number();
        let Some(new) = self.scene.new.clone() else {
            // Stopped by the spec: a revision that has no pods yet gets none.
            if !self.scene.observed.rollout.spec.paused() {
                self.create(replicas, number);
            }
            return;
        };
        let canonical = hash::template_hash(&self.scene.observed.rollout.spec.template.0);
        let mut wanted = replica_set::copied_annotations(&self.scene.observed.rollout);
        wanted.insert(annotations::TEMPLATE_HASH.to_owned(), identity::with_hash(&new, &canonical));
        if new.revision() != number {
            wanted.insert(annotations::REVISION.to_owned(), number.to_string());
            if new.revision() > 0 {
                let before = new.annotations.get(annotations::REVISION_HISTORY);
                let history = before.map_or_else(String::new, |history| format!("{history},"));
                wanted.insert(annotations::REVISION_HISTORY.to_owned(), format!("{history}{}", new.revision()));
            }
        }
        wanted.retain(|key, value| new.annotations.get(key) != Some(value));
        let notes = wanted.into_iter().map(|(key, value)| (key, json!(value))).collect();
        if !self.status.abort {
            self.note_in_use(&new);
        }
        let mut spec = Map::new();
        let ready_seconds = self.scene.observed.rollout.spec.min_ready_seconds();
        if new.min_ready_seconds != ready_seconds {
            spec.insert("minReadySeconds".to_owned(), json!(ready_seconds));
        }
        if let Some(change) = self.affinity_change(&new, number) {
            spec.insert("template".to_owned(), json!({ "spec": { "affinity": change } }));
        }
        self.scale(&new, replicas, notes, Some(spec));
    }

    /// The injected rule keeps away from the stable revision, and is gone once this is it.
    fn affinity_change(&self, new: &ReplicaSet, number: u64) -> Option<Value> {
        let stable = self.other_stable();
        let wanted = self.scene.fields.anti_affinity.as_ref().and(stable.clone());
        let present = affinity::injected(&new.template.0);
        if present == wanted.into_iter().collect::<Vec<_>>() {
            return None;
        }
        let body = replica_set::body(&Blueprint {
            rollout: &self.scene.observed.rollout,
            hash: &self.scene.new_hash,
            revision: number,
            replicas: 0,
            stable: stable.as_deref(),
        });
        let at = |template: &Value| template.pointer("/spec/affinity").cloned().unwrap_or(Value::Null);
        let after = body.pointer("/spec/template").map_or(Value::Null, at);
        patch::diff(&at(&new.template.0), &after)
    }

    /// Hash of the stable revision, when the new one is not it.
    fn other_stable(&self) -> Option<String> {
        (!self.status.stable_rs.is_empty() && !self.scene.is_stable(&self.status))
            .then(|| self.status.stable_rs.clone())
    }

    fn create(&mut self, replicas: u32, number: u64) {
        let stable = self.other_stable();
        let body = replica_set::body(&Blueprint {
            rollout: &self.scene.observed.rollout,
            hash: &self.scene.new_hash,
            revision: number,
            replicas,
            stable: stable.as_deref(),
        });
        let rollout = self.scene.observed.rollout.metadata.name.clone().unwrap_or_default();
        let name = replica_set::name(&rollout, &self.scene.new_hash);
        let mark = self.scene.new_hash.as_str();
        let mut events = vec![self.write_event(
            mark,
            EventReason::NewReplicaSetCreated,
            format!("Created ReplicaSet {name} (revision {number})"),
        )];
        if !self.scene.is_stable(&self.status) {
            events.push(self.not_completed_event());
        }
        // Argo creates with no pods and scales then: one write here, and both are told.
        if replicas > 0 {
            events.push(self.write_event(
                mark,
                EventReason::ScalingReplicaSet,
                format!("Scaled up ReplicaSet {name} (revision {number}) from 0 to {replicas}"),
            ));
        }
        self.writes.push(Write { action: Action::CreateReplicaSet { name, body }, events });
    }

    /// Scales a ReplicaSet and writes what was noted for it, in one patch.
    fn scale(
        &mut self,
        replica_set: &Arc<ReplicaSet>,
        target: u32,
        notes: Map<String, Value>,
        spec: Option<Map<String, Value>>,
    ) {
        let mut notes = notes;
        let mut spec = spec.unwrap_or_default();
        for (key, value) in self.notes.remove(replica_set.hash()).unwrap_or_default() {
            notes.insert(key.to_owned(), json!(value));
        }
        let current = replica_set.replicas;
        let mut event = None;
        if current != target && self.may_scale(replica_set, target) {
            let direction = if target > current { "up" } else { "down" };
            spec.insert("replicas".to_owned(), json!(target));
            let desired = self.scene.replicas;
            if replica_set.desired_replicas() != Some(desired) {
                notes.insert(annotations::DESIRED_REPLICAS.to_owned(), json!(desired.to_string()));
            }
            if target == 0 && replica_set.annotations.contains_key(annotations::SCALE_DOWN_DEADLINE) {
                notes.insert(annotations::SCALE_DOWN_DEADLINE.to_owned(), Value::Null);
            }
            event = Some(self.write_event(
                &format!("{}.g{}", replica_set.hash(), replica_set.generation),
                EventReason::ScalingReplicaSet,
                format!(
                    "Scaled {direction} ReplicaSet {} (revision {}) from {current} to {target}",
                    replica_set.name,
                    replica_set.revision()
                ),
            ));
        }
        let mut patch = Map::new();
        if !notes.is_empty() {
            patch.insert("metadata".to_owned(), json!({ "annotations": notes }));
        }
        if !spec.is_empty() {
            patch.insert("spec".to_owned(), Value::Object(spec));
        }
        if !patch.is_empty() {
            let action = Action::PatchReplicaSet { name: replica_set.name.clone(), patch: Value::Object(patch) };
            self.writes.push(Write { action, events: event.into_iter().collect() });
        }
    }

    /// A revision is not scaled to zero while a Service that has weight lists its pods.
    fn may_scale(&mut self, replica_set: &ReplicaSet, target: u32) -> bool {
        let Some(traffic) = &self.scene.traffic else { return true };
        // Whoever wants no pods at all has nobody left to serve.
        if target > 0 || replica_set.created_replicas == 0 || self.scene.replicas == 0 {
            return true;
        }
        let mut services = Vec::new();
        if traffic.served.least < traffic.shape.max_weight {
            services.push(traffic.stable_service.clone());
        }
        if traffic.served.most > 0 {
            services.push(traffic.canary_service.clone());
        }
        let Some(endpoints) = &self.scene.observed.looked_up.endpoints else {
            let with_pods = self.scene.observed.replica_sets.iter().filter(|other| other.created_replicas > 0);
            let replica_sets = with_pods
                .filter(|other| pod_names::is_cut(&other.name))
                .map(|other| PodController { uid: other.uid.clone(), hash: other.hash().to_owned() })
                .collect();
            self.need = Some(Need::Endpoints { services, replica_sets });
            return false;
        };
        let controlled = endpoints.controlled.get(&replica_set.uid);
        let is_own = |pod: &String| match controlled {
            Some(controlled) => controlled.contains(pod),
            None => pod_names::may_be_of(pod, &replica_set.name),
        };
        let still_listed =
            services.iter().filter_map(|service| endpoints.listed.get(service)).any(|pods| pods.iter().any(is_own));
        if still_listed {
            self.wake(self.scene.now.checked_add(ENDPOINTS_RETRY).unwrap_or(self.scene.now));
        }
        !still_listed
    }

    fn other_replica_sets(&mut self) {
        let others = self.scene.others.clone();
        let targets: Vec<u32> = if self.scene.traffic.is_some() {
            let mut lingering = 0;
            others
                .iter()
                .map(|other| {
                    let kept = self.kept_of_other(other, lingering);
                    lingering += usize::from(kept > 0);
                    kept
                })
                .collect()
        } else {
            self.drained()
        };
        for (other, target) in others.iter().zip(targets) {
            self.scale(other, target, Map::new(), None);
        }
    }

    /// Without routes older revisions go as fast as availability allows, oldest first.
    fn drained(&self) -> Vec<u32> {
        use crate::replicas::basic::{self, Side};
        let paused = self.scene.observed.rollout.spec.paused() && !self.scene.is_stable(&self.status);
        let others = &self.scene.others;
        if paused {
            return others.iter().map(|other| other.replicas).collect();
        }
        let oldest_first: Vec<Side> = others
            .iter()
            .rev()
            .map(|other| Side { replicas: other.replicas, available: other.available_replicas })
            .collect();
        let available = self
            .scene
            .observed
            .replica_sets
            .iter()
            .map(|replica_set| replica_set.available_replicas.min(replica_set.replicas))
            .sum();
        let mut targets = basic::drain(&oldest_first, available, self.scene.replicas, self.scene.limits);
        targets.reverse();
        targets
    }

    /// Old ReplicaSets without pods beyond the history limit, oldest first.
    fn collect_history(&mut self) {
        let limit = self.scene.observed.rollout.spec.revision_history_limit();
        let mut empty: Vec<_> = self
            .scene
            .others
            .iter()
            .filter(|other| other.replicas == 0 && other.created_replicas == 0 && !other.deleting)
            .filter(|other| !self.to_be_told(other.hash()))
            .cloned()
            .collect();
        empty.sort_by_key(|other| (other.revision(), other.created));
        let excess = self.scene.others.len().saturating_sub(limit);
        for old in empty.into_iter().take(excess) {
            let action = Action::DeleteReplicaSet { name: old.name.clone(), uid: old.uid.clone() };
            self.writes.push(Write { action, events: Vec::new() });
        }
    }

    /// An event about the revision may be told, or told again by a process that does not know it was: only the ReplicaSet says what
    /// the revision was, until the entry has left the stored outbox.
    fn to_be_told(&self, hash: &str) -> bool {
        self.kulta.outbox.iter().any(|entry| entry.hash == hash || entry.stable.as_deref() == Some(hash))
    }

    /// The Rollout carries its revision's number, as kubectl plugins read it.
    fn number_rollout(&mut self) {
        let number = self.scene.revision_number().to_string();
        let present =
            self.scene.observed.rollout.metadata.annotations.as_ref().and_then(|all| all.get(annotations::REVISION));
        if self.scene.new.is_some() && present != Some(&number) {
            let patch = json!({ "metadata": { "annotations": { annotations::REVISION: number } } });
            self.writes.push(Write { action: Action::PatchRollout { patch }, events: Vec::new() });
        }
    }
}
