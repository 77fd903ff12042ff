//! Work on single pods: `spec.restartAt`, and ephemeral metadata on pods that live (`reference/argo-rollouts.md` section 4, "Restart").

use std::collections::BTreeMap;
use std::sync::Arc;

use kulta_api::annotations;
use serde_json::json;

use crate::metadata::{self, Sync};
use crate::observed::{Pod, ReplicaSet};
use crate::pass::Pass;
use crate::plan::{Action, Need, Write};
use crate::time;

/// Seconds until pods are looked at again when a restart could not go on (a disruption budget, pods that are not back yet).
const RESTART_RETRY_SECONDS: u32 = 30;

impl Pass {
    /// Evicts pods older than `restartAt`: as many at a time as may be unavailable, at least one; stable's first.
    pub fn restart(&mut self) {
        let spec = &self.scene.observed.rollout.spec;
        let Some(restart_at) = spec.restart_at.clone() else { return };
        if self.status.restarted_at.as_ref() == Some(&restart_at) {
            return;
        }
        if restart_at.0 > self.scene.now {
            self.wake(restart_at.0);
            return;
        }
        let Some(pods) = self.pods() else { return };
        let ours: Vec<&str> = self.scene.stable.iter().chain(&self.scene.new).map(|found| found.hash()).collect();
        let old = |pod: &&Pod| pod.created < restart_at.0 && ours.contains(&pod.hash.as_str());
        let mut waiting: Vec<&Pod> = pods.iter().filter(old).collect();
        if waiting.is_empty() {
            self.status.restarted_at = Some(restart_at);
            return;
        }
        let wanted: u32 = self.scene.observed.replica_sets.iter().map(|replica_set| replica_set.replicas).sum();
        let up = pods.iter().filter(|pod| pod.ready && !pod.terminating).count();
        let down = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(up);
        let at_once = usize::try_from(self.scene.limits.unavailable.max(1)).unwrap_or(1);
        waiting.retain(|pod| !pod.terminating);
        waiting.sort_by_key(|pod| (pod.hash != self.status.stable_rs, pod.created));
        let evicted: Vec<Write> = waiting
            .into_iter()
            .take(at_once.saturating_sub(down))
            .map(|pod| Write { action: Action::EvictPod { name: pod.name.clone() }, events: Vec::new() })
            .collect();
        self.writes.extend(evicted);
        self.wake(time::after(self.scene.now, RESTART_RETRY_SECONDS));
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
            let labels: BTreeMap<String, String> =
                selector.and_then(|selector| selector.match_labels.clone()).unwrap_or_default();
            self.need = Some(Need::Pods { labels });
        }
        self.scene.observed.looked_up.pods.clone()
    }
}
