//! Work on single pods: `spec.restartAt`, and ephemeral metadata on pods that live (`reference/argo-rollouts.md` section 4, "Restart").

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::annotations;
use serde_json::json;

use crate::metadata::{self, Sync};
use crate::observed::{Pod, ReplicaSet};
use crate::pass::Pass;
use crate::plan::{Action, Need, Write};
use crate::{selector, time};

/// Seconds until pods are looked at again when a restart could not go on (a disruption budget, pods that are not back yet).
const RESTART_RETRY_SECONDS: u32 = 30;

impl Pass {
    /// Evicts pods older than `restartAt`: as many at a time as may be unavailable, at least one; stable's first. The last ready pod of a
    /// side that has traffic stays.
    pub fn restart(&mut self) {
        let Some(restart_at) = self.scene.observed.rollout.spec.restart_at.clone() else { return };
        if self.status.restarted_at.as_ref() == Some(&restart_at) {
            return;
        }
        if restart_at.0 > self.scene.now {
            self.wake(restart_at.0);
            return;
        }
        let Some(pods) = self.pods() else { return };
        if !pods.iter().any(|pod| self.is_outdated(pod, restart_at.0)) {
            self.status.restarted_at = Some(restart_at);
            return;
        }
        let mut ready: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| is_up(pod)) {
            *ready.entry(pod.hash.as_str()).or_default() += 1;
        }
        let mut evicted = Vec::new();
        for pod in self.next_evictions(restart_at.0, &pods) {
            let left = ready.entry(pod.hash.as_str()).or_default();
            if pod.ready && *left == 1 && self.last_pod_serves(&pod.hash) {
                continue;
            }
            *left -= usize::from(pod.ready);
            evicted.push(Write { action: Action::EvictPod { name: pod.name.clone() }, events: Vec::new() });
        }
        self.writes.extend(evicted);
        self.wake(time::after(self.scene.now, RESTART_RETRY_SECONDS));
    }

    fn is_outdated(&self, pod: &Pod, restart_at: Timestamp) -> bool {
        let mut sides = self.scene.stable.iter().chain(&self.scene.new);
        pod.created < restart_at && sides.any(|side| side.hash() == pod.hash)
    }

    /// The pods that a restart takes next, were none of them the last that serves.
    fn next_evictions<'a>(&self, restart_at: Timestamp, pods: &'a [Pod]) -> Vec<&'a Pod> {
        let wanted: u32 = self.scene.observed.replica_sets.iter().map(|replica_set| replica_set.replicas).sum();
        let up = pods.iter().filter(|pod| is_up(pod)).count();
        let down = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(up);
        let at_once = usize::try_from(self.scene.limits.unavailable.max(1)).unwrap_or(1);
        let mut waiting: Vec<&Pod> =
            pods.iter().filter(|pod| self.is_outdated(pod, restart_at) && !pod.terminating).collect();
        waiting.sort_by_key(|pod| (pod.hash != self.status.stable_rs, pod.created));
        waiting.truncate(at_once.saturating_sub(down));
        waiting
    }

    /// Requests are sent to this revision, and without its last ready pod they would fail.
    fn last_pod_serves(&self, hash: &str) -> bool {
        let Some(traffic) = &self.scene.traffic else { return false };
        if hash == self.status.stable_rs {
            // A rollout of one pod has no other that could serve meanwhile.
            return self.scene.replicas > 1 && traffic.served.least < traffic.shape.max_weight;
        }
        traffic.served.most > 0 || traffic.confirmed != Some(0)
    }

    /// A restart takes, or has just taken, the last ready pod of the canary: the weight is moved to stable first and comes back with a
    /// fresh pod.
    pub fn restart_empties_canary(&self) -> bool {
        let due = self
            .scene
            .observed
            .rollout
            .spec
            .restart_at
            .as_ref()
            .filter(|at| at.0 <= self.scene.now && self.status.restarted_at.as_ref() != Some(at));
        let (Some(restart_at), Some(pods)) = (due, self.own_pods()) else { return false };
        let next = self.next_evictions(restart_at.0, &pods);
        let mut canary = pods.iter().filter(|pod| pod.hash == self.scene.new_hash).peekable();
        let there = canary.peek().is_some();
        let up: Vec<&Pod> = canary.filter(|pod| is_up(pod)).collect();
        there && up.len() <= 1 && up.iter().all(|pod| next.iter().any(|evicted| evicted.name == pod.name))
    }

    /// Labels and annotations by role, on templates and on pods.
    pub fn sync_metadata(&mut self) {
        let canary_role = self.scene.fields.canary_metadata.clone().unwrap_or_default();
        let stable_role = self.scene.fields.stable_metadata.clone().unwrap_or_default();
        let is_stable = self.scene.is_stable(&self.status) || self.status.stable_rs.is_empty();
        if let Some(new) = self.scene.new.clone() {
            self.sync_role(&new, if is_stable { &stable_role } else { &canary_role });
        }
        if let Some(stable) = self.scene.stable.clone()
            && !is_stable
        {
            self.sync_role(&stable, &stable_role);
        }
    }

    fn sync_role(&mut self, replica_set: &Arc<ReplicaSet>, wanted: &kulta_api::strategy::PodMetadata) {
        // The user's own values come back from the template that is being replaced; an older revision has no other record of them.
        let written = if replica_set.hash() == self.scene.new_hash {
            self.scene.observed.rollout.spec.template.clone()
        } else {
            kulta_api::PodTemplate::default()
        };
        let annotate =
            |value: String| json!({ "metadata": { "annotations": { annotations::EPHEMERAL_METADATA: value } } });
        let patch = match metadata::next(replica_set, wanted, &written) {
            Sync::Done => return,
            Sync::Template(template) => json!({ "spec": { "template": template } }),
            Sync::Pods => {
                let Some(pods) = self.pods() else { return };
                let old = metadata::injected(replica_set);
                let patches: Vec<Write> = pods
                    .iter()
                    .filter(|pod| pod.hash == replica_set.hash() && !pod.terminating)
                    .filter_map(|pod| {
                        let patch = metadata::pod_patch(pod, &old, wanted, &written)?;
                        Some(Write { action: Action::PatchPod { name: pod.name.clone(), patch }, events: Vec::new() })
                    })
                    .collect();
                self.writes.extend(patches);
                annotate(metadata::annotation(wanted))
            }
        };
        let action = Action::PatchReplicaSet { name: replica_set.name.clone(), patch };
        self.writes.push(Write { action, events: Vec::new() });
    }

    /// The rollout's pods, or a need for them.
    fn pods(&mut self) -> Option<Vec<Pod>> {
        if self.scene.observed.looked_up.pods.is_none() {
            let selector = self.scene.observed.rollout.spec.selector.as_ref();
            self.need = Some(Need::Pods { selector: selector.map(selector::format).unwrap_or_default() });
        }
        self.own_pods()
    }

    /// The pods of the rollout's ReplicaSets, as far as they have been looked up. Others may have the same labels.
    fn own_pods(&self) -> Option<Vec<Pod>> {
        let owned = |pod: &&Pod| self.scene.observed.replica_sets.iter().any(|owner| owner.uid == pod.owner);
        Some(self.scene.observed.looked_up.pods.as_ref()?.iter().filter(owned).cloned().collect())
    }
}

/// It counts as there.
fn is_up(pod: &Pod) -> bool {
    pod.ready && !pod.terminating
}
