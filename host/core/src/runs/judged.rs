//! What the background analysis leads to, whatever the strategy makes of it.

use kulta_api::{FailureKind, PauseReason};

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
    /// The background analysis stops the update: it has failed, or nobody can tell and no person went past it.
    pub fn background_stop(&self) -> Option<Stop> {
        let current = self.current_run(Role::Background)?;
        if current.has_failed() {
            let message = current.message();
            let why = if message.is_empty() { String::new() } else { format!(": {message}") };
            return Some(Stop::Abort(format!("{BACKGROUND_FAILED}{why}")));
        }
        (current.is_inconclusive() && !self.status.pause_lifted()).then_some(Stop::Pause)
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

    /// The strategy goes on: a pause by analysis is over. One that a person lifted is done with once what could not be told
    /// is measured afresh, so that the next that cannot be told pauses again.
    pub fn went_on(&mut self) {
        let unsure = self.status.pause(PauseReason::InconclusiveAnalysisRun).is_some();
        self.status.pause_conditions.retain(|pause| pause.reason != PauseReason::InconclusiveAnalysisRun);
        if (self.lift_spent || unsure) && self.status.pause_conditions.is_empty() {
            self.resume();
        }
    }
}
