//! For a condition language's own tests: the calls as the host makes them.

use crate::Error;
use crate::bindings::condition::exports::kulta::plugin::condition::Guest as _;
use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::condition::{Condition, Exported};

/// Calls `check-config` as the host does.
pub fn check_config<T: Condition>(config: &str) -> Result<(), Error> {
    Exported::<T>::check_config(config.into())
}

/// Calls `evaluate` as the host does. `value` is JSON.
pub fn evaluate<T: Condition>(expression: &str, value: &str) -> Result<bool, Error> {
    Exported::<T>::evaluate(expression.into(), value.into())
}

/// Calls of [`evaluate`] with their answers, one JSON object a line: `{"expression", "value", "answer"}`.
pub fn record<T: Condition>(calls: &[(String, String)]) -> Result<String, serde_json::Error> {
    super::lines(calls.iter().map(|(expression, value)| {
        serde_json::json!({ "expression": expression, "value": value, "answer": evaluate::<T>(expression, value) })
    }))
}
