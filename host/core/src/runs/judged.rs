//! What the background analysis leads to, whatever the strategy makes of it.

use kulta_api::analysis::AnalysisPhase;
use kulta_api::{FailureKind, InconclusiveRun, PauseReason};

use super::records::Current;
use super::role::Role;
use crate::decision::{Next, PauseCause};
use crate::pass::Pass;

/// As Argo words it.
const BACKGROUND_FAILED: &str = "Background analysis phase error/failed";

/// What the host does about the background analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Why, for a person.
    Abort(String),
    Pause,
}

impl Pass {
    /// The background analysis stops the update: it has failed, or it is inconclusive and no user has promoted past it.
    pub fn background_stop(&self) -> Option<Stop> {
        let current = self.current_run(Role::Background)?;
        if current.has_failed() {
            let message = current.message();
            let why = if message.is_empty() { String::new() } else { format!(": {message}") };
            return Some(Stop::Abort(format!("{BACKGROUND_FAILED}{why}")));
        }
        (current.is_inconclusive() && !self.is_promoted_past(&current)).then_some(Stop::Pause)
    }

    /// The same, unless the strategy has seen to it.
    pub fn background_overrules(&self, next: &Next) -> Option<Stop> {
        let seen_to = matches!(next, Next::Abort { .. });
        match self.background_stop() {
            Some(Stop::Pause) if matches!(next, Next::Pause { cause: PauseCause::Analysis, .. }) => None,
            stop => stop.filter(|_| !seen_to),
        }
    }

    /// Ends the update because of what its analysis said.
    pub fn abort_by_analysis(&mut self, why: &str) {
        self.kulta.failure = Some(FailureKind::Analysis);
        self.begin_abort(Some(why));
    }

    /// The rollout paused for this run, and a user has lifted the pause. The run is told to the strategy as running, and a fresh one
    /// begins once a later step is reached: a metric may need the traffic of that step to have any data.
    pub(super) fn is_promoted_past(&self, current: &Current) -> bool {
        let paused_for = self.kulta.inconclusive_run.as_ref().is_some_and(|run| run.name == current.record.name);
        paused_for
            && current.role == Role::Background
            && current.is_inconclusive()
            && self.status.pause(PauseReason::InconclusiveAnalysisRun).is_none()
    }

    /// The step behind the one at which a user promoted past the background analysis is reached.
    pub fn is_due_afresh(&self, step: u32) -> bool {
        self.kulta.inconclusive_run.as_ref().is_some_and(|run| run.step < step)
    }

    /// Records for which background analysis the rollout pauses.
    pub fn note_inconclusive_run(&mut self) {
        let background = self.current_run(Role::Background).filter(Current::is_inconclusive);
        let Some(name) = background.map(|current| current.record.name) else { return };
        if self.kulta.inconclusive_run.as_ref().is_none_or(|run| run.name != name) {
            self.kulta.inconclusive_run = Some(InconclusiveRun { name, step: self.step() });
        }
    }

    /// Another controller records no such run, and neither does a CRD that prunes `status.kulta`: Argo's fields tell of the pause, for
    /// the phase `Inconclusive` is stored together with it.
    pub(super) fn note_lifted_pause(&mut self) {
        let record = self.status.canary.current_background_analysis_run_status.as_ref();
        let known = record.is_some_and(|record| record.status == AnalysisPhase::Inconclusive.as_str());
        if known && self.status.pause_lifted() {
            self.note_inconclusive_run();
        }
    }

    /// The strategy goes on: a pause by analysis is over, and so is one that a user lifted by promoting past the background analysis.
    pub fn went_on(&mut self) {
        let unsure = self.status.pause(PauseReason::InconclusiveAnalysisRun).is_some();
        self.status.pause_conditions.retain(|pause| pause.reason != PauseReason::InconclusiveAnalysisRun);
        let background = self.current_run(Role::Background);
        let lifted = self.status.pause_lifted() && background.is_some_and(|current| self.is_promoted_past(&current));
        if (lifted || unsure) && self.status.pause_conditions.is_empty() {
            self.resume();
        }
    }
}
