//! The functions that Argo Rollouts adds to the language.

use crate::source::INDEX_FUNCTION;
use crate::value::type_name;
use expr::{Environment, Error, Result, Value};

/// 2⁶³: the first float that no 64-bit integer can hold.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

pub fn environment(result: &Value) -> Environment<'_> {
    let mut environment = Environment::new();
    environment.add_function("asInt", |call| one("asInt", &call.args).and_then(as_int));
    environment.add_function("asFloat", |call| one("asFloat", &call.args).and_then(as_float));
    environment.add_function("isNaN", |call| float("isNaN", &call.args).map(|number| Value::Bool(number.is_nan())));
    environment
        .add_function("isInf", |call| float("isInf", &call.args).map(|number| Value::Bool(number.is_infinite())));
    environment.add_function("isNil", |call| {
        one("isNil", &call.args)?;
        Ok(Value::Bool(*result == Value::Nil))
    });
    environment.add_function("default", |call| match call.args.as_slice() {
        [_, instead] if *result == Value::Nil => Ok(instead.clone()),
        [_, _] => Ok(result.clone()),
        _ => failed("default() takes 2 arguments"),
    });
    environment.add_function(INDEX_FUNCTION, |call| match call.args.as_slice() {
        [indexed, index] => at(indexed, index),
        _ => failed("an index takes one value"),
    });
    environment
}

fn one<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Value> {
    match arguments {
        [argument] => Ok(argument),
        _ => failed(&format!("{name}() takes 1 argument")),
    }
}

fn as_int(value: &Value) -> Result<Value> {
    match value {
        Value::Integer(number) => Ok(Value::Integer(*number)),
        // As Go on the machines that clusters are made of: what does not fit is the lowest integer.
        Value::Float(number) if number.is_nan() || number.abs() >= TOO_LARGE => Ok(Value::Integer(i64::MIN)),
        Value::Float(number) => Ok(Value::Integer(*number as i64)),
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) => failed(&format!("strconv.ParseInt: parsing {text:?}: invalid syntax")),
        },
        other => failed(&format!("asInt() not supported on {}", type_name(other))),
    }
}

fn as_float(value: &Value) -> Result<Value> {
    match value {
        Value::Integer(number) => Ok(Value::Float(*number as f64)),
        Value::Float(number) => Ok(Value::Float(*number)),
        Value::String(text) => match text.parse::<f64>() {
            // `inf` is a number, 400 digits are not.
            Ok(number) if number.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) => {
                Ok(Value::Float(number))
            }
            Ok(_) => failed(&format!("strconv.ParseFloat: parsing {text:?}: value out of range")),
            Err(_) => failed(&format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
        },
        other => failed(&format!("asFloat() not supported on {}", type_name(other))),
    }
}

fn float(name: &str, arguments: &[Value]) -> Result<f64> {
    match one(name, arguments)? {
        Value::Float(number) => Ok(*number),
        Value::Integer(number) => Ok(*number as f64),
        other => failed(&format!("{name}() takes a number, not {}", type_name(other))),
    }
}

/// `indexed[index]`. What an array does not have is an error, what a map does not have is nil.
fn at(indexed: &Value, index: &Value) -> Result<Value> {
    match (indexed, index) {
        (Value::Map(fields), Value::String(name)) => Ok(fields.get(name).cloned().unwrap_or(Value::Nil)),
        (Value::KeyedMap(entries), key) => {
            Ok(entries.iter().find(|(name, _)| name == key).map_or(Value::Nil, |(_, value)| value.clone()))
        }
        (Value::Array(elements), Value::Integer(index)) => element(elements, *index),
        (Value::Array(elements), Value::Float(index)) => element(elements, *index as i64),
        (indexed, index) => failed(&format!("cannot take {} out of {}", shown(index), type_name(indexed))),
    }
}

fn element(elements: &[Value], index: i64) -> Result<Value> {
    let length = elements.len();
    let from_end = |index: i64| length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    let place = if index < 0 { from_end(index) } else { usize::try_from(index).ok() };
    match place.and_then(|place| elements.get(place)) {
        Some(element) => Ok(element.clone()),
        None => failed(&format!("index out of range: {index} (array length is {length})")),
    }
}

fn shown(index: &Value) -> String {
    match index {
        Value::String(name) => format!("{name:?}"),
        Value::Integer(number) => number.to_string(),
        other => type_name(other).into(),
    }
}

fn failed<T>(message: &str) -> Result<T> {
    Err(Error::ExprError(message.into()))
}
