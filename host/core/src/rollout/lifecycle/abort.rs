//! Aborts an update and restores stable's traffic.

use kulta_api::kulta_status::FAILURE_CHARS;
use kulta_api::status::CompletionStatus;
use kulta_api::{FailureKind, Outcome};

use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::rollout::transition::Transition;
use crate::runs::{self, Ending};
use crate::{step_plugins, time};

pub(super) const ABORTED: Ending = Ending { outcome: Outcome::Cancel, why: "aborted" };
const BY_REQUEST: &str = "aborted by request";

/// Starts to restore stable. `why` is `None` if a user requested it.
pub(crate) fn abort(context: &Context, mut record: Record, why: Option<&str>) -> Record {
    let number = context.revision_number();
    let now = time::floor(context.now);
    record.status.abort = true;
    record.status.aborted_at = Some(now.clone());
    record.status.promote_full = false;
    record.clear_pause();
    record.set_step(context, 0);
    runs::drop_unfinished(context, &mut record, ABORTED);
    step_plugins::undo(&mut record);
    record.kulta.restoring = Some(context.new_hash.clone());
    // The message of a failed run is already recorded. For other failures this reason is the only information.
    let known = record.kulta.failure == Some(FailureKind::Analysis) && record.kulta.failure_reason.is_some();
    if let Some(why) = why.filter(|_| record.kulta.failure.is_some() && !known) {
        record.kulta.failure_reason = Some(why.chars().take(FAILURE_CHARS).collect());
    }
    record.abort_reason = Some(why.unwrap_or(BY_REQUEST).to_owned());
    if let Some(duration) = &mut record.status.duration {
        duration.finished_at = Some(now);
        duration.completion_status = Some(CompletionStatus::Aborted);
    }
    let because = why.map_or_else(String::new, |why| format!(": {why}"));
    let message = if why.is_some() { format!("aborted{because}") } else { BY_REQUEST.to_owned() };
    record.transitions.push(Transition { revision: Some(number), message });
    let message = format!("Rollout aborted update to revision {number}{because}");
    record.emit(context, EventKind::Warning, EventReason::RolloutAborted, message);
    record
}

/// Aborts the update because of its analysis.
pub(crate) fn abort_by_analysis(context: &Context, mut record: Record, why: &str) -> Record {
    record.kulta.failure = Some(FailureKind::Analysis);
    abort(context, record, Some(why))
}
