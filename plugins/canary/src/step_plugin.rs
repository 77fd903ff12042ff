//! Step plugins: the wanted run at a step, and the effect of its outcome. The host calls them.

use crate::config::Config;
use kulta_plugin::{Run, RunPhase, Situation, Verdict, WantedRun};

/// The state of the current step plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum Say {
    /// It works, or has not begun.
    Working,
    Done,
    /// The reason, for users.
    Failed(String),
    Inconclusive(String),
}

/// The step plugin of one step, and its run if there is one.
#[derive(Clone, Copy)]
pub struct StepPlugin<'a> {
    pub name: &'a str,
    run: Option<&'a Run>,
    promoted: bool,
}

impl<'a> StepPlugin<'a> {
    /// `None` if the step has no plugin, or pauses: Argo Rollouts calls no plugin during a pause.
    pub fn at(config: &'a Config, situation: &'a Situation, index: usize) -> Option<Self> {
        let step = config.steps.get(index)?;
        let plugin = step.plugin.as_ref().filter(|_| step.pause.is_none())?;
        let run = run_name(index);
        let run = situation.runs.iter().find(|there| there.name == run);
        Some(Self { name: &plugin.name, run, promoted: situation.promoted })
    }

    pub fn say(&self) -> Say {
        let because = |what: &str, why: &str| {
            let colon = if why.is_empty() { "" } else { ": " };
            format!("step plugin {} {what}{colon}{why}", self.name)
        };
        match self.run.map(|run| &run.phase) {
            Some(RunPhase::Judged(Verdict::Pass)) => Say::Done,
            Some(RunPhase::Judged(Verdict::Fail(why))) => Say::Failed(because("failed", why)),
            Some(RunPhase::Judged(Verdict::Inconclusive(_))) if self.promoted => Say::Done,
            Some(RunPhase::Judged(Verdict::Inconclusive(why))) => Say::Inconclusive(because("is inconclusive", why)),
            // The host retries a run that could not start, until its deadline.
            Some(RunPhase::FailedToRun(_) | RunPhase::Running) | None => Say::Working,
        }
    }
}

/// The wanted run of this step.
pub fn wanted(config: &Config, situation: &Situation, index: usize) -> Option<WantedRun> {
    let attempt = StepPlugin::at(config, situation, index)?.run.map_or(1, |run| run.attempt);
    Some(WantedRun { name: run_name(index), attempt })
}

fn run_name(index: usize) -> String {
    format!("steps/{index}/plugin")
}
