//! From expression and value to yes, no or why not.

use crate::check::check;
use crate::parse::parse;
use crate::run::{Context, run};
use crate::types::Type;
use crate::value::{Value, read};
use kulta_plugin::Error;
use kulta_plugin::analyzer::MAX_VALUE_BYTES;
use kulta_plugin::text::shortened;

/// Enough for an operand and what is wrong with it, in bytes.
const ERROR_BYTES: usize = 512;
/// As Argo Rollouts words it.
const NO_DATA: &str = "metric result is nil or empty: no data returned from the metric provider";
/// How the host tells an expression with `now()` in it what time it is, in Unix milliseconds: a comment before the expression.
const NOW: (&str, &str) = ("/*now:", "*/");

/// Judges the value (JSON). `invalid-config` when the expression cannot be meant for any value, `unavailable` when it
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

/// The time that the host gives, and the expression.
fn with_time(given: &str) -> (Option<u64>, &str) {
    let split = given.strip_prefix(NOW.0).and_then(|rest| rest.split_once(NOW.1));
    match split.map(|(millis, expression)| (millis.parse(), expression)) {
        Some((Ok(millis), expression)) => (Some(millis), expression),
        _ => (None, given),
    }
}

fn no_boolean(answer: &Type) -> String {
    format!("the condition is {}, a boolean is wanted", answer.words())
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
