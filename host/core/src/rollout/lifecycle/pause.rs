//! Pauses and resumes a rollout without a user's request.

use kulta_api::{PauseCondition, PauseReason, TransitionKind};

use crate::decision::PauseCause;
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::runs::{self, inconclusive};
use crate::time;

/// Message as in Argo.
pub(crate) const RESUMED: &str = "Rollout is resumed";

/// Pauses the rollout, unless it is paused for that cause.
pub(crate) fn pause(context: &Context, mut record: Record, cause: PauseCause) -> Record {
    let reason = match cause {
        PauseCause::Step if context.is_blue_green() => PauseReason::BlueGreenPause,
        PauseCause::Step => PauseReason::CanaryPauseStep,
        PauseCause::Analysis => PauseReason::InconclusiveAnalysisRun,
        PauseCause::Experiment => PauseReason::InconclusiveExperiment,
    };
    if cause == PauseCause::Analysis {
        inconclusive::note(context, &mut record);
    }
    if record.status.pause(reason).is_some() {
        return record;
    }
    let start_time = time::ceil(context.now);
    record.status.pause_conditions.push(PauseCondition { reason, start_time });
    record.status.controller_pause = true;
    let (step, weight) = (record.step(), context.weight_in_force());
    record.store(context, TransitionKind::Paused, |entry| {
        entry.step = Some(step);
        entry.weight = Some(weight);
        entry.why = (cause != PauseCause::Step).then(|| reason.as_str().to_owned());
    });
    let message = format!("Rollout is paused ({})", reason.as_str());
    record.emit(context, EventKind::Normal, EventReason::RolloutPaused, message);
    record
}

/// A user lifted the pause, or its cause no longer exists.
fn resume(context: &Context, mut record: Record) -> Record {
    record.clear_pause();
    let step = record.step();
    record.store(context, TransitionKind::Resumed, |entry| entry.step = Some(step));
    record.emit(context, EventKind::Normal, EventReason::RolloutResumed, RESUMED.to_owned());
    record
}

/// The strategy continues. This ends a pause by analysis, and a pause that a user lifted by promoting past the background
/// analysis.
pub(crate) fn continue_after_pause(context: &Context, mut record: Record) -> Record {
    let inconclusive = PauseReason::InconclusiveAnalysisRun;
    let was_inconclusive = record.status.pause(inconclusive).is_some();
    record.status.pause_conditions.retain(|pause| pause.reason != inconclusive);
    let lifted = record.status.pause_lifted() && runs::is_background_promoted_past(context, &record);
    if (lifted || was_inconclusive) && record.status.pause_conditions.is_empty() {
        return resume(context, record);
    }
    record
}
