//! The conditions (`reference/argo-rollouts.md` section 2).

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionReason, ConditionStatus};

use super::condition::{NOT_AVAILABLE, PAUSED, is_paused, set};
use super::deadline::Deadline;
use super::waits::{self, Wait};
use super::{Report, progressing, readiness};
use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// Messages as in Argo (upstream `utils/conditions/conditions.go`).
const AVAILABLE: &str = "Rollout has minimum availability";

/// Sets all conditions except those of [`update_completion`]. Returns whether the progress deadline is exceeded.
pub(super) fn update(report: &Report<'_>, record: Record) -> (Record, Deadline) {
    let context = report.context;
    let mut record = record;
    if context.faults.is_none() {
        conditions::remove(&mut record.status.conditions, ConditionType::InvalidSpec);
    }
    let record = with_availability(context, record);
    let record = readiness::update(report, record);
    let record = with_pause(context, record);
    if context.faults.is_none() {
        return progressing::update(report, record);
    }
    let record = if record.status.abort { progressing::update_aborted(report, record) } else { record };
    (record, Deadline::None)
}

/// Sets the conditions about the end of an update, and about pods that cannot be created.
pub(super) fn update_completion(report: &Report<'_>, record: Record) -> Record {
    let record = if report.context.faults.is_none() { with_completion(report, record) } else { record };
    with_replica_failure(report.context, record)
}

fn with_availability(context: &Context, mut record: Record) -> Record {
    let available = u32::try_from(record.status.available_replicas).is_ok_and(|pods| pods >= context.replicas);
    let message = if available { AVAILABLE } else { NOT_AVAILABLE };
    let state = (available.into(), ConditionReason::Available);
    set(context, &mut record, ConditionType::Available, state, message);
    record
}

fn with_pause(context: &Context, mut record: Record) -> Record {
    let paused = is_paused(context, &record);
    let known = conditions::find(&record.status.conditions, ConditionType::Paused).is_some();
    if paused || known {
        // Argo keeps reason and message when the condition becomes false.
        let state = (paused.into(), ConditionReason::RolloutPaused);
        set(context, &mut record, ConditionType::Paused, state, PAUSED);
    }
    record
}

fn with_completion(report: &Report<'_>, mut record: Record) -> Record {
    let context = report.context;
    let completed = record.is_stable(context);
    let state = (completed.into(), ConditionReason::RolloutCompleted);
    set(context, &mut record, ConditionType::Completed, state, "RolloutCompleted");
    let replicas = i32::try_from(context.replicas).unwrap_or(i32::MAX);
    let status = &record.status;
    let whole =
        status.updated_replicas == replicas && status.available_replicas == replicas && status.replicas == replicas;
    let routed = !matches!(waits::of(context, &record, report.waiting), Some(Wait::Routes(_)));
    let healthy = completed && whole && routed && !is_paused(context, &record);
    let known = conditions::find(&record.status.conditions, ConditionType::Healthy).is_some();
    if healthy || known {
        let message = if healthy { "Rollout is healthy" } else { "Rollout is not healthy" };
        let state = (healthy.into(), ConditionReason::RolloutHealthy);
        set(context, &mut record, ConditionType::Healthy, state, message);
    }
    record
}

fn with_replica_failure(context: &Context, mut record: Record) -> Record {
    let missing = context
        .observed
        .revisions
        .iter()
        .find_map(|revision| (revision.replicas > revision.created_replicas).then(|| revision.failure.clone())?);
    match context.observed.create_error.clone().or(missing) {
        Some(message) => {
            let state = (ConditionStatus::True, ConditionReason::FailedCreate);
            set(context, &mut record, ConditionType::ReplicaFailure, state, &message);
        }
        None => conditions::remove(&mut record.status.conditions, ConditionType::ReplicaFailure),
    }
    record
}
