//! Ends an update: the new revision is promoted, or stable is restored.

use kulta_api::status::CompletionStatus;
use kulta_api::{FailureKind, KultaPhase, Outcome, TransitionKind};

use super::revision::is_within_rollback_window;
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::runs::{self, PROMOTED};
use crate::time;
use crate::workload::KIND;

/// Text before the metric's message in the message of a failed run.
const QUOTE: &str = "\"Error Message: ";

/// The message of the metric, if the reason quotes one. An event has little room, and the text around the quote is always the
/// same.
fn essence(reason: &str) -> &str {
    reason.split_once(QUOTE).map_or(reason, |(_, quoted)| quoted.strip_suffix('"').unwrap_or(quoted))
}

/// The new revision becomes the stable one (`reference/argo-rollouts.md` section 4, "Promotion").
pub(crate) fn promote(context: &Context, mut record: Record) -> Record {
    runs::drop_all(context, &mut record, PROMOTED);
    let is_first = record.status.stable_rs.is_empty();
    // A strategy without a list of steps sets `promoteFull` itself. In blue-green the index tells a user's request from that.
    let has_steps_left =
        context.strategy.steps.is_some() || (context.is_blue_green() && record.status.current_step_index.is_some());
    let is_fast = record.status.promote_full && has_steps_left;
    let why = completion_reason(context, is_first, is_fast);
    let number = context.revision_number();
    let service = if is_first { TransitionKind::ServiceDeployed } else { TransitionKind::ServiceUpgraded };
    record.store(context, service, |_| {});
    record.store(context, TransitionKind::Finished, |entry| entry.outcome = Some(Outcome::Success));
    record.status.stable_rs.clone_from(&context.new_hash);
    record.status.promote_full = false;
    record.kulta.promoting = false;
    record.kulta.restoring = None;
    record.clear_pause();
    record.set_last_step(context);
    let completion = if is_fast { CompletionStatus::FastPromoted } else { CompletionStatus::Promoted };
    finish_duration(context, &mut record, completion);
    let message = format!("Rollout completed update to revision {number} ({}): {why}", context.new_hash);
    record.emit(context, EventKind::Normal, EventReason::RolloutCompleted, message);
    record
}

/// Message as in Argo.
fn completion_reason(context: &Context, is_first: bool, is_fast: bool) -> String {
    match context.strategy.steps {
        _ if is_first => "Initial deploy".to_owned(),
        _ if context.stable.is_none() => format!("Stable {KIND} is gone"),
        None if context.is_blue_green() && is_within_rollback_window(context) => "Rollback within window".to_owned(),
        None if context.is_blue_green() && !is_fast => "Completed blue-green update".to_owned(),
        _ if is_fast => "Full promotion requested".to_owned(),
        _ if is_within_rollback_window(context) => "Rollback within window".to_owned(),
        Some(steps) => format!("Completed all {steps} canary steps"),
        None => "Completed all steps".to_owned(),
    }
}

/// Stable has its traffic back after an abort or a rollback, so the update ends.
pub(crate) fn restored(context: &Context, mut record: Record) -> Record {
    let Some(left) = record.kulta.restoring.take() else { return record };
    let aborted = record.status.abort;
    let failure = record.kulta.failure;
    let cause = record.kulta.failure_cause.filter(|_| failure == Some(FailureKind::Analysis));
    if record.kulta.exposed {
        record.store(context, TransitionKind::ServiceRolledBack, |entry| {
            entry.hash.clone_from(&left);
            entry.failure = failure;
            entry.cause = cause;
        });
    }
    let recorded = record.kulta.failure_reason.clone().filter(|_| aborted && failure.is_some());
    let why = recorded.unwrap_or_else(|| if aborted { "aborted" } else { "rolled back" }.to_owned());
    record.store(context, TransitionKind::Finished, |entry| {
        entry.hash = left;
        entry.outcome = Some(if failure.is_some() { Outcome::Failure } else { Outcome::Cancel });
        entry.failure = failure;
        // The event has no field for the steps. Without them the entry has more room for the reason.
        entry.steps = None;
        entry.cause = cause;
        entry.why = Some(essence(&why).to_owned());
    });
    record.kulta.exposed = false;
    record.kulta.serving_since = None;
    if aborted {
        record.kulta.phase = Some(KultaPhase::Failed);
    } else {
        finish_duration(context, &mut record, CompletionStatus::RolledBack);
    }
    record
}

fn finish_duration(context: &Context, record: &mut Record, completion: CompletionStatus) {
    if let Some(duration) = &mut record.status.duration
        && duration.finished_at.is_none()
    {
        duration.finished_at = Some(time::floor(context.now));
        duration.completion_status = Some(completion);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_essence_of_a_reason_is_the_message_of_the_metric() {
        let reason =
            "Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0): \"Error Message: error rate 5 %\"";

        assert_eq!([essence(reason), essence("the gate is shut")], ["error rate 5 %", "the gate is shut"]);
    }
}
