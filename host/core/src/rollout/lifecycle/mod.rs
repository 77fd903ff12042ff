//! A revision's life as the host leads it: at which stage it is, and the transitions that begin or end a revision.

mod abort;
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

/// Who leads the revision now. The strategy is asked where to go on `Forward`, and on `Aborted` with `dynamicStableScale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No revision is stable yet.
    FirstDeploy,
    /// The stable revision's ReplicaSet was deleted: the new revision is all that there is.
    StableGone,
    /// The pod template is the stable revision.
    Steady,
    /// Stopped by `spec.paused`.
    Paused,
    Aborted,
    /// All steps are done, or a user skipped them.
    Promoting,
    Forward,
    /// On its way, but the spec cannot be followed.
    Blocked,
}

/// The stage at which the rollout is.
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

/// Takes in what has happened since the last reconciliation: answers of step plugins, a new template or new steps, verbs of users,
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

/// The same for a rollout whose spec has faults: of verbs an abort counts, of templates the stable one.
pub(crate) fn update_with_faults(context: &Context, record: Record) -> (Record, AnswersTaken) {
    let (mut record, answers) = step_plugins::record_answers(context, record);
    if record.is_stable(context) {
        record = revision::update(context, record);
    }
    let record = verbs::update_abort(context, record);
    (runs::record_phases(context, record), answers)
}
