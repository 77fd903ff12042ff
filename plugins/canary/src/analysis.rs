//! Analyses: the wanted runs at a step, and the effects of their verdicts. The host measures and judges.

use crate::config::Config;
use kulta_plugin::{Run, RunPhase, Situation, Verdict, WantedRun};

const BACKGROUND: &str = "background";

/// The worst result of the current analyses.
#[derive(Debug, Clone, PartialEq)]
pub enum Say {
    Nothing,
    /// The reason, for users.
    Inconclusive(String),
    /// The reason, in Argo Rollouts' wording.
    Failed(String),
}

/// The analyses of the configuration, and the existing runs.
#[derive(Clone, Copy)]
pub struct Analyses<'a> {
    config: &'a Config,
    runs: &'a [Run],
    promoted: bool,
}

impl<'a> Analyses<'a> {
    pub fn new(config: &'a Config, situation: &'a Situation) -> Self {
        Self { config, runs: &situation.runs, promoted: situation.promoted }
    }

    /// All runs that should be running or done at this step; after the last step the background analysis continues. The
    /// host decides when it repeats a background analysis that a user has promoted past.
    pub fn wanted(&self, index: usize) -> Vec<WantedRun> {
        let background = self.in_background(index).then(|| {
            let attempt = self.find(BACKGROUND).map_or(1, |run| run.attempt);
            WantedRun { name: BACKGROUND.to_owned(), attempt }
        });
        let step = self.is_step(index).then(|| {
            let name = step_name(index);
            let attempt = self.find(&name).map_or(1, |run| run.attempt);
            WantedRun { name, attempt }
        });
        background.into_iter().chain(step).collect()
    }

    /// The step's own run takes precedence over the background's, failures over other results.
    pub fn say(&self, index: usize) -> Say {
        let step = self.is_step(index).then(|| self.find(&step_name(index))).flatten();
        let background = self.in_background(index).then(|| self.find(BACKGROUND)).flatten();
        let both = [(step, "Step-based", "the analysis"), (background, "Background", "the background analysis")];
        let failed = both.iter().find_map(|(run, kind, _)| {
            let message = failure((*run)?)?;
            let what = format!("{kind} analysis phase error/failed");
            Some(if message.is_empty() { what } else { format!("{what}: {message}") })
        });
        let inconclusive = || {
            both.iter().find_map(|(run, _, name)| match &(*run)?.phase {
                RunPhase::Judged(Verdict::Inconclusive(why)) if why.is_empty() => {
                    Some(format!("{name} is inconclusive"))
                }
                RunPhase::Judged(Verdict::Inconclusive(why)) => Some(format!("{name} is inconclusive: {why}")),
                _ => None,
            })
        };
        match failed {
            Some(why) => Say::Failed(why),
            None if self.promoted => Say::Nothing,
            None => inconclusive().map_or(Say::Nothing, Say::Inconclusive),
        }
    }

    /// True if the step's run has passed, or a user has promoted past it.
    pub fn step_done(&self, index: usize) -> bool {
        self.find(&step_name(index)).is_some_and(|run| match &run.phase {
            RunPhase::Judged(Verdict::Pass) => true,
            RunPhase::Judged(Verdict::Inconclusive(_)) => self.promoted,
            _ => false,
        })
    }

    fn is_step(&self, index: usize) -> bool {
        self.config.steps.get(index).is_some_and(|step| step.analysis.is_some())
    }

    fn in_background(&self, index: usize) -> bool {
        let begins = |start: u32| usize::try_from(start).is_ok_and(|start| index >= start);
        self.config.analysis.is_some_and(|background| background.starting_step.is_none_or(begins))
    }

    fn find(&self, name: &str) -> Option<&'a Run> {
        self.runs.iter().find(|run| run.name == name)
    }
}

fn step_name(index: usize) -> String {
    format!("steps/{index}/analysis")
}

fn failure(run: &Run) -> Option<&str> {
    match &run.phase {
        RunPhase::Judged(Verdict::Fail(why)) | RunPhase::FailedToRun(why) => Some(why),
        RunPhase::Judged(_) | RunPhase::Running => None,
    }
}
