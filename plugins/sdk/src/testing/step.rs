//! For a step plugin's own tests: a sample input, the calls as the host makes them, and a whole [`Run`].

mod run;

pub use run::{Played, Run};

use super::{NOW, rollout};
use crate::Error;
use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::bindings::step::exports::kulta::plugin::step::Guest as _;
use crate::step::{Action, Call, Exported, Occasion, Step};

/// The step 1 of the rollout `shop/web` has just begun.
pub fn input() -> Occasion {
    Occasion {
        rollout: rollout(),
        call: Call::Run,
        index: 1,
        now: NOW,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    }
}

/// Calls `check-config` as the host does.
pub fn check_config<T: Step>(config: &str) -> Result<(), Error> {
    Exported::<T>::check_config(config.into())
}

/// Calls `act` as the host does, once.
pub fn act<T: Step>(config: &str, input: &Occasion) -> Result<Action, Error> {
    Exported::<T>::act(config.into(), input.clone())
}

/// The JSON Schema of the configuration, as the host receives it.
pub fn config_schema<T: Step>() -> String {
    Exported::<T>::describe().config_schema
}

/// Calls of [`act`] with their answers, one JSON object a line: `{"config", "occasion", "answer"}`.
/// The host replays such a recording through the component to check that Wasm and native code give equal answers.
pub fn record<T: Step>(calls: &[(String, Occasion)]) -> Result<String, serde_json::Error> {
    super::lines(calls.iter().map(
        |(config, input)| serde_json::json!({ "config": config, "occasion": input, "answer": act::<T>(config, input) }),
    ))
}
