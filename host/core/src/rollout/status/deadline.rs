//! The progress deadline (`reference/argo-rollouts.md` section 4, "Deadline").

use jiff::Timestamp;
use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionReason, ConditionStatus};

use super::Report;
use super::condition::set;
use super::waits::{self, Wait};
use crate::decision::Waiting;
use crate::plan::{EventKind, EventReason};
use crate::rollout::record::Record;
use crate::step_plugins;
use crate::time;
use crate::workload::KIND;

/// Whether the update progressed before the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// The deadline does not run.
    None,
    Due(Timestamp),
    /// The condition and the event report it.
    Exceeded {
        message: String,
    },
}

/// The deadline runs while the rollout waits for pods, routes or step plugins.
pub(super) fn check(report: &Report<'_>, mut record: Record, name: &str) -> (Record, Deadline) {
    let context = report.context;
    let waits_for_plugin = step_plugins::awaited(&record, report.waiting).is_some();
    let runs = matches!(report.waiting, Some(Waiting::Pods | Waiting::Routes)) || waits_for_plugin;
    if !runs || record.is_stable(context) {
        return (record, Deadline::None);
    }
    let Some(since) = conditions::find(&record.status.conditions, ConditionType::Progressing) else {
        return (record, Deadline::None);
    };
    let seconds = context.observed.rollout.spec.progress_deadline_seconds();
    let due = time::after(since.last_update_time.0, seconds);
    if due > context.now {
        return (record, Deadline::Due(due));
    }
    let message = match waits::of(context, &record, report.waiting) {
        Some(Wait::Pods(text)) => format!("{KIND} {name:?} has timed out progressing: {text}"),
        // The rollout does not wait for pods, so the message names the other objects.
        Some(Wait::Routes(text) | Wait::Runs(text)) => {
            format!("Rollout {:?} has timed out progressing: {text}", context.rollout_name())
        }
        None => format!("{KIND} {name:?} has timed out progressing."),
    };
    let state = (ConditionStatus::False, ConditionReason::ProgressDeadlineExceeded);
    set(context, &mut record, ConditionType::Progressing, state, &message);
    record.emit(context, EventKind::Warning, EventReason::ProgressDeadlineExceeded, message.clone());
    (record, Deadline::Exceeded { message })
}
