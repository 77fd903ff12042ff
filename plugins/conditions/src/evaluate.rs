//! Evaluates an expression for a value.

use crate::check::check;
use crate::context::Context;
use crate::parse::parse;
use crate::run::run;
use crate::types::Type;
use crate::value::{Value, read};
use kulta_plugin::Error;
use kulta_plugin::analyzer::MAX_VALUE_BYTES;
use kulta_plugin::text::shortened;

/// Bytes of an error message: enough for an operand and the error.
const ERROR_BYTES: usize = 512;
/// Argo Rollouts' wording.
const NO_DATA: &str = "metric result is nil or empty: no data returned from the metric provider";
/// The host passes the current time to an expression with `now()`, in Unix milliseconds, in a comment before the
/// expression.
const NOW: (&str, &str) = ("/*now:", "*/");

/// Evaluates the value (JSON). `invalid-config` if the expression is invalid for every value, `unavailable` if it
/// cannot be applied to this one.
pub fn evaluate(given: &str, json: &str) -> Result<bool, Error> {
    let (now, expression) = with_time(given);
    let node = parse(expression)
        .map_err(|fault| invalid(&format!("not an expression at {}: {fault}", fault.place(expression))))?;
    let answer = check(expression, &node, &Type::Any).map_err(|fault| invalid(&fault.message))?;
    if !(answer.is_bool() || answer.is_any()) {
        return Err(invalid(&no_boolean(&answer)));
    }
    if json.len() > MAX_VALUE_BYTES {
        return Err(unavailable(&format!("the value is {} bytes long, at most {MAX_VALUE_BYTES}", json.len())));
    }
    let result = read(json).map_err(|error| unavailable(&format!("the value is not JSON: {error}")))?;
    let context = Context { expression, result: &result, now };
    let answer = check(expression, &node, &Type::of(&result)).and_then(|_| run(&node, &context));
    match answer {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(_) | Err(_) if is_nothing(&result) => Err(unavailable(NO_DATA)),
        Ok(other) => Err(unavailable(&no_boolean(&Type::of(&other)))),
        Err(fault) => Err(unavailable(&fault.message)),
    }
}

/// The host's time, and the expression.
fn with_time(given: &str) -> (Option<u64>, &str) {
    let split = given.strip_prefix(NOW.0).and_then(|rest| rest.split_once(NOW.1));
    match split.map(|(millis, expression)| (millis.parse(), expression)) {
        Some((Ok(millis), expression)) => (Some(millis), expression),
        _ => (None, given),
    }
}

fn no_boolean(answer: &Type) -> String {
    format!("the condition is {}, a boolean is wanted", answer.name())
}

fn is_nothing(result: &Value) -> bool {
    match result {
        Value::Nil => true,
        Value::List(list) => list.items.is_empty(),
        _ => false,
    }
}

fn invalid(message: &str) -> Error {
    Error::InvalidConfig(shortened(message, ERROR_BYTES))
}

fn unavailable(message: &str) -> Error {
    Error::Unavailable(shortened(message, ERROR_BYTES))
}
