//! The current runs as the status records them.

use std::sync::Arc;

use kulta_api::analysis::{AnalysisPhase, AnalysisRun, MetricResult};
use kulta_api::foreign_status::AnalysisRunSummary;
use kulta_api::kulta_status::FAILURE_CHARS;
use kulta_api::{Outcome, TransitionKind};

use super::role::{Named, Role};
use crate::decision::{Run, RunPhase, Verdict};
use crate::pass::Pass;
use crate::plan::{EventKind, EventReason};
use crate::transition::Transition;

/// How a run ends that the rollout goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub outcome: Outcome,
    pub why: &'static str,
}

/// The update ends well: what has not failed by then counts as successful.
pub(crate) const PROMOTED: Ending = Ending { outcome: Outcome::Success, why: "promoted" };
/// Bytes of a run's message that a strategy is told: it may answer with 1 KiB, and has words of its own.
const TOLD_BYTES: usize = 768;

/// A current run: what the status says of it, and the object where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub role: Role,
    pub attempt: u32,
    pub record: AnalysisRunSummary,
    pub object: Option<Arc<AnalysisRun>>,
}

impl Current {
    /// What the object says, or what it last said when it is gone.
    pub fn phase(&self) -> Option<AnalysisPhase> {
        match &self.object {
            Some(object) => object.status.as_ref().and_then(|status| status.phase),
            None => phase(&self.record.status),
        }
    }

    pub fn message(&self) -> &str {
        let said = self.object.as_ref().and_then(|object| object.status.as_ref()).map(|status| status.message.as_str());
        said.or(self.record.message.as_deref()).unwrap_or_default()
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

fn phase(text: &str) -> Option<AnalysisPhase> {
    use AnalysisPhase::{Error, Failed, Inconclusive, Pending, Running, Successful};
    [Pending, Running, Successful, Failed, Error, Inconclusive].into_iter().find(|phase| phase.as_str() == text)
}

fn outcome(phase: AnalysisPhase) -> Option<Outcome> {
    match phase {
        AnalysisPhase::Successful => Some(Outcome::Success),
        AnalysisPhase::Failed => Some(Outcome::Failure),
        // Nothing could be told of the version.
        AnalysisPhase::Error | AnalysisPhase::Inconclusive => Some(Outcome::Error),
        AnalysisPhase::Pending | AnalysisPhase::Running => None,
    }
}

impl Pass {
    pub(super) fn record_of(&mut self, role: Role) -> &mut Option<AnalysisRunSummary> {
        match role {
            Role::Background => &mut self.status.canary.current_background_analysis_run_status,
            Role::Step(_) => &mut self.status.canary.current_step_analysis_run_status,
        }
    }

    /// The name of a run's object, less the rollout's and the revision's.
    pub(super) fn run_suffix<'a>(&self, name: &'a str, hash: &str) -> &'a str {
        let rollout = self.scene.observed.rollout.metadata.name.as_deref().unwrap_or_default();
        let short = name.strip_prefix(rollout).and_then(|rest| rest.strip_prefix('-'));
        short.and_then(|rest| rest.strip_prefix(hash)?.strip_prefix('-')).unwrap_or(name)
    }

    pub(super) fn find_run(&self, name: &str) -> Option<&Arc<AnalysisRun>> {
        self.scene.observed.runs.iter().find(|run| run.metadata.name.as_deref() == Some(name))
    }

    /// The runs that the status records, as far as their names can be read.
    pub(super) fn current_runs(&self) -> Vec<Current> {
        let canary = &self.status.canary;
        let records = [&canary.current_step_analysis_run_status, &canary.current_background_analysis_run_status];
        records.into_iter().flatten().filter_map(|record| self.current(record)).collect()
    }

    fn current(&self, record: &AnalysisRunSummary) -> Option<Current> {
        let Named { role, attempt } = Named::parse(self.run_suffix(&record.name, &self.status.current_pod_hash))?;
        Some(Current { role, attempt, object: self.find_run(&record.name).cloned(), record: record.clone() })
    }

    pub(super) fn current_run(&self, role: Role) -> Option<Current> {
        self.current_runs().into_iter().find(|current| current.role == role)
    }

    /// Names of the current runs of a step that are not completed.
    pub fn open_runs(&self) -> Vec<String> {
        let open = |current: &Current| !current.is_completed() && current.role != Role::Background;
        self.current_runs().into_iter().filter(open).map(|current| current.record.name).collect()
    }

    /// The current runs as the strategy sees them.
    pub fn runs(&self) -> Vec<Run> {
        let seen = |current: Current| {
            let message = shortened(current.message()).to_owned();
            let status = current.object.as_ref().and_then(|object| object.status.as_ref());
            let started = status.and_then(|status| status.started_at.as_ref()).map(|time| time.0);
            Run {
                name: current.role.name(),
                attempt: current.attempt,
                phase: match current.phase() {
                    _ if self.is_promoted_past(&current) => RunPhase::Running,
                    Some(AnalysisPhase::Successful) => RunPhase::Judged(Verdict::Pass),
                    Some(AnalysisPhase::Failed) => RunPhase::Judged(Verdict::Fail(message)),
                    Some(AnalysisPhase::Inconclusive) => RunPhase::Judged(Verdict::Inconclusive(message)),
                    Some(AnalysisPhase::Error) => RunPhase::FailedToRun(message),
                    Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => RunPhase::Running,
                },
                started_at: started.unwrap_or(self.scene.now),
            }
        };
        self.current_runs().into_iter().map(seen).collect()
    }

    /// Records what the current runs have come to, and tells of it.
    pub fn observe_runs(&mut self) {
        self.note_lifted_pause();
        for current in self.current_runs() {
            self.observe_run(&current);
        }
    }

    fn observe_run(&mut self, current: &Current) {
        let Some(now) = current.object.as_ref().and(current.phase()) else { return };
        let message = Some(current.message().to_owned()).filter(|message| !message.is_empty());
        let before = current.record.status.clone();
        if before == now.as_str() && current.record.message == message {
            return;
        }
        self.record(current, now, message);
        if before != now.as_str() {
            self.tell_run_phase(current, now, &before);
        }
    }

    /// A run that cannot be made counts as an error.
    pub(super) fn run_cannot_be_made(&mut self, current: &Current, why: String) {
        self.record(current, AnalysisPhase::Error, Some(why));
        self.tell_run_phase(current, AnalysisPhase::Error, &current.record.status);
    }

    fn record(&mut self, current: &Current, phase: AnalysisPhase, message: Option<String>) {
        let name = current.record.name.clone();
        *self.record_of(current.role) = Some(AnalysisRunSummary { name, status: phase.as_str().to_owned(), message });
    }

    fn tell_run_phase(&mut self, current: &Current, now: AnalysisPhase, before: &str) {
        let name = &current.record.name;
        let reason = EventReason::of_run(now);
        let message =
            format!("{} Analysis Run '{name}' Status New: '{now}' Previous: '{before}'", current.role.label());
        let hash = self.status.current_pod_hash.clone();
        let mut event = self.write_event(&format!("{hash}.{}", self.run_suffix(name, &hash)), reason, message);
        if matches!(now, AnalysisPhase::Failed | AnalysisPhase::Error) {
            event.kind = EventKind::Warning;
        }
        self.events.push(event);
        let known = phase(before).is_some_and(AnalysisPhase::is_completed);
        let Some(outcome) = outcome(now).filter(|_| !known) else { return };
        let stopped = current.object.as_ref().is_some_and(|object| object.spec.terminate);
        let outcome = if stopped && outcome == Outcome::Success { Outcome::Cancel } else { outcome };
        let recorded = self.record_of(current.role).clone();
        let why = recorded.and_then(|record| record.message).or_else(|| match now {
            AnalysisPhase::Inconclusive => Some("inconclusive".to_owned()),
            _ => None,
        });
        let told = self.tell_run_end(current, &hash, outcome, why.clone());
        if current.has_failed() || now == AnalysisPhase::Error {
            self.kulta.failure_cause = Some(told);
            self.kulta.failure_reason = why.map(|why| why.chars().take(FAILURE_CHARS).collect());
        }
    }

    /// Tells that a run begins.
    pub(super) fn tell_run_begin(&mut self, role: Role, name: &str) {
        let run = self.run_suffix(name, &self.scene.new_hash).to_owned();
        self.tell(TransitionKind::AnalysisStarted, |entry| {
            entry.stable = None;
            entry.steps = None;
            entry.run = Some(run);
            entry.step = step_of(role);
        });
    }

    /// Tells the outcome of each metric, then of the run: the sequence of that.
    fn tell_run_end(&mut self, current: &Current, hash: &str, outcome: Outcome, why: Option<String>) -> u64 {
        let run = self.run_suffix(&current.record.name, hash).to_owned();
        let status = current.object.as_ref().and_then(|object| object.status.as_ref());
        let metrics = status.map(|status| status.metric_results.clone()).unwrap_or_default();
        for MetricResult { name, phase, message, dry_run, .. } in metrics {
            let judged = self::outcome(phase).unwrap_or(outcome);
            let message = if dry_run { format!("dry run: {message}") } else { message };
            self.tell(TransitionKind::MetricFinished, |entry| {
                hash.clone_into(&mut entry.hash);
                entry.stable = None;
                entry.steps = None;
                entry.run = Some(run.clone());
                entry.metric = Some(name);
                entry.outcome = Some(judged);
                entry.why = Some(message).filter(|message| !message.is_empty());
            });
        }
        let because = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let message = format!("AnalysisRun {} ended with {}{because}", current.record.name, outcome.as_str());
        self.transitions.push(Transition { revision: Some(self.scene.revision_number()), message });
        self.tell(TransitionKind::AnalysisFinished, |entry| {
            hash.clone_into(&mut entry.hash);
            entry.stable = None;
            entry.steps = None;
            entry.run = Some(run);
            entry.step = step_of(current.role);
            entry.outcome = Some(outcome);
            entry.why = why;
        });
        self.kulta.sequence
    }

    /// The rollout goes on without this run: what has no outcome yet gets this one.
    pub(super) fn drop_run(&mut self, current: &Current, ending: Ending) {
        if current.is_completed() {
            // It may be seen to have ended for the first time, together with what it is dropped for.
            self.observe_run(current);
        }
        *self.record_of(current.role) = None;
        self.forget_inconclusive_run(current.role);
        if !current.is_completed() {
            let hash = self.status.current_pod_hash.clone();
            self.tell_run_end(current, &hash, ending.outcome, Some(ending.why.to_owned()));
        }
    }

    /// The rollout goes on without any run.
    pub fn drop_runs(&mut self, ending: Ending) {
        for current in self.current_runs() {
            self.drop_run(&current, ending);
        }
        // A name that could not be read is nobody's.
        self.status.canary.current_step_analysis_run_status = None;
        self.status.canary.current_background_analysis_run_status = None;
        self.forget_inconclusive_run(Role::Background);
    }

    /// Another run takes the place of the one that is recorded, or none does.
    pub(super) fn forget_inconclusive_run(&mut self, role: Role) {
        if role == Role::Background {
            self.kulta.inconclusive_run = None;
        }
    }

    /// The rollout goes on without the runs that have no outcome yet; what the others came to stays in the status.
    pub fn drop_unfinished_runs(&mut self, ending: Ending) {
        for current in self.current_runs().into_iter().filter(|current| !current.is_completed()) {
            self.drop_run(&current, ending);
        }
    }
}

/// To what a strategy is told.
pub(crate) fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(TOLD_BYTES)).unwrap_or(message)
}

fn step_of(role: Role) -> Option<u32> {
    match role {
        Role::Step(index) => Some(index),
        Role::Background => None,
    }
}
