//! The values that the functions of a reconciliation pass on: the progress so far, the goal of both sides, and the decision of a
//! stage.

use jiff::Timestamp;

use super::record::Record;
use crate::decision::{Situation, StrategyFailure, Waiting};
use crate::step_plugins::AnswersTaken;
use crate::traffic::ManagedGoal;

/// The progress of a reconciliation while one stage follows another.
#[derive(Debug)]
pub(crate) struct Progress {
    pub record: Record,
    /// Number of steps completed in this reconciliation.
    pub steps_completed: u32,
    /// The step whose goal is in place, and the goal's weight.
    pub in_place: Option<(u32, u32)>,
    /// Effects of the answers of step plugins.
    pub answers: AnswersTaken,
    /// The strategy gave no usable answer.
    pub strategy_failure: Option<StrategyFailure>,
}

impl Progress {
    /// The progress before the first stage.
    pub fn begin(record: Record, answers: AnswersTaken) -> Self {
        Self { record, steps_completed: 0, in_place: None, answers, strategy_failure: None }
    }
}

/// The goal for traffic and pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Sides(SidesGoal),
    /// The location of the traffic is unknown: no pod is deleted, and stable gets all the pods that it may need.
    KeepPods,
}

/// The goal for both sides, regardless of what is safe now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SidesGoal {
    /// The canary's share, in parts of the maximum weight. Without traffic routing the pods are the share.
    pub weight: u32,
    /// Number of available canary pods below which its share does not grow.
    pub canary_needed: u32,
    /// `spec.replicas` of the new revision's ReplicaSet.
    pub canary: u32,
    /// `spec.replicas` of the stable ReplicaSet. It is unused while the new revision is stable.
    pub stable: u32,
    /// Nothing moves. A weight that is reduced for safety is not raised again.
    pub is_held: bool,
}

/// The decision of a stage.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub record: Record,
    pub goal: Goal,
    /// The wanted rules of managed routes.
    pub routes: ManagedGoal,
    /// The subject of the revision's wait, if it waits.
    pub waiting: Option<Waiting>,
    /// Why the rollout is in its current state, for the log.
    pub reason: String,
    /// When to reconcile again if nothing changes before.
    pub wake_up: Option<Timestamp>,
    /// The strategy gave no usable answer.
    pub strategy_failure: Option<StrategyFailure>,
    /// When the canary's pods are deleted after an abort, if this outcome sets the time.
    pub canary_deadline: Option<Timestamp>,
    pub answers: AnswersTaken,
}

impl Outcome {
    /// The revision waits for nothing, no rule of a managed route is left, and only a change leads to the next reconciliation.
    pub fn new(progress: Progress, goal: Goal, reason: impl Into<String>) -> Self {
        Self {
            record: progress.record,
            goal,
            routes: ManagedGoal::default(),
            waiting: None,
            reason: reason.into(),
            wake_up: None,
            strategy_failure: progress.strategy_failure,
            canary_deadline: None,
            answers: progress.answers,
        }
    }

    pub fn waits_for(self, waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..self }
    }
}

/// The successor of a stage.
pub(crate) enum Next {
    /// The stage has changed the record, so another stage follows.
    Stage(Progress),
    /// The strategy has to be asked.
    Ask(Box<Situation>, Progress),
    Settled(Outcome),
}
