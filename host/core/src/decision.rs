//! The questions to a strategy and its answers: the part of the WIT package that core works with (`wit/0.1.0`, interface
//! `strategy`). Weights are parts of `max_weight`. Times are wall-clock times.

use jiff::Timestamp;
use kulta_api::FailureKind;

pub use crate::plugin_failure::FailureClass;
pub use crate::rollout::strategy_choice::{BLUE_GREEN_PLUGIN, CANARY_PLUGIN, blue_green_config, canary_config};

#[derive(Clone, Debug, PartialEq)]
pub struct Situation {
    pub namespace: String,
    pub name: String,
    pub replicas: u32,
    pub max_weight: u32,
    pub stable: Option<RevisionState>,
    pub canary: RevisionState,
    pub others: Vec<RevisionState>,
    pub now: Timestamp,
    pub goal: Goal,
    pub step: u32,
    pub step_started_at: Timestamp,
    pub memory: Vec<u8>,
    /// The canary's share that the data plane has confirmed.
    pub weight: u32,
    /// The plugin's earlier answer to the same situation is in place.
    pub reached: bool,
    pub paused: Option<(PauseCause, Timestamp)>,
    /// A user lifted the pause of this step.
    pub promoted: bool,
    /// The analyses and step plugins that earlier decisions about this revision requested.
    pub runs: Vec<Run>,
}

/// An analysis or a step plugin that a decision requested. Names: `background`, `steps/<i>/analysis`, `steps/<i>/plugin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub name: String,
    /// Number of the run among those with the same name.
    pub attempt: u32,
    pub phase: RunPhase,
    pub started_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPhase {
    /// The run is in progress, or about to start.
    Running,
    Judged(Verdict),
    FailedToRun(String),
}

/// The texts explain the verdict to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail(String),
    Inconclusive(String),
}

/// A run that should be running or completed. An attempt that no run has yet requests a new run.
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
pub struct RevisionState {
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
    /// Number of steps; 0 if the strategy does not know it.
    pub steps: u32,
    pub memory: Vec<u8>,
    pub weight: u32,
    pub canary: Scale,
    /// The rules beside the split that the strategy wants on the routes. Other managed rules are removed.
    pub routes: Vec<ManagedRoute>,
    /// The runs that the strategy wants. Other runs are terminated.
    pub runs: Vec<WantedRun>,
    pub next: Next,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    FollowWeight,
    /// A share in parts of `max_weight`, converted to pods and rounded up.
    Weight(u32),
    Replicas(u32),
}

/// Rules that stand before the split of each route, under one of the names in `trafficRouting.managedRoutes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedRoute {
    pub name: String,
    pub kind: ManagedRouteKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedRouteKind {
    /// Requests with all of these headers go to the canary.
    Headers(Vec<HeaderMatch>),
    Mirror(Mirror),
}

/// Requests that match are answered as before, and copied to the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Percentage of the matching requests that is copied; `None` copies all.
    pub percentage: Option<u32>,
    /// A request matches if one of these does.
    pub matches: Vec<RouteMatch>,
}

/// A request matches if all parts do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMatch {
    pub method: Option<TextMatch>,
    pub path: Option<TextMatch>,
    pub headers: Vec<HeaderMatch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    pub name: String,
    pub value: TextMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    Exact(String),
    Prefix(String),
    Regex(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Hold(Waiting),
    Until(Timestamp),
    Pause { cause: PauseCause, until: Option<Timestamp> },
    Promote,
    Abort { kind: FailureKind, reason: String },
}

/// The subject of a wait. The progress deadline runs for `Pods` and `Routes` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Pods,
    Routes,
    Runs,
    Other,
}

/// The strategy gave no usable answer. The condition and the log report this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyFailure {
    pub class: FailureClass,
    pub message: String,
}
