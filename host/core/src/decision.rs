//! What a strategy is asked and what it answers: the part of the WIT that core works with (`wit/0.1.0`, interface `strategy`).
//! Traffic is parts of `max_weight`, instants are wall-clock times.

use jiff::Timestamp;
use kulta_api::FailureKind;

pub use crate::plugin_failure::FailureClass;
pub use crate::rollout::strategy_choice::{CANARY_PLUGIN, canary_config};

#[derive(Clone, Debug, PartialEq)]
pub struct Situation {
    pub namespace: String,
    pub name: String,
    pub replicas: u32,
    pub max_weight: u32,
    pub stable: Option<Revision>,
    pub canary: Revision,
    pub others: Vec<Revision>,
    pub now: Timestamp,
    pub goal: Goal,
    pub step: u32,
    pub step_started_at: Timestamp,
    pub memory: Vec<u8>,
    /// The canary's share that the data plane has confirmed.
    pub weight: u32,
    /// What the plugin answered to the same situation is in place.
    pub reached: bool,
    pub paused: Option<(PauseCause, Timestamp)>,
    /// A person lifted the pause of this step.
    pub promoted: bool,
    /// The analyses and step plugins that earlier decisions of this revision asked for.
    pub runs: Vec<Run>,
}

/// An analysis or a step plugin that a decision asked for. Names: `background`, `steps/<i>/analysis`, `steps/<i>/plugin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub name: String,
    /// Rises with every fresh run of the name.
    pub attempt: u32,
    pub phase: RunPhase,
    pub started_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPhase {
    /// Under way, or about to be.
    Running,
    Judged(Verdict),
    FailedToRun(String),
}

/// The texts say why, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail(String),
    Inconclusive(String),
}

/// A run that should be running or done; a higher attempt than there is asks for a fresh one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedRun {
    pub name: String,
    pub attempt: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Forward,
    Restore,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    pub hash: String,
    pub number: u64,
    pub desired: u32,
    pub created: u32,
    pub ready: u32,
    pub available: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseCause {
    Step,
    Analysis,
    Experiment,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub step: u32,
    /// 0 when the strategy does not know.
    pub steps: u32,
    pub memory: Vec<u8>,
    pub weight: u32,
    pub canary: Scale,
    /// What is no longer named is terminated.
    pub runs: Vec<WantedRun>,
    pub next: Next,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    FollowWeight,
    /// Parts of `max_weight`, turned into pods rounding up.
    Weight(u32),
    Replicas(u32),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Hold(Waiting),
    Until(Timestamp),
    Pause { cause: PauseCause, until: Option<Timestamp> },
    Promote,
    Abort { kind: FailureKind, reason: String },
}

/// What a hold waits for; the progress deadline runs for `Pods` and `Routes` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Pods,
    Routes,
    Runs,
    Other,
}

/// The strategy gave no usable answer: what the condition and the log say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyFailure {
    pub class: FailureClass,
    pub message: String,
}
