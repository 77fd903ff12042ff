//! For a strategy's own tests: a sample situation, the calls as the host makes them, and a [`Simulation`].

mod simulation;

pub use simulation::{Course, End, Moment, Simulation, restore};

use super::{NOW, rollout};
use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::bindings::strategy::exports::kulta::plugin::strategy::Guest as _;
use crate::{Decision, Error, Exported, Goal, Situation, Strategy};

/// The [`rollout`] whose new revision has just begun its first step.
pub fn situation() -> Situation {
    Situation {
        rollout: rollout(),
        now: NOW,
        goal: Goal::Forward,
        step: 0,
        step_started_at: NOW,
        memory: Vec::new(),
        weight: 0,
        reached: false,
        paused: None,
        promoted: false,
        runs: Vec::new(),
        facts: Vec::new(),
    }
}

/// Calls `check-config` as the host does.
pub fn check_config<T: Strategy>(config: &str) -> Result<(), Error> {
    Exported::<T>::check_config(config.into())
}

/// Calls `decide` as the host does.
pub fn decide<T: Strategy>(config: &str, situation: &Situation) -> Result<Decision, Error> {
    Exported::<T>::decide(config.into(), situation.clone())
}

/// The JSON Schema of the configuration, as the host receives it.
pub fn config_schema<T: Strategy>() -> String {
    Exported::<T>::describe().config_schema
}

/// Calls of [`decide`] with their answers, one JSON object a line: `{"config", "situation", "answer"}`.
/// The host replays such a recording through the component to check that Wasm and native code give equal answers.
pub fn record<T: Strategy>(calls: &[(String, Situation)]) -> Result<String, serde_json::Error> {
    super::lines(calls.iter().map(|(config, situation)| {
        serde_json::json!({ "config": config, "situation": situation, "answer": decide::<T>(config, situation) })
    }))
}
