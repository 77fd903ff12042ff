//! What becomes of the current runs is recorded.

use kulta_api::Outcome;
use kulta_api::analysis::AnalysisPhase;
use kulta_api::foreign_status::AnalysisRunSummary;

use super::current::{Current, current_runs, summary_of};
use super::emit;
use super::inconclusive::{self, is_promoted_past};
use super::role::Role;
use crate::decision::{Run, RunPhase, Verdict};
use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// Outcome and reason that a run gets when the rollout continues without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub outcome: Outcome,
    pub why: &'static str,
}

/// The update ends well, so a run that has not failed counts as successful.
pub(crate) const PROMOTED: Ending = Ending { outcome: Outcome::Success, why: "promoted" };
/// Bytes of a run's message that a strategy gets. The strategy may answer with 1 KiB, and adds its own text to the message.
const MESSAGE_BYTES: usize = 768;

/// The current runs as they are reported to the strategy.
pub(crate) fn reported(context: &Context, record: &Record) -> Vec<Run> {
    let reported = |current: Current| {
        let message = shortened(current.message()).to_owned();
        let status = current.object.as_ref().and_then(|object| object.status.as_ref());
        let started = status.and_then(|status| status.started_at.as_ref()).map(|time| time.0);
        Run {
            name: current.role.name(),
            attempt: current.attempt,
            phase: match current.phase() {
                _ if is_promoted_past(record, &current) => RunPhase::Running,
                Some(AnalysisPhase::Successful) => RunPhase::Judged(Verdict::Pass),
                Some(AnalysisPhase::Failed) => RunPhase::Judged(Verdict::Fail(message)),
                Some(AnalysisPhase::Inconclusive) => RunPhase::Judged(Verdict::Inconclusive(message)),
                Some(AnalysisPhase::Error) => RunPhase::FailedToRun(message),
                Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => RunPhase::Running,
            },
            started_at: started.unwrap_or(context.now),
        }
    };
    current_runs(context, record).into_iter().map(reported).collect()
}

/// Records the phases that the current runs have reached, and emits them.
pub(crate) fn record_phases(context: &Context, mut record: Record) -> Record {
    inconclusive::note_lifted_pause(context, &mut record);
    for current in current_runs(context, &record) {
        record_phase(context, &mut record, &current);
    }
    record
}

fn record_phase(context: &Context, record: &mut Record, current: &Current) {
    let Some(now) = current.object.as_ref().and(current.phase()) else { return };
    let message = Some(current.message().to_owned()).filter(|message| !message.is_empty());
    let before = current.summary.status.clone();
    if before == now.as_str() && current.summary.message == message {
        return;
    }
    set_phase(record, current, now, message);
    if before != now.as_str() {
        emit::phase(context, record, current, now, &before);
    }
}

/// A run that cannot be created counts as an error.
pub(crate) fn record_error(context: &Context, mut record: Record, current: &Current, why: String) -> Record {
    set_phase(&mut record, current, AnalysisPhase::Error, Some(why));
    emit::phase(context, &mut record, current, AnalysisPhase::Error, &current.summary.status);
    record
}

fn set_phase(record: &mut Record, current: &Current, phase: AnalysisPhase, message: Option<String>) {
    let name = current.summary.name.clone();
    *summary_of(record, current.role) = Some(AnalysisRunSummary { name, status: phase.as_str().to_owned(), message });
}

/// The rollout continues without this run, which gets this outcome if it has none yet.
pub(super) fn drop_run(context: &Context, record: &mut Record, current: &Current, ending: Ending) {
    if current.is_completed() {
        // The end of the run may be observed for the first time in the reconciliation that drops it.
        record_phase(context, record, current);
    }
    // As in Argo, a completed analysis of a promotion stays in the status until the next revision begins.
    if !(current.is_completed() && current.role.is_of_promotion()) {
        *summary_of(record, current.role) = None;
    }
    inconclusive::forget(record, current.role);
    if !current.is_completed() {
        let hash = record.status.current_pod_hash.clone();
        emit::end(context, record, current, &hash, ending.outcome, Some(ending.why.to_owned()));
    }
}

/// The rollout continues without any run.
pub(crate) fn drop_all(context: &Context, record: &mut Record, ending: Ending) {
    for current in current_runs(context, record) {
        drop_run(context, record, &current, ending);
    }
    // A name that cannot be parsed belongs to no run.
    record.status.canary.current_step_analysis_run_status = None;
    record.status.canary.current_background_analysis_run_status = None;
    inconclusive::forget(record, Role::Background);
}

/// A revision begins, or is tried again: the analyses of the earlier promotion are no longer reported.
pub(crate) fn forget_promotion(record: &mut Record) {
    if let Some(blue_green) = &mut record.status.blue_green {
        blue_green.pre_promotion_analysis_run_status = None;
        blue_green.post_promotion_analysis_run_status = None;
    }
}

/// The rollout continues without the runs that have no outcome yet. The outcomes of the others stay in the status.
pub(crate) fn drop_unfinished(context: &Context, record: &mut Record, ending: Ending) {
    for current in current_runs(context, record).into_iter().filter(|current| !current.is_completed()) {
        drop_run(context, record, &current, ending);
    }
}

/// The part of a message that a strategy gets.
pub(crate) fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MESSAGE_BYTES)).unwrap_or(message)
}
