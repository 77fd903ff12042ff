//! The condition `Progressing`.

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionReason, ConditionStatus, RolloutStatus};

use super::Report;
use super::condition::{NOT_AVAILABLE, PAUSED, is_paused, set};
use super::deadline::{self, Deadline};
use super::waits::{self, Wait};
use crate::decision::Waiting;
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::lifecycle::RESUMED;
use crate::rollout::record::Record;
use crate::time;
use crate::workload::{self, KIND};

/// Message as in Argo.
const RETRYING: &str = "Retrying Rollout after abort";

const PROGRESSING: ConditionType = ConditionType::Progressing;

/// Status, reason and message of the condition.
type ConditionState = (ConditionStatus, ConditionReason, String);

fn reason_of(status: &RolloutStatus) -> Option<&str> {
    conditions::find(&status.conditions, PROGRESSING).map(|condition| condition.reason.as_str())
}

/// The condition of an aborted update.
pub(super) fn update_aborted(report: &Report<'_>, record: Record) -> Record {
    if reason_of(&record.status) == Some(ConditionReason::RolloutAborted.as_str()) {
        return record;
    }
    let why = if record.kulta.failure.is_some() { format!(": {}", report.reason) } else { String::new() };
    set_aborted(report.context, record, &why)
}

/// Sets the condition of an aborted update, with `why` at the end of the message.
pub(super) fn set_aborted(context: &Context, mut record: Record, why: &str) -> Record {
    let message = format!("Rollout aborted update to revision {}{why}", context.revision_number());
    let state = (ConditionStatus::False, ConditionReason::RolloutAborted);
    set(context, &mut record, PROGRESSING, state, &message);
    record
}

/// Sets the condition; says whether the progress deadline is exceeded.
pub(super) fn update(report: &Report<'_>, mut record: Record) -> (Record, Deadline) {
    let context = report.context;
    if record.status.abort {
        return (update_aborted(report, record), Deadline::None);
    }
    let created = || workload::name(context.rollout_name(), &context.new_hash);
    let name = context.new.as_ref().map_or_else(created, |new| new.name.clone());
    if let Some((status, reason, message)) = idle(report, &record, &name) {
        set(context, &mut record, PROGRESSING, (status, reason), &message);
        return (record, Deadline::None);
    }
    if let Some(error) = &context.observed.create_error {
        return (with_create_error(context, record, &name, error), Deadline::None);
    }
    let existing = reason_of(&record.status).map(str::to_owned);
    // A rollout with errors completes no step, so that time does not count.
    let moved = made_progress(&context.before, &record.status) || context.had_faults();
    let overdue = existing.as_deref() == Some(ConditionReason::ProgressDeadlineExceeded.as_str());
    if overdue && !moved {
        return (record, Deadline::None);
    }
    if let Some((status, reason, message)) = on_its_way(report, &record, existing.as_deref(), moved, &name) {
        set(context, &mut record, PROGRESSING, (status, reason), &message);
    }
    if moved {
        record = with_restarted_deadline(context, record);
    }
    deadline::check(report, record, &name)
}

/// The condition of a rollout that is paused or idle.
fn idle(report: &Report<'_>, record: &Record, name: &str) -> Option<ConditionState> {
    let context = report.context;
    let is_stable = record.is_stable(context);
    // A fully promoted rollout has no update to pause.
    if is_paused(context, record) && !is_stable {
        return Some((ConditionStatus::Unknown, ConditionReason::RolloutPaused, PAUSED.to_owned()));
    }
    let is_whole = match report.waiting {
        Some(Waiting::Routes) => waits::of(context, record, report.waiting).is_none(),
        waiting => waiting.is_none(),
    };
    let message = format!("{KIND} {name:?} has successfully progressed.");
    (is_stable && is_whole).then_some((ConditionStatus::True, ConditionReason::NewReplicaSetAvailable, message))
}

fn with_create_error(context: &Context, mut record: Record, name: &str, error: &str) -> Record {
    let message = format!("Failed to create new replica set {name:?}: {error}");
    let existing = conditions::find(&record.status.conditions, PROGRESSING);
    let known = existing.is_some_and(|old| old.message == message);
    let state = (ConditionStatus::False, ConditionReason::ReplicaSetCreateError);
    set(context, &mut record, PROGRESSING, state, &message);
    if !known {
        record.emit(context, EventKind::Warning, EventReason::ReplicaSetCreateError, message);
    }
    record
}

/// The condition of an update in progress; `None` leaves the condition unchanged.
fn on_its_way(
    report: &Report<'_>,
    record: &Record,
    existing: Option<&str>,
    moved: bool,
    name: &str,
) -> Option<ConditionState> {
    /// The state stays until there is progress to report.
    const OPENINGS: [ConditionReason; 5] = [
        ConditionReason::NewReplicaSetCreated,
        ConditionReason::FoundNewReplicaSet,
        ConditionReason::RolloutResumed,
        ConditionReason::RolloutRetry,
        ConditionReason::ReplicaSetNotAvailable,
    ];
    let context = report.context;
    let is_progressing = match waits::of(context, record, report.waiting) {
        Some(Wait::Routes(text)) => format!("{KIND} {name:?} is progressing: {text}"),
        _ => format!("{KIND} {name:?} is progressing."),
    };
    let before = &context.before;
    let retried = before.abort && !record.status.abort && before.aborted_at.is_some();
    if context.new.is_none() {
        let message = format!("Created new replica set {name:?}");
        return Some((ConditionStatus::True, ConditionReason::NewReplicaSetCreated, message));
    }
    if existing.is_none() {
        let message = format!("Found new replica set {name:?}");
        return Some((ConditionStatus::True, ConditionReason::FoundNewReplicaSet, message));
    }
    if retried {
        return Some((ConditionStatus::Unknown, ConditionReason::RolloutRetry, RETRYING.to_owned()));
    }
    let was_paused = existing == Some(ConditionReason::RolloutPaused.as_str());
    if was_paused && !moved && !is_paused(context, record) {
        return Some((ConditionStatus::Unknown, ConditionReason::RolloutResumed, RESUMED.to_owned()));
    }
    let was_available = existing == Some(ConditionReason::NewReplicaSetAvailable.as_str());
    let was_stable = !before.stable_rs.is_empty() && before.stable_rs == context.new_hash;
    if was_available && was_stable && report.waiting != Some(Waiting::Routes) {
        return Some((ConditionStatus::True, ConditionReason::ReplicaSetNotAvailable, NOT_AVAILABLE.to_owned()));
    }
    if !moved && OPENINGS.iter().any(|reason| existing == Some(reason.as_str())) {
        return None;
    }
    Some((ConditionStatus::True, ConditionReason::ReplicaSetUpdated, is_progressing))
}

/// The condition's update time is the time of the last progress, from which the deadline counts.
fn with_restarted_deadline(context: &Context, mut record: Record) -> Record {
    let now = time::floor(context.now);
    let progressing = record.status.conditions.iter_mut().filter(|condition| condition.kind == PROGRESSING.as_str());
    for condition in progressing {
        condition.last_update_time = now.clone();
    }
    record
}

/// Progress as in upstream's RolloutProgressing: more new pods, fewer old ones, more available pods, or another step.
fn made_progress(before: &RolloutStatus, after: &RolloutStatus) -> bool {
    let old = |status: &RolloutStatus| status.replicas - status.updated_replicas;
    after.updated_replicas != before.updated_replicas
        || old(after) < old(before)
        || after.ready_replicas > before.ready_replicas
        || after.available_replicas > before.available_replicas
        || after.stable_rs != before.stable_rs
        || after.current_step_index != before.current_step_index
        || after.current_step_hash != before.current_step_hash
        || after.current_pod_hash != before.current_pod_hash
        || before.abort && !after.abort
}
