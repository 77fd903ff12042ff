//! Telling: transitions into the outbox, Kubernetes events into the plan.

use kulta_api::{OutboxEntry, TransitionKind};
use serde_json::json;

use crate::pass::Pass;
use crate::plan::{EventKind, EventReason, KubeEvent};
use crate::{hash, reference, time};

/// Characters of the rollout's uid in event names: a rollout made anew under the same name must not find its events told.
const UID_CHARS: usize = 8;

impl Pass {
    /// Stores a transition; `detail` fills in what its kind carries.
    pub fn tell(&mut self, kind: TransitionKind, detail: impl FnOnce(&mut OutboxEntry)) {
        let stable = &self.status.stable_rs;
        let mut entry = OutboxEntry {
            seq: 0,
            kind,
            at: time::floor(self.scene.now),
            hash: self.scene.new_hash.clone(),
            revision: None,
            stable: (!stable.is_empty()).then(|| stable.clone()),
            step: None,
            steps: self.scene.strategy.steps,
            weight: None,
            from: None,
            outcome: None,
            failure: None,
            run: None,
            metric: None,
            cause: None,
            why: None,
            first: 0,
        };
        detail(&mut entry);
        entry.revision = self.number_of(&entry.hash);
        self.kulta.store(|seq, first| OutboxEntry { seq, first, ..entry });
    }

    fn number_of(&self, hash: &str) -> Option<u64> {
        if hash == self.scene.new_hash {
            return Some(self.scene.revision_number());
        }
        let replica_sets = &self.scene.observed.replica_sets;
        replica_sets.iter().find(|replica_set| replica_set.hash() == hash).map(|replica_set| replica_set.revision())
    }

    /// An event about a stored transition, named by the sequence: telling it again is refused as a duplicate.
    /// Once per generation. The names say what is told, so that the same told again is refused.
    pub fn warn(&mut self) {
        let generation = self.scene.observed.rollout.metadata.generation.unwrap_or(0).to_string();
        if self.before.observed_generation == generation {
            return;
        }
        for warning in reference::warnings(&self.scene.observed) {
            let message = warning.to_string();
            let mark = format!("warning.{}", hash::steps_hash(&json!([generation, message])));
            let reason = EventReason::AnalysisWarning;
            let name = self.event_name(&mark, reason);
            self.events.push(KubeEvent { name, kind: EventKind::Warning, reason, message });
        }
    }

    pub fn event(&mut self, kind: EventKind, reason: EventReason, message: String) {
        let mark = if self.scene.observed.record_kept {
            format!("{}.{}", self.kulta.sequence, self.events.len())
        } else {
            // Without a kept sequence, the version that the status patch replaces is as unique.
            format!("rv{}.{}", self.resource_version(), self.events.len())
        };
        let name = self.event_name(&mark, reason);
        self.events.push(KubeEvent { name, kind, reason, message });
    }

    /// An event about a write, named by what it changes.
    pub fn write_event(&self, mark: &str, reason: EventReason, message: String) -> KubeEvent {
        KubeEvent { name: self.event_name(mark, reason), kind: EventKind::Normal, reason, message }
    }

    fn event_name(&self, mark: &str, reason: EventReason) -> String {
        let uid: String =
            self.scene.observed.rollout.metadata.uid.iter().flat_map(|uid| uid.chars()).take(UID_CHARS).collect();
        format!("{uid}.{mark}.{}", reason.as_str().to_lowercase())
    }

    pub fn resource_version(&self) -> &str {
        self.scene.observed.rollout.metadata.resource_version.as_deref().unwrap_or_default()
    }
}
