//! The functions that Argo Rollouts adds to the language (`utils/evaluate`), with their quirks: `isNil(x)` and
//! `default(x, y)` test the whole result, whatever `x` is.

use crate::types::Type;
use crate::value::Value;

/// 2⁶³: the smallest float above all 64-bit integers.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    AsInt,
    AsFloat,
    IsNaN,
    IsInf,
    IsNil,
    Default,
}

impl Function {
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "asInt" => Self::AsInt,
            "asFloat" => Self::AsFloat,
            "isNaN" => Self::IsNaN,
            "isInf" => Self::IsInf,
            "isNil" => Self::IsNil,
            "default" => Self::Default,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::AsInt => "asInt",
            Self::AsFloat => "asFloat",
            Self::IsNaN => "isNaN",
            Self::IsInf => "isInf",
            Self::IsNil => "isNil",
            Self::Default => "default",
        }
    }
}

/// `written`: the argument is an integer literal.
pub fn check(function: Function, types: &[Type], written: &[bool]) -> Result<Type, String> {
    let name = function.name();
    let wanted = if function == Function::Default { 2 } else { 1 };
    if types.len() != wanted {
        return Err(format!("{name}() takes {wanted} argument{}", if wanted == 1 { "" } else { "s" }));
    }
    match (function, types.first(), written.first()) {
        (Function::IsNaN | Function::IsInf, Some(of), Some(false))
            if !matches!(of, Type::Any | Type::Nil | Type::Float) && !of.is_integer() =>
        {
            Err(format!("{name}() takes a number, not {}", of.name()))
        }
        (Function::AsInt, ..) => Ok(Type::Int64),
        (Function::AsFloat, ..) => Ok(Type::Float),
        (Function::IsNaN | Function::IsInf | Function::IsNil, ..) => Ok(Type::Bool),
        (Function::Default, ..) => Ok(Type::Any),
    }
}

pub fn call(function: Function, arguments: &[Value], written: bool, result: &Value) -> Result<Value, String> {
    let name = function.name();
    match (function, arguments) {
        (Function::AsInt, [value]) => as_int(value),
        (Function::AsFloat, [value]) => as_float(value),
        (Function::IsNaN, [value]) => float(name, value, written).map(|number| Value::Bool(number.is_nan())),
        (Function::IsInf, [value]) => float(name, value, written).map(|number| Value::Bool(number.is_infinite())),
        (Function::IsNil, _) => Ok(Value::Bool(result.is_nil())),
        (Function::Default, [_, instead]) if result.is_nil() => Ok(instead.clone()),
        (Function::Default, _) => Ok(result.clone()),
        _ => Err(format!("{name}() takes another number of arguments")),
    }
}

fn as_int(value: &Value) -> Result<Value, String> {
    match value {
        Value::Int(number) | Value::Int64(number) => Ok(Value::Int64(*number)),
        Value::Float(number) => Ok(Value::Int64(truncated(*number))),
        Value::Text(text) => match text.parse() {
            Ok(number) => Ok(Value::Int64(number)),
            Err(_) => Err(format!("asInt(): {text:?} is no integer")),
        },
        other => Err(format!("asInt() takes a number or a string, not {}", Type::of(other).name())),
    }
}

/// As Go on amd64 and arm64: a value out of range becomes the lowest integer.
pub fn truncated(number: f64) -> i64 {
    if number.is_nan() || number.abs() >= TOO_LARGE { i64::MIN } else { number as i64 }
}

fn as_float(value: &Value) -> Result<Value, String> {
    match value {
        Value::Int(number) | Value::Int64(number) => Ok(Value::Float(*number as f64)),
        Value::Float(number) => Ok(Value::Float(*number)),
        Value::Text(text) => parse_float(text).map(Value::Float).map_err(|why| format!("asFloat(): {text:?} is {why}")),
        other => Err(format!("asFloat() takes a number or a string, not {}", Type::of(other).name())),
    }
}

/// `inf` is a number, 400 digits are not.
pub fn parse_float(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) => Ok(number),
        Ok(_) => Err("out of range"),
        Err(_) => Err("no number"),
    }
}

/// Only integer literals are converted to floats.
fn float(name: &str, value: &Value, written: bool) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) if written => Ok(*number as f64),
        other => Err(format!(
            "{name}() takes a number with a fraction, not {}: write {name}(float(…))",
            Type::of(other).name()
        )),
    }
}
