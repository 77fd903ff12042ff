//! The changes that a reconciliation stores and emits: status, transitions in the outbox, Kubernetes events, and log lines.

use jiff::Timestamp;
use kulta_api::{KultaStatus, OutboxEntry, RolloutStatus, TransitionKind};

use super::context::Context;
use super::transition::{self, Transition};
use crate::plan::{EventKind, EventReason, KubeEvent};
use crate::time;

/// Number of characters of the rollout's uid in event names. They keep the events of a rollout that was recreated under the same
/// name apart.
const UID_CHARS: usize = 8;

/// The state of a rollout as this reconciliation will store it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The status without `status.kulta`.
    pub status: RolloutStatus,
    pub kulta: KultaStatus,
    /// Events to emit after the status is stored.
    pub events: Vec<KubeEvent>,
    /// The stored transitions, for the log.
    pub transitions: Vec<Transition>,
    /// The reason, if this reconciliation aborts the update.
    pub abort_reason: Option<String>,
}

/// Name of an event of the rollout with this uid.
pub(crate) fn event_name(uid: &str, mark: &str, reason: EventReason) -> String {
    let uid: String = uid.chars().take(UID_CHARS).collect();
    format!("{uid}.{mark}.{}", reason.as_str().to_lowercase())
}

/// An object as named in Argo's messages.
pub(crate) fn full_name(namespace: Option<&str>, name: Option<&str>) -> String {
    format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// The event of a rollout that no controller has reconciled before. The name in it is `<namespace>/<name>`.
pub(crate) fn added_event(before: &RolloutStatus, name: &str, uid: &str, now: Timestamp) -> Option<KubeEvent> {
    before.observed_generation.is_empty().then(|| KubeEvent {
        name: event_name(uid, "added", EventReason::RolloutAddedToInformer),
        kind: EventKind::Normal,
        reason: EventReason::RolloutAddedToInformer,
        message: format!("Rollout resource added to informer: {name}"),
        at: now,
    })
}

impl Record {
    /// The record before any change.
    pub fn of(mut status: RolloutStatus) -> Self {
        let kulta = status.kulta.take().unwrap_or_default();
        Self { status, kulta, events: Vec::new(), transitions: Vec::new(), abort_reason: None }
    }

    /// Whether the revision of the pod template is stable.
    pub fn is_stable(&self, context: &Context) -> bool {
        !self.status.stable_rs.is_empty() && self.status.stable_rs == context.new_hash
    }

    /// Index of the current step.
    pub fn step(&self) -> u32 {
        self.status.current_step_index.and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
    }

    pub fn set_step(&mut self, context: &Context, step: u32) {
        self.status.current_step_index =
            (context.strategy.steps != Some(0)).then(|| i32::try_from(step).unwrap_or(i32::MAX));
    }

    /// Moves the index beyond the last step. Blue-green has an index only during an update: Argo stores none for it.
    pub fn set_last_step(&mut self, context: &Context) {
        if let Some(steps) = context.strategy.steps {
            self.set_step(context, steps);
        } else if context.is_blue_green() {
            self.status.current_step_index = None;
        }
    }

    /// Whether the index is beyond the last step.
    pub fn steps_done(&self, context: &Context) -> bool {
        match (context.strategy.steps, self.status.current_step_index) {
            (Some(0), _) => true,
            (Some(steps), Some(index)) => u32::try_from(index).is_ok_and(|index| index >= steps),
            _ => false,
        }
    }

    pub fn clear_pause(&mut self) {
        self.status.pause_conditions.clear();
        self.status.controller_pause = false;
    }

    /// The failure of an earlier attempt no longer counts.
    pub fn forget_failure(&mut self) {
        self.kulta.failure = None;
        self.kulta.failure_reason = None;
        self.kulta.failure_cause = None;
    }

    /// Stores a transition. `detail` fills in the fields of its kind.
    pub fn store(&mut self, context: &Context, kind: TransitionKind, detail: impl FnOnce(&mut OutboxEntry)) {
        let stable = &self.status.stable_rs;
        let mut entry = OutboxEntry {
            seq: 0,
            kind,
            at: time::floor(context.now),
            hash: context.new_hash.clone(),
            revision: None,
            stable: (!stable.is_empty()).then(|| stable.clone()),
            step: None,
            steps: context.strategy.steps,
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
        entry.revision = context.number_of(&entry.hash);
        if let Some(message) = transition::describe(&entry) {
            self.transitions.push(Transition { revision: entry.revision, message });
        }
        self.kulta.store(|seq, first| OutboxEntry { seq, first, ..entry });
    }

    /// Emits an event about a stored transition. Its name contains the sequence, so the API server refuses a duplicate.
    pub fn emit(&mut self, context: &Context, kind: EventKind, reason: EventReason, message: String) {
        let mark = if context.observed.record_kept {
            format!("{}.{}", self.kulta.sequence, self.events.len())
        } else {
            // The CRD prunes the sequence. The version that the status patch replaces is equally unique.
            format!("rv{}.{}", context.resource_version(), self.events.len())
        };
        self.events.push(KubeEvent { kind, ..context.event(&mark, reason, message) });
    }
}

impl Context {
    fn uid(&self) -> &str {
        self.observed.rollout.metadata.uid.as_deref().unwrap_or_default()
    }

    /// A normal event. `mark` identifies its subject in the name.
    pub fn event(&self, mark: &str, reason: EventReason, message: String) -> KubeEvent {
        KubeEvent { name: event_name(self.uid(), mark, reason), kind: EventKind::Normal, reason, message, at: self.now }
    }

    /// A warning event. `mark` identifies its subject in the name.
    pub fn warning(&self, mark: &str, reason: EventReason, message: String) -> KubeEvent {
        KubeEvent { kind: EventKind::Warning, ..self.event(mark, reason, message) }
    }

    /// The update to the new revision begins. As in Argo, the event of a new ReplicaSet comes before this one.
    pub fn not_completed_event(&self) -> KubeEvent {
        let number = self.revision_number();
        self.event(
            &format!("{}.{number}", self.new_hash),
            EventReason::RolloutNotCompleted,
            format!("Rollout not completed, started update to revision {number} ({})", self.new_hash),
        )
    }

    /// The event of a rollout that no controller has reconciled before.
    pub fn added_event(&self) -> Option<KubeEvent> {
        let metadata = &self.observed.rollout.metadata;
        let name = full_name(metadata.namespace.as_deref(), metadata.name.as_deref());
        added_event(&self.before, &name, self.uid(), self.now)
    }
}
