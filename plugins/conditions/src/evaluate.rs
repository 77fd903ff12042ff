//! From expression and value to yes, no or why not.

use crate::environment::environment;
use crate::source::prepared;
use crate::value::{read, type_name};
use expr::{Context, Value};
use kulta_plugin::Error;
use kulta_plugin::analyzer::MAX_VALUE_BYTES;
use kulta_plugin::text::shortened;

const RESULT: &str = "result";
/// Enough for a parser's list of what it expected, in bytes.
const ERROR_BYTES: usize = 512;
/// As Argo Rollouts words it.
const NO_DATA: &str = "metric result is nil or empty: no data returned from the metric provider";

/// Judges the value (JSON). `invalid-config` when the expression cannot be meant for any value, `unavailable` when it
/// cannot be applied to this one.
pub fn evaluate(expression: &str, json: &str) -> Result<bool, Error> {
    let source = prepared(expression).map_err(|error| invalid(&error.to_string()))?;
    let program = expr::compile(&source).map_err(|error| invalid(&syntax(expression, &error)))?;
    if json.len() > MAX_VALUE_BYTES {
        return Err(unavailable(&format!("the value is {} bytes long, at most {MAX_VALUE_BYTES}", json.len())));
    }
    let result = read(json).map_err(|error| unavailable(&format!("the value is not JSON: {error}")))?;
    let mut context = Context::default();
    context.insert(RESULT, result.clone());
    match environment(&result).run(&program, &context) {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(_) | Err(_) if is_nothing(&result) => Err(unavailable(NO_DATA)),
        Ok(other) => Err(invalid(&format!("expected bool, but got {}", type_name(&other)))),
        Err(error) => Err(failure(&error.to_string())),
    }
}

fn is_nothing(result: &Value) -> bool {
    match result {
        Value::Nil => true,
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    }
}

/// Where the parser stopped and what it expected. Places are those of the expression as it was written.
fn syntax(expression: &str, error: &expr::Error) -> String {
    let own = expr::compile(expression).err();
    let text = own.as_ref().unwrap_or(error).to_string();
    let place = text.lines().next().and_then(|line| line.trim().strip_prefix("--> "));
    let expected = text.lines().last().and_then(|line| line.trim().strip_prefix("= "));
    match (place, expected) {
        (Some(place), Some(expected)) => format!("not an expression at {place}: {expected}"),
        _ => text,
    }
}

fn failure(text: &str) -> Error {
    match ["unknown variable: ", "Unknown function: "].iter().find_map(|start| text.strip_prefix(start)) {
        Some(name) => invalid(&format!("unknown name {name}")),
        None => unavailable(text),
    }
}

fn invalid(message: &str) -> Error {
    Error::InvalidConfig(shortened(message, ERROR_BYTES))
}

fn unavailable(message: &str) -> Error {
    Error::Unavailable(shortened(message, ERROR_BYTES))
}
