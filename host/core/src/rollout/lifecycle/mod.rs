//! The life of a revision: its stage, and the transitions that begin or end it.

mod abort;
mod blue_green;
pub(crate) mod completion;
mod exposure;
pub(crate) mod faults;
mod pause;
mod revision;
mod verbs;

pub(crate) use abort::{abort, abort_by_analysis};
pub(crate) use exposure::note_exposure;
pub(crate) use pause::{RESUMED, continue_after_pause, pause};
pub(crate) use revision::skips_analysis;

use super::context::Context;
use super::record::Record;
use super::warnings;
use crate::pins;
use crate::runs;
use crate::step_plugins::{self, AnswersTaken};

/// The stage of a rollout. The strategy is asked in `Forward`, and in `Aborted` with `dynamicStableScale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No revision is stable yet.
    FirstDeploy,
    /// The stable revision's ReplicaSet was deleted, so only the new revision exists.
    StableGone,
    /// The pod template's revision is stable.
    Steady,
    /// Stopped by `spec.paused`.
    Paused,
    Aborted,
    /// All steps are completed, or a user skipped them.
    Promoting,
    Forward,
    /// The update moves forward, but the spec has errors.
    Blocked,
}

/// The stage of the rollout.
pub(crate) fn stage(context: &Context, record: &Record) -> Stage {
    if context.faults.as_ref().is_some_and(|faults| faults.traffic_unknown) {
        return Stage::Blocked;
    }
    match stage_by_status(context, record) {
        Stage::FirstDeploy | Stage::Paused | Stage::Promoting | Stage::Forward if context.faults.is_some() => {
            Stage::Blocked
        }
        stage => stage,
    }
}

fn stage_by_status(context: &Context, record: &Record) -> Stage {
    let status = &record.status;
    if record.is_stable(context) {
        return Stage::Steady;
    }
    let paused = context.is_stopped();
    if status.stable_rs.is_empty() {
        return if paused { Stage::Paused } else { Stage::FirstDeploy };
    }
    if context.stable.is_none() && (status.abort || !paused) {
        return Stage::StableGone;
    }
    if status.abort {
        return Stage::Aborted;
    }
    if paused {
        return Stage::Paused;
    }
    if status.promote_full || record.steps_done(context) { Stage::Promoting } else { Stage::Forward }
}

/// Records the changes since the last reconciliation: answers of step plugins, a new template or new steps, verbs of users,
/// phases of runs.
pub(crate) fn update(context: &Context, mut record: Record) -> (Record, AnswersTaken) {
    record.events.extend(context.added_event());
    record.events.extend(warnings::of_spec(context));
    let (record, answers) = step_plugins::record_answers(context, record);
    let record = revision::update(context, record);
    let record = verbs::update(context, record);
    let record = pins::update(context, record);
    (runs::record_phases(context, record), answers)
}

/// Like [`update`], for a rollout whose spec has errors: only the verb abort and a return to the stable template count.
pub(crate) fn update_with_faults(context: &Context, record: Record) -> (Record, AnswersTaken) {
    let (mut record, answers) = step_plugins::record_answers(context, record);
    if record.is_stable(context) {
        record = revision::update(context, record);
    }
    let record = verbs::update_abort(context, record);
    (runs::record_phases(context, record), answers)
}
