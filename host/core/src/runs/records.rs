//! The current runs as the status records them.

use std::sync::Arc;

use kulta_api::Outcome;
use kulta_api::analysis::{AnalysisPhase, AnalysisRun};
use kulta_api::foreign_status::AnalysisRunSummary;

use super::emit;
use super::inconclusive::{self, is_promoted_past};
use super::role::{Named, Role};
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

/// A current run: its record in the status, and its object if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub role: Role,
    pub attempt: u32,
    pub summary: AnalysisRunSummary,
    pub object: Option<Arc<AnalysisRun>>,
}

impl Current {
    /// The phase of the object, or the recorded one if the object no longer exists.
    pub fn phase(&self) -> Option<AnalysisPhase> {
        match &self.object {
            Some(object) => object.status.as_ref().and_then(|status| status.phase),
            None => phase(&self.summary.status),
        }
    }

    pub fn message(&self) -> &str {
        let message = self.object.as_ref().and_then(|object| object.status.as_ref()).map(|status| &status.message);
        message.map(String::as_str).or(self.summary.message.as_deref()).unwrap_or_default()
    }

    pub fn is_inconclusive(&self) -> bool {
        self.phase() == Some(AnalysisPhase::Inconclusive)
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.phase(), Some(AnalysisPhase::Failed | AnalysisPhase::Error))
    }

    pub fn is_completed(&self) -> bool {
        self.phase().is_some_and(AnalysisPhase::is_completed)
    }
}

pub(super) fn phase(text: &str) -> Option<AnalysisPhase> {
    use AnalysisPhase::{Error, Failed, Inconclusive, Pending, Running, Successful};
    [Pending, Running, Successful, Failed, Error, Inconclusive].into_iter().find(|phase| phase.as_str() == text)
}

pub(super) fn summary_of(record: &mut Record, role: Role) -> &mut Option<AnalysisRunSummary> {
    match role {
        Role::Background => &mut record.status.canary.current_background_analysis_run_status,
        Role::Step(_) => &mut record.status.canary.current_step_analysis_run_status,
    }
}

/// The name of a run's object without the rollout's name and the revision's hash in front.
pub(super) fn suffix<'a>(context: &Context, name: &'a str, hash: &str) -> &'a str {
    let short = name.strip_prefix(context.rollout_name()).and_then(|rest| rest.strip_prefix('-'));
    short.and_then(|rest| rest.strip_prefix(hash)?.strip_prefix('-')).unwrap_or(name)
}

pub(super) fn find<'a>(context: &'a Context, name: &str) -> Option<&'a Arc<AnalysisRun>> {
    context.observed.runs.iter().find(|run| run.metadata.name.as_deref() == Some(name))
}

/// The runs that the status records. Names that cannot be parsed are left out.
pub(crate) fn current_runs(context: &Context, record: &Record) -> Vec<Current> {
    let canary = &record.status.canary;
    let summaries = [&canary.current_step_analysis_run_status, &canary.current_background_analysis_run_status];
    summaries.into_iter().flatten().filter_map(|summary| current(context, record, summary)).collect()
}

fn current(context: &Context, record: &Record, summary: &AnalysisRunSummary) -> Option<Current> {
    let Named { role, attempt } = Named::parse(suffix(context, &summary.name, &record.status.current_pod_hash))?;
    Some(Current { role, attempt, object: find(context, &summary.name).cloned(), summary: summary.clone() })
}

pub(super) fn current_run(context: &Context, record: &Record, role: Role) -> Option<Current> {
    current_runs(context, record).into_iter().find(|current| current.role == role)
}

/// Names of the current runs of a step that are not completed.
pub(crate) fn open_runs(context: &Context, record: &Record) -> Vec<String> {
    let open = |current: &Current| !current.is_completed() && current.role != Role::Background;
    current_runs(context, record).into_iter().filter(open).map(|current| current.summary.name).collect()
}

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
    *summary_of(record, current.role) = None;
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
