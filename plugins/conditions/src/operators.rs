//! What operators make of values: the rules of expr-lang 1.15 (`vm/runtime`). Integers stay integers but for `/` and `**`;
//! values of different types are different, never an error; an order between them is an error.

use crate::functions::truncated;
use crate::operator::Operator;
use crate::types::Type;
use crate::value::{List, Value};
use std::cmp::Ordering;
use std::rc::Rc;

type Answer = Result<Value, String>;

pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a.instant() == b.instant(),
        (Value::Duration(a), Value::Duration(b)) => a == b,
        _ => match numbers(a, b) {
            Some(Numbers::Integers(a, b)) => a == b,
            Some(Numbers::Floats(a, b)) => a == b,
            None => (a.is_nil() && b.is_nil()) || same(a, b),
        },
    }
}

/// Equal to the last type, as elements of lists and objects must be.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b))
        | (Value::Int64(a), Value::Int64(b))
        | (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Month(a), Value::Month(b)) | (Value::Weekday(a), Value::Weekday(b)) => a == b,
        (Value::List(a), Value::List(b)) => same_lists(a, b),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((k, v), (l, w))| k == l && same(v, w))
        }
        (Value::Keyed(a), Value::Keyed(b)) => {
            let found = |key: &Value| b.iter().find(|(other, _)| same(key, other));
            a.len() == b.len() && a.iter().all(|(key, value)| found(key).is_some_and(|(_, other)| same(value, other)))
        }
        _ => false,
    }
}

fn same_lists(a: &List, b: &List) -> bool {
    a.kind == b.kind && a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| same(a, b))
}

enum Numbers {
    Integers(i64, i64),
    Floats(f64, f64),
}

fn numbers(a: &Value, b: &Value) -> Option<Numbers> {
    match (a.as_integer(), b.as_integer()) {
        (Some(a), Some(b)) => Some(Numbers::Integers(a, b)),
        _ => Some(Numbers::Floats(a.as_float()?, b.as_float()?)),
    }
}

/// `None` where there is no order, as with NaN.
pub fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, ()> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Time(a), Value::Time(b)) => Ok(Some(a.instant().cmp(&b.instant()))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        _ => match numbers(a, b) {
            Some(Numbers::Integers(a, b)) => Ok(Some(a.cmp(&b))),
            Some(Numbers::Floats(a, b)) => Ok(a.partial_cmp(&b)),
            None => Err(()),
        },
    }
}

/// `None`: not for operands of these types.
pub fn apply(operator: Operator, a: &Value, b: &Value) -> Option<Answer> {
    let ordered = |holds: fn(Ordering) -> bool| {
        let order = order(a, b).ok()?;
        Some(Ok(Value::Bool(order.is_some_and(holds))))
    };
    match operator {
        Operator::Equal => Some(Ok(Value::Bool(equal(a, b)))),
        Operator::NotEqual => Some(Ok(Value::Bool(!equal(a, b)))),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::More => ordered(Ordering::is_gt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::MoreOrEqual => ordered(Ordering::is_ge),
        Operator::Add => add(a, b).map(Ok),
        Operator::Subtract => subtract(a, b).map(Ok),
        Operator::Multiply => multiply(a, b).map(Ok),
        Operator::Divide => Some(Ok(Value::Float(a.as_float()? / b.as_float()?))),
        Operator::Power => Some(Ok(Value::Float(libm::pow(a.as_float()?, b.as_float()?)))),
        Operator::Modulo => match (a.as_integer()?, b.as_integer()?) {
            (_, 0) => Some(Err("an integer is divided by 0".into())),
            (a, b) => Some(Ok(Value::Int(a.wrapping_rem(b)))),
        },
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => texts(operator, a, b).map(Ok),
        Operator::In => inside(a, b),
        Operator::Matches | Operator::Range | Operator::And | Operator::Or | Operator::Coalesce | Operator::Pipe => {
            None
        }
    }
}

fn texts(operator: Operator, a: &Value, b: &Value) -> Option<Value> {
    let (Value::Text(a), Value::Text(b)) = (a, b) else { return None };
    Some(Value::Bool(match operator {
        Operator::Contains => a.contains(&**b),
        Operator::StartsWith => a.starts_with(&**b),
        _ => a.ends_with(&**b),
    }))
}

fn add(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(Value::text(format!("{a}{b}"))),
        (Value::Time(time), Value::Duration(nanos)) | (Value::Duration(nanos), Value::Time(time)) => {
            Some(Value::Time(Rc::new(time.plus(*nanos))))
        }
        (Value::Duration(a), Value::Duration(b)) => Some(Value::Duration(a.wrapping_add(*b))),
        _ => Some(match numbers(a, b)? {
            Numbers::Integers(a, b) => Value::Int(a.wrapping_add(b)),
            Numbers::Floats(a, b) => Value::Float(a + b),
        }),
    }
}

fn subtract(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Time(a), Value::Time(b)) => Some(Value::Duration(a.since(b))),
        (Value::Time(time), Value::Duration(nanos)) => Some(Value::Time(Rc::new(time.plus(nanos.wrapping_neg())))),
        (Value::Duration(a), Value::Duration(b)) => Some(Value::Duration(a.wrapping_sub(*b))),
        _ => Some(match numbers(a, b)? {
            Numbers::Integers(a, b) => Value::Int(a.wrapping_sub(b)),
            Numbers::Floats(a, b) => Value::Float(a - b),
        }),
    }
}

/// A duration takes part as a number of nanoseconds and stays one, unless the other one has a fraction.
fn multiply(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Duration(a), Value::Duration(b)) => Some(Value::Duration(a.wrapping_mul(*b))),
        (Value::Duration(nanos), number) | (number, Value::Duration(nanos)) => match number.as_integer() {
            Some(times) => Some(Value::Duration(nanos.wrapping_mul(times))),
            None => number.as_float().map(|times| Value::Float(*nanos as f64 * times)),
        },
        _ => Some(match numbers(a, b)? {
            Numbers::Integers(a, b) => Value::Int(a.wrapping_mul(b)),
            Numbers::Floats(a, b) => Value::Float(a * b),
        }),
    }
}

fn inside(needle: &Value, of: &Value) -> Option<Answer> {
    match of {
        Value::Nil => Some(Ok(Value::Bool(false))),
        Value::List(list) => Some(Ok(Value::Bool(list.items.iter().any(|item| equal(item, needle))))),
        Value::Object(fields) => match needle {
            Value::Text(name) => Some(Ok(Value::Bool(fields.contains_key(&**name)))),
            Value::Nil => Some(Ok(Value::Bool(fields.contains_key("")))),
            _ => None,
        },
        Value::Keyed(entries) => Some(Ok(Value::Bool(entries.iter().any(|(key, _)| same(key, needle))))),
        _ => None,
    }
}

/// `of[index]`. What a list does not have is an error, what an object does not have is nil.
pub fn fetch(of: &Value, index: &Value) -> Answer {
    match (of, index) {
        (Value::Object(fields), Value::Text(name)) => Ok(fields.get(&**name).cloned().unwrap_or(Value::Nil)),
        (Value::Object(fields), Value::Nil) => Ok(fields.get("").cloned().unwrap_or(Value::Nil)),
        (Value::Keyed(entries), key) => {
            let found = entries.iter().find(|(name, _)| same(name, key));
            Ok(found.map_or_else(|| missing(entries), |(_, value)| value.clone()))
        }
        (Value::List(list), index) => match integer(index) {
            Some(index) => element(&list.items, index),
            None => Err(format!("a list has no {}", shown(index))),
        },
        (Value::Text(text), index) => match integer(index) {
            Some(index) => element(&text.bytes().map(|byte| Value::Int(byte.into())).collect::<Vec<_>>(), index),
            None => Err(format!("a string has no {}", shown(index))),
        },
        (Value::Nil, index) => Err(format!("nil has no {}", shown(index))),
        (of, index) => Err(format!("{} has no {}", Type::of(of).name(), shown(index))),
    }
}

/// What an object of lists answers for a key that it does not have.
fn missing(entries: &[(Value, Value)]) -> Value {
    match entries.first() {
        Some((_, Value::List(_))) => Value::list_of(crate::value::ListKind::Missing, Vec::new()),
        _ => Value::Nil,
    }
}

/// What an index may be: fractions are cut off.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Float(number) => Some(truncated(*number)),
        other => other.as_integer(),
    }
}

fn element(items: &[Value], index: i64) -> Answer {
    let from_end = |index: i64| items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    let place = if index < 0 { from_end(index) } else { usize::try_from(index).ok() };
    match place.and_then(|place| items.get(place)) {
        Some(element) => Ok(element.clone()),
        None => Err(format!("index out of range: {index} (the list has {} elements)", items.len())),
    }
}

/// `of[from:to]`: bounds that are out of range are moved to its ends.
pub fn slice(of: &Value, from: i64, to: Option<i64>) -> Answer {
    let length = match of {
        Value::List(list) => list.items.len(),
        Value::Text(text) => text.len(),
        other => return Err(format!("{} cannot be sliced", Type::of(other).name())),
    };
    let place = |index: i64| {
        let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        if index < 0 { length.saturating_sub(back) } else { back.min(length) }
    };
    let to = to.map_or(length, place);
    let from = place(from).min(to);
    Ok(match of {
        Value::List(list) => Value::list_of(list.kind, list.items.get(from..to).unwrap_or_default().to_vec()),
        Value::Text(text) => Value::text(String::from_utf8_lossy(text.as_bytes().get(from..to).unwrap_or_default())),
        _ => Value::Nil,
    })
}

fn shown(index: &Value) -> String {
    match index {
        Value::Text(name) => format!("element {name:?}"),
        Value::Int(number) | Value::Int64(number) => format!("element {number}"),
        other => format!("element by {}", Type::of(other).name()),
    }
}
