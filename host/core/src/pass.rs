//! One look at a rollout, from what is seen to what is to be done.

use jiff::Timestamp;
use serde_json::Value;

use crate::decision::{Decision, Situation, StrategyFailure};
use crate::observed::Observed;
use crate::plan::Plan;

/// A pass either needs the strategy's answer or is done.
#[derive(Debug)]
pub enum Turn {
    Ask(Box<Ask>),
    Done(Box<Plan>),
}

/// A question to the strategy, and the pass that waits for the answer.
#[derive(Debug)]
pub struct Ask {
    /// Name of the plugin that decides.
    pub plugin: String,
    /// Its configuration as JSON.
    pub config: String,
    pub situation: Situation,
}

impl Ask {
    /// Goes on with the strategy's answer.
    #[must_use]
    pub fn answer(self: Box<Self>, _answer: Result<Decision, StrategyFailure>) -> Turn {
        Turn::Done(Box::default())
    }
}

/// Begins a pass. `now` is the wall clock.
#[must_use]
pub fn begin(_observed: Observed, _now: Timestamp) -> Turn {
    Turn::Done(Box::default())
}

/// The plan for an object that could not be decoded: a condition that names the field, and nothing else is touched.
/// `object` is the Rollout as JSON.
#[must_use]
pub fn undecodable(_object: &Value, _error: &kulta_api::validation::FieldError, _now: Timestamp) -> Plan {
    Plan::default()
}
