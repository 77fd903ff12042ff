//! Telling: transitions into the outbox, Kubernetes events into the plan.

use jiff::Timestamp;
use kulta_api::{OutboxEntry, RolloutStatus, TransitionKind};
use serde_json::json;

use crate::pass::Pass;
use crate::plan::{EventKind, EventReason, KubeEvent};
use crate::transition::{self, Transition};
use crate::{hash, reference, time};

/// Characters of the rollout's uid in event names: a rollout made anew under the same name must not find its events told.
const UID_CHARS: usize = 8;

/// Name of an event of the rollout with this uid.
fn event_name(uid: &str, mark: &str, reason: EventReason) -> String {
    let uid: String = uid.chars().take(UID_CHARS).collect();
    format!("{uid}.{mark}.{}", reason.as_str().to_lowercase())
}

/// As Argo names an object in a message.
pub(crate) fn full_name(namespace: Option<&str>, name: Option<&str>) -> String {
    format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// No controller has reconciled the rollout before, as Argo tells it; its name is `<namespace>/<name>`.
pub(crate) fn added_event(before: &RolloutStatus, name: &str, uid: &str, now: Timestamp) -> Option<KubeEvent> {
    before.observed_generation.is_empty().then(|| KubeEvent {
        name: event_name(uid, "added", EventReason::RolloutAddedToInformer),
        kind: EventKind::Normal,
        reason: EventReason::RolloutAddedToInformer,
        message: format!("Rollout resource added to informer: {name}"),
        at: now,
    })
}

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
        if let Some(message) = transition::describe(&entry) {
            self.transitions.push(Transition { revision: entry.revision, message });
        }
        self.kulta.store(|seq, first| OutboxEntry { seq, first, ..entry });
    }

    fn number_of(&self, hash: &str) -> Option<u64> {
        if hash == self.scene.new_hash {
            return Some(self.scene.revision_number());
        }
        let replica_sets = &self.scene.observed.replica_sets;
        replica_sets.iter().find(|replica_set| replica_set.hash() == hash).map(|replica_set| replica_set.revision())
    }

    /// Warns of what looks wrong, once per generation; of a rollout that had faults, when they are gone. The names say what is told, so
    /// that the same told again is refused.
    pub fn warn(&mut self) {
        let generation = self.scene.observed.rollout.metadata.generation.unwrap_or(0).to_string();
        // While references were broken, nobody was warned.
        if self.before.observed_generation == generation && !self.was_blocked() {
            return;
        }
        let observed = &self.scene.observed;
        let of_spec = reference::spec_warnings(observed).into_iter().map(|warning| (EventReason::SpecWarning, warning));
        let of_analyses = reference::warnings(observed).into_iter();
        let of_analyses = of_analyses.map(|warning| (EventReason::AnalysisWarning, warning));
        let warnings: Vec<_> = of_spec.chain(of_analyses).collect();
        for (reason, warning) in warnings {
            let message = warning.to_string();
            let mark = format!("warning.{}", hash::steps_hash(&json!([generation, message])));
            let name = self.event_name(&mark, reason);
            self.events.push(KubeEvent { name, kind: EventKind::Warning, reason, message, at: self.scene.now });
        }
    }

    /// An event about a stored transition, named by the sequence: telling it again is refused as a duplicate.
    pub fn event(&mut self, kind: EventKind, reason: EventReason, message: String) {
        let mark = if self.scene.observed.record_kept {
            format!("{}.{}", self.kulta.sequence, self.events.len())
        } else {
            // Without a kept sequence, the version that the status patch replaces is as unique.
            format!("rv{}.{}", self.resource_version(), self.events.len())
        };
        let name = self.event_name(&mark, reason);
        self.events.push(KubeEvent { name, kind, reason, message, at: self.scene.now });
    }

    /// The update to the new revision begins. A new ReplicaSet is told before it, as Argo tells both.
    pub fn not_completed_event(&self) -> KubeEvent {
        let number = self.scene.revision_number();
        self.write_event(
            &format!("{}.{number}", self.scene.new_hash),
            EventReason::RolloutNotCompleted,
            format!("Rollout not completed, started update to revision {number} ({})", self.scene.new_hash),
        )
    }

    /// An event about a write, named by what it changes.
    pub fn write_event(&self, mark: &str, reason: EventReason, message: String) -> KubeEvent {
        KubeEvent { name: self.event_name(mark, reason), kind: EventKind::Normal, reason, message, at: self.scene.now }
    }

    /// The same as a warning.
    pub fn warning(&self, mark: &str, reason: EventReason, message: String) -> KubeEvent {
        KubeEvent { kind: EventKind::Warning, ..self.write_event(mark, reason, message) }
    }

    fn event_name(&self, mark: &str, reason: EventReason) -> String {
        event_name(self.scene.observed.rollout.metadata.uid.as_deref().unwrap_or_default(), mark, reason)
    }

    pub fn resource_version(&self) -> &str {
        self.scene.observed.rollout.metadata.resource_version.as_deref().unwrap_or_default()
    }
}
