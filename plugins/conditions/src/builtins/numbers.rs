use super::{Answer, Builtin, Call, Parameter, Signature, one};
use crate::functions::{parse_float, truncated};
use crate::operators;
use crate::types::Type;
use crate::value::Value;
use std::cmp::Ordering;

pub const ALL: &[Builtin] = &[
    Builtin::new(
        "abs",
        Signature::Checked(|name, types| {
            one(name, types, Type::is_number, types.first().cloned().unwrap_or(Type::Any))
        }),
        |call| match call.arguments {
            [Value::Int(number)] => Ok(Value::Int(number.wrapping_abs())),
            [Value::Int64(number)] => Ok(Value::Int64(number.wrapping_abs())),
            [Value::Float(number)] => Ok(Value::Float(if *number < 0.0 { -number } else { *number })),
            _ => call.refused(),
        },
    ),
    Builtin::new("ceil", Signature::Checked(to_float), |call| whole(call, f64::ceil)),
    Builtin::new("floor", Signature::Checked(to_float), |call| whole(call, f64::floor)),
    Builtin::new("round", Signature::Checked(to_float), |call| whole(call, f64::round)),
    Builtin::new(
        "int",
        Signature::Checked(|name, types| one(name, types, |of| of.is_number() || of.is_text(), Type::Int)),
        |call| match call.arguments {
            [Value::Int(number) | Value::Int64(number)] => Ok(Value::Int(*number)),
            [Value::Float(number)] => Ok(Value::Int(truncated(*number))),
            [Value::Text(text)] => text.parse().map(Value::Int).map_err(|_| format!("int(): {text:?} is no integer")),
            _ => call.refused(),
        },
    ),
    Builtin::new(
        "float",
        Signature::Checked(|name, types| one(name, types, |of| of.is_number() || of.is_text(), Type::Float)),
        |call| match call.arguments {
            [Value::Text(text)] => {
                parse_float(text).map(Value::Float).map_err(|why| format!("float(): {text:?} is {why}"))
            }
            [number] => number.as_float().map_or_else(|| call.refused(), |number| Ok(Value::Float(number))),
            _ => call.refused(),
        },
    ),
    Builtin::new("max", Signature::Checked(extreme_of), |call| extreme(call, Ordering::Less)),
    Builtin::new("min", Signature::Checked(extreme_of), |call| extreme(call, Ordering::Greater)),
    Builtin::new("sum", Signature::Checked(|name, types| one(name, types, Type::is_list, Type::Any)), sum),
    Builtin::new("mean", Signature::Checked(|name, types| one(name, types, Type::is_list, Type::Float)), |call| {
        let numbers = floats(call)?;
        let sum: f64 = numbers.iter().fold(0.0, |sum, number| sum + number);
        Ok(Value::Float(if numbers.is_empty() { 0.0 } else { sum / numbers.len() as f64 }))
    }),
    Builtin::new("median", Signature::Checked(|name, types| one(name, types, Type::is_list, Type::Float)), |call| {
        let mut numbers = floats(call)?;
        // NaN sorts first, as in Go.
        numbers.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
        let half = numbers.len() / 2;
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        Ok(Value::Float(match numbers.len() {
            0 => 0.0,
            length if length % 2 == 0 => f64::midpoint(at(half - 1), at(half)),
            _ => at(half),
        }))
    }),
    Builtin::new("type", Signature::Overloads(&[&[Parameter::Any]], Answer::Text), |call| {
        Ok(Value::text(match call.arguments.first().unwrap_or(&Value::Nil) {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Int64(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Object(_) | Value::Keyed(_) => "map",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Month(_) => "time.Month",
            Value::Weekday(_) => "time.Weekday",
        }))
    }),
];

fn to_float(name: &'static str, types: &[Type]) -> Result<Type, String> {
    one(name, types, Type::is_number, Type::Float)
}

fn whole(call: &Call<'_>, round: fn(f64) -> f64) -> Result<Value, String> {
    match call.arguments {
        [number] => number.as_float().map_or_else(|| call.refused(), |number| Ok(Value::Float(round(number)))),
        _ => call.refused(),
    }
}

fn extreme_of(name: &'static str, types: &[Type]) -> Result<Type, String> {
    let Some(first) = types.first() else { return Err(format!("{name}() takes arguments")) };
    for of in types {
        match of {
            Type::Any | Type::List(_) => return Ok(Type::Any),
            of if of.is_number() => {}
            of => return Err(format!("{name}() does not take {}", of.name())),
        }
    }
    Ok(first.clone())
}

/// The smallest or largest argument. A list counts as its elements.
fn extreme(call: &Call<'_>, replaces: Ordering) -> Result<Value, String> {
    let mut extreme: Option<&Value> = None;
    let elements = call.arguments.iter().flat_map(|argument| match argument {
        Value::List(list) => list.items.as_slice(),
        other => std::slice::from_ref(other),
    });
    for candidate in elements {
        let is_new = match extreme {
            None => true,
            Some(Value::Nil) => true,
            Some(known) => operators::order(known, candidate).or_else(|()| call.refused())? == Some(replaces),
        };
        if is_new {
            extreme = Some(candidate);
        }
    }
    Ok(extreme.cloned().unwrap_or(Value::Nil))
}

fn sum(call: &Call<'_>) -> Result<Value, String> {
    let items = call.list(0)?;
    let integer = |value: &Value| match value {
        Value::Duration(nanos) => Some(*nanos),
        other => other.as_integer(),
    };
    match items.iter().map(integer).collect::<Option<Vec<i64>>>() {
        Some(integers) => Ok(Value::Int(integers.into_iter().fold(0, i64::wrapping_add))),
        None => Ok(Value::Float(floats(call)?.into_iter().fold(0.0, |sum, number| sum + number))),
    }
}

fn floats(call: &Call<'_>) -> Result<Vec<f64>, String> {
    let float = |value: &Value| match value {
        Value::Duration(nanos) => Some(*nanos as f64),
        other => other.as_float(),
    };
    let wrong = |value: &Value| format!("{}() takes a list of numbers, not of {}", call.name, Type::of(value).name());
    call.list(0)?.iter().map(|value| float(value).ok_or_else(|| wrong(value))).collect()
}
