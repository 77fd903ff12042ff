//! The rollout pauses for an inconclusive background analysis, and a user may promote past it.

use kulta_api::analysis::AnalysisPhase;
use kulta_api::{InconclusiveRun, PauseReason};

use super::current::{Current, current_run};
use super::role::Role;
use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// The rollout paused for this run, and a user has lifted the pause. The run is reported to the strategy as running, and a new
/// run begins at a later step: a metric may need the traffic of that step to have data.
pub(super) fn is_promoted_past(record: &Record, current: &Current) -> bool {
    let paused_for = record.kulta.inconclusive_run.as_ref().is_some_and(|run| run.name == current.summary.name);
    paused_for
        && current.role == Role::Background
        && current.is_inconclusive()
        && record.status.pause(PauseReason::InconclusiveAnalysisRun).is_none()
}

/// A user promoted past the current background analysis.
pub(crate) fn is_background_promoted_past(context: &Context, record: &Record) -> bool {
    current_run(context, record, Role::Background).is_some_and(|current| is_promoted_past(record, &current))
}

/// The rollout has reached a later step than the one at which a user promoted past the background analysis.
pub(crate) fn is_due_afresh(record: &Record, step: u32) -> bool {
    record.kulta.inconclusive_run.as_ref().is_some_and(|run| run.step < step)
}

/// Records the background analysis for which the rollout pauses.
pub(crate) fn note(context: &Context, record: &mut Record) {
    let background = current_run(context, record, Role::Background).filter(Current::is_inconclusive);
    let Some(name) = background.map(|current| current.summary.name) else { return };
    if record.kulta.inconclusive_run.as_ref().is_none_or(|run| run.name != name) {
        record.kulta.inconclusive_run = Some(InconclusiveRun { name, step: record.step() });
    }
}

/// Another controller does not record such a run, and a CRD may prune `status.kulta`. Argo's fields identify the pause then,
/// because the phase `Inconclusive` is stored together with it.
pub(super) fn note_lifted_pause(context: &Context, record: &mut Record) {
    let summary = record.status.canary.current_background_analysis_run_status.as_ref();
    let known = summary.is_some_and(|summary| summary.status == AnalysisPhase::Inconclusive.as_str());
    if known && record.status.pause_lifted() {
        note(context, record);
    }
}

/// Another run replaces the recorded one, or no run does.
pub(super) fn forget(record: &mut Record, role: Role) {
    if role == Role::Background {
        record.kulta.inconclusive_run = None;
    }
}
