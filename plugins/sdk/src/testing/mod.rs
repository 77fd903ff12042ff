//! For a plugin's own tests: a plain situation to change, and the calls as the host makes them, configuration as JSON text.
//!
//! The functions of this module are for strategies; each other kind of plugin has a module of its own.

pub mod analyzer;
pub mod condition;

use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::bindings::strategy::exports::kulta::plugin::strategy::Guest as _;
use crate::{Decision, Error, Exported, Goal, Revision, Rollout, Situation, Strategy};

/// The `now` of [`situation`]: 2026-01-01T00:00:00Z, a whole second.
pub const NOW: u64 = 1_767_225_600_000;

/// 4 pods, whose new revision has none yet; the largest weight is 100.
pub fn rollout() -> Rollout {
    let revision = |hash: &str, number, pods| Revision {
        hash: hash.into(),
        number,
        desired: pods,
        created: pods,
        ready: pods,
        available: pods,
    };
    Rollout {
        namespace: "shop".into(),
        name: "web".into(),
        replicas: 4,
        max_weight: 100,
        stable: Some(revision("5d7c9b8f6", 1, 4)),
        canary: revision("7f4b6d9c8", 2, 0),
        others: Vec::new(),
        facts: Vec::new(),
    }
}

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

/// The JSON Schema of the configuration, as the host reads it.
pub fn config_schema<T: Strategy>() -> String {
    Exported::<T>::describe().config_schema
}

/// Calls of [`decide`] with their answers, one JSON object a line: `{"config", "situation", "answer"}`.
/// The host replays such a recording through the component to see that Wasm answers as the native code does.
pub fn record<T: Strategy>(calls: &[(String, Situation)]) -> Result<String, serde_json::Error> {
    lines(calls.iter().map(|(config, situation)| {
        serde_json::json!({ "config": config, "situation": situation, "answer": decide::<T>(config, situation) })
    }))
}

fn lines(calls: impl Iterator<Item = serde_json::Value>) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<String>, _> = calls.map(|call| serde_json::to_string(&call)).collect();
    Ok(lines?.join("\n") + "\n")
}
