//! Calls the function of the rollout's stage.

use super::context::Context;
use super::lifecycle::{self, Stage};
use super::outcome::{Next, Progress};
use super::{stages, strategy};
use crate::decision::{Goal, PauseCause, Waiting};
use crate::runs::{self, Stop};

/// Does the work of the rollout's stage.
pub(super) fn next(context: &Context, mut progress: Progress) -> Next {
    let stage = lifecycle::stage(context, &progress.record);
    let skips_analysis = lifecycle::skips_analysis(context, &progress.record);
    match (stage, runs::background_stop(context, &progress.record)) {
        (Stage::Paused | Stage::Promoting, Some(Stop::Abort(why))) if !skips_analysis => {
            return stages::abort_by_analysis(context, progress, &why);
        }
        (Stage::Blocked | Stage::StableGone, Some(Stop::Abort(why)))
            if context.faults.is_some() && !is_settled(context, &progress) =>
        {
            return stages::abort_by_analysis(context, progress, &why);
        }
        (Stage::Promoting, Some(Stop::Pause)) if !skips_analysis => {
            progress.record = lifecycle::pause(context, progress.record, PauseCause::Analysis);
            return Next::Settled(stages::hold(context, progress, stages::INCONCLUSIVE).waits_for(Waiting::Other));
        }
        _ => {}
    }
    Next::Settled(match stage {
        Stage::FirstDeploy => stages::first_deploy(context, stages::without_update(context, progress)),
        Stage::Steady => stages::steady(context, stages::without_update(context, progress)),
        Stage::StableGone => stages::take_over(context, progress),
        Stage::Paused => stages::hold(context, progress, ""),
        Stage::Promoting => stages::promote(context, progress, skips_analysis),
        Stage::Aborted if context.traffic.as_ref().is_some_and(|traffic| traffic.shape.dynamic_stable) => {
            return strategy::ask(context, progress, Goal::Restore, false);
        }
        Stage::Aborted => stages::restore(context, progress, 0, None),
        Stage::Forward => return strategy::ask(context, progress, Goal::Forward, false),
        Stage::Blocked => stages::blocked(context, progress),
    })
}

/// There is no update to abort, or the update is already aborted.
fn is_settled(context: &Context, progress: &Progress) -> bool {
    progress.record.status.abort || progress.record.is_stable(context)
}
