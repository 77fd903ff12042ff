//! The values that walk through a reconciliation: what is done so far, what the two sides should come to, and what a stage has decided.

use jiff::Timestamp;

use super::record::Record;
use crate::decision::{Situation, StrategyFailure, Waiting};
use crate::step_plugins::AnswersTaken;

/// What the reconciliation has come to, while stages follow each other in it.
#[derive(Debug)]
pub(crate) struct Progress {
    pub record: Record,
    /// Steps that have been completed in this reconciliation.
    pub steps_completed: u32,
    /// The step whose goal is in place, and the goal's weight.
    pub in_place: Option<(u32, u32)>,
    /// What the answers of step plugins have led to.
    pub answers: AnswersTaken,
    /// The strategy gave no usable answer.
    pub strategy_failure: Option<StrategyFailure>,
}

impl Progress {
    /// No stage has been passed yet.
    pub fn begin(record: Record, answers: AnswersTaken) -> Self {
        Self { record, steps_completed: 0, in_place: None, answers, strategy_failure: None }
    }
}

/// What should become of traffic and pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Sides(SidesGoal),
    /// Where the traffic is cannot be told: no pod goes, and stable gets all the pods that it may need.
    KeepPods,
}

/// Where both sides should be, were all of it safe at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SidesGoal {
    /// The canary's share, in parts of the maximum weight. Without traffic routing the pods are the share.
    pub weight: u32,
    /// Available canary pods without which its share does not grow.
    pub canary_needed: u32,
    /// `spec.replicas` of the new revision's ReplicaSet.
    pub canary: u32,
    /// `spec.replicas` of the stable ReplicaSet; without meaning while the new revision is stable.
    pub stable: u32,
    /// Nothing moves: a weight that is taken away meanwhile would not come back.
    pub is_held: bool,
}

/// What a stage has decided.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub record: Record,
    pub goal: Goal,
    /// What the revision waits for, if it waits.
    pub waiting: Option<Waiting>,
    /// Why the rollout is where it is, for the log.
    pub reason: String,
    /// When to reconcile again if nothing changes until then.
    pub wake_up: Option<Timestamp>,
    /// The strategy gave no usable answer.
    pub strategy_failure: Option<StrategyFailure>,
    /// When the canary's pods go after an abort, if the outcome sets that.
    pub canary_deadline: Option<Timestamp>,
    pub answers: AnswersTaken,
}

impl Outcome {
    /// Nothing is waited for, and nothing but a change leads to the next reconciliation.
    pub fn new(progress: Progress, goal: Goal, reason: impl Into<String>) -> Self {
        Self {
            record: progress.record,
            goal,
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

/// What follows a stage.
pub(crate) enum Next {
    /// The stage has changed the record so that another stage follows.
    Stage(Progress),
    /// The strategy has to say where to go.
    Ask(Situation, Progress),
    Settled(Box<Outcome>),
}
