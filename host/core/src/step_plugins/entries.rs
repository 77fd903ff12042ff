//! The entries of `stepPluginStatuses`, as a list.

use kulta_api::foreign_status::StepPluginStatus;
use kulta_api::{Rollout, StepPlugin};

use super::call::Operation;
use super::record::{self, Phase};
use crate::decision::{Run, RunPhase, Verdict, Waiting};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::runs::shortened;

/// Operations that end the effect of work.
pub(super) const ENDED: [Operation; 2] = [Operation::Terminate, Operation::Abort];

pub(super) fn plugin_of(rollout: &Rollout, index: i32) -> Option<&StepPlugin> {
    let steps = &rollout.spec.strategy.canary.as_ref()?.steps;
    steps.get(usize::try_from(index).ok()?)?.plugin.as_ref()
}

pub(super) fn of(record: &mut Record) -> &mut Vec<StepPluginStatus> {
    &mut record.status.canary.step_plugin_statuses
}

pub(super) fn replace(record: &mut Record, at: usize, entry: StepPluginStatus) {
    if let Some(place) = of(record).get_mut(at) {
        *place = entry;
    }
}

/// The work of the step, if it is neither ended nor undone.
pub(super) fn run_entry(record: &Record, index: i32) -> Option<usize> {
    let entries = &record.status.canary.step_plugin_statuses;
    let at = entries.iter().rposition(|entry| entry.index == index && record::is(entry, Operation::Run))?;
    (!is_followed(record, at, &ENDED)).then_some(at)
}

/// A later entry is about the same step.
fn is_followed(record: &Record, at: usize, by: &[Operation]) -> bool {
    let entries = &record.status.canary.step_plugin_statuses;
    let Some(index) = entries.get(at).map(|entry| entry.index) else { return false };
    let follows = |later: &StepPluginStatus| record::operation(later).is_some_and(|later| by.contains(&later));
    entries.iter().skip(at + 1).any(|later| later.index == index && follows(later))
}

/// The work at the current step that is still to be done.
pub(super) fn current_run(record: &Record) -> Option<usize> {
    let at = run_entry(record, i32::try_from(record.step()).ok()?)?;
    record.status.canary.step_plugin_statuses.get(at).is_some_and(record::is_open).then_some(at)
}

/// The work that is followed by none of these operations.
pub(super) fn work(
    record: &Record,
    after: &[Operation],
    condition: impl Fn(&StepPluginStatus) -> bool,
) -> Vec<StepPluginStatus> {
    let entries = record.status.canary.step_plugin_statuses.iter().enumerate();
    let runs = entries.filter(|(at, entry)| record::is(entry, Operation::Run) && !is_followed(record, *at, after));
    runs.map(|(_, entry)| entry).filter(|entry| condition(entry)).cloned().collect()
}

/// The update moves forward, and nothing stops it.
pub(super) fn may_work(context: &Context, record: &Record) -> bool {
    let stopped = context.is_stopped() || context.faults.is_some() || !record.status.pause_conditions.is_empty();
    !stopped && !record.status.abort && !record.status.promote_full && !record.is_stable(context)
}

/// The work in the form in which it is reported to the strategy.
pub(crate) fn reported(context: &Context, record: &Record) -> Vec<Run> {
    let reported = |entry: &StepPluginStatus| Run {
        name: format!("steps/{}/plugin", entry.index),
        attempt: 1,
        phase: match record::phase(entry) {
            Some(Phase::Successful) => RunPhase::Judged(Verdict::Pass),
            Some(Phase::Failed) => {
                RunPhase::Judged(Verdict::Fail(shortened(entry.message.as_deref().unwrap_or_default()).to_owned()))
            }
            // A plugin without a usable answer is called again until the deadline.
            Some(Phase::Running | Phase::Error) | None => RunPhase::Running,
        },
        started_at: entry.started_at.as_ref().map_or(context.now, |time| time.0),
    };
    work(record, &ENDED, |_| true).iter().map(reported).collect()
}

/// Name of the step plugin whose work the rollout waits for. The deadline runs meanwhile, as in Argo and unlike in an analysis.
pub(crate) fn awaited(record: &Record, waiting: Option<Waiting>) -> Option<&str> {
    let at = current_run(record).filter(|_| waiting == Some(Waiting::Runs))?;
    record.status.canary.step_plugin_statuses.get(at).map(|entry| entry.name.as_str())
}

/// The component for the current step cannot be loaded, and no user has skipped it.
pub(crate) fn is_lost(record: &Record) -> bool {
    let entries = &record.status.canary.step_plugin_statuses;
    current_run(record).and_then(|at| entries.get(at)).is_some_and(|entry| record::phase(entry) == Some(Phase::Error))
}
