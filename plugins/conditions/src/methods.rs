//! Methods of times and durations: those of Go's `time` package that a condition can use.

use crate::layout;
use crate::time::{NANOS, Time, days_of, duration_text};
use crate::types::Type;
use crate::value::Value;
use std::rc::Rc;

/// The type of what the method answers, if the type has it.
pub fn answer(of: &Type, method: &str) -> Option<Type> {
    Some(match (of, method) {
        (Type::Time, "Year" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay" | "Compare") => Type::Int,
        (Type::Time, "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano") => Type::Int64,
        (Type::Time, "Month") => Type::Month,
        (Type::Time, "Weekday") => Type::Weekday,
        (Type::Time, "Add" | "AddDate" | "UTC" | "Local" | "Truncate" | "Round") => Type::Time,
        (Type::Time, "Sub") => Type::Duration,
        (Type::Time, "Before" | "After" | "Equal" | "IsZero") => Type::Bool,
        (Type::Time, "Format" | "String") => Type::Text,
        (Type::Duration, "Hours" | "Minutes" | "Seconds") => Type::Float,
        (Type::Duration, "Milliseconds" | "Microseconds" | "Nanoseconds") => Type::Int64,
        (Type::Duration, "Abs" | "Round" | "Truncate") => Type::Duration,
        (Type::Duration | Type::Month | Type::Weekday, "String") => Type::Text,
        _ => return None,
    })
}

pub fn call(of: &Value, method: &str, arguments: &[Value]) -> Result<Value, String> {
    let found = match of {
        Value::Time(time) => of_time(time, method, arguments),
        Value::Duration(nanos) => of_duration(*nanos, method, arguments),
        Value::Month(month) if method == "String" && arguments.is_empty() => {
            Some(Value::text(layout::month_name(*month)))
        }
        Value::Weekday(day) if method == "String" && arguments.is_empty() => {
            Some(Value::text(layout::weekday_name(*day)))
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let words = Type::of(of).name();
        match answer(&Type::of(of), method) {
            Some(_) => format!("{method}() takes other arguments"),
            None => format!("{words} has no function {method}()"),
        }
    })
}

fn of_time(time: &Time, method: &str, arguments: &[Value]) -> Option<Value> {
    let civil = time.civil();
    let at = |time: Time| Some(Value::Time(Rc::new(time)));
    let nanos_of_second = time.nanos;
    match (method, arguments) {
        ("Year", []) => Some(Value::Int(civil.year)),
        ("Month", []) => Some(Value::Month(u8::try_from(civil.month).ok()?)),
        ("Day", []) => Some(Value::Int(civil.day)),
        ("Hour", []) => Some(Value::Int(civil.hour)),
        ("Minute", []) => Some(Value::Int(civil.minute)),
        ("Second", []) => Some(Value::Int(civil.second)),
        ("Nanosecond", []) => Some(Value::Int(nanos_of_second)),
        ("YearDay", []) => Some(Value::Int(civil.year_day)),
        ("Weekday", []) => Some(Value::Weekday(u8::try_from(civil.weekday).ok()?)),
        ("Unix", []) => Some(Value::Int64(time.seconds)),
        ("UnixMilli", []) => {
            Some(Value::Int64(time.seconds.wrapping_mul(1_000).wrapping_add(nanos_of_second / 1_000_000)))
        }
        ("UnixMicro", []) => {
            Some(Value::Int64(time.seconds.wrapping_mul(1_000_000).wrapping_add(nanos_of_second / 1_000)))
        }
        ("UnixNano", []) => Some(Value::Int64(time.seconds.wrapping_mul(NANOS).wrapping_add(nanos_of_second))),
        ("IsZero", []) => Some(Value::Bool(time.seconds == days_of(1, 1, 1) * 86_400 && nanos_of_second == 0)),
        ("UTC" | "Local", []) => at(Time::utc(time.seconds, nanos_of_second)),
        ("String", []) => Some(Value::text(layout::format(time, layout::DISPLAY))),
        ("Format", [Value::Text(layout)]) => Some(Value::text(layout::format(time, layout))),
        ("Add", [Value::Duration(nanos)]) => at(time.plus(*nanos)),
        ("Sub", [Value::Time(other)]) => Some(Value::Duration(time.since(other))),
        ("Before", [Value::Time(other)]) => Some(Value::Bool(time.instant() < other.instant())),
        ("After", [Value::Time(other)]) => Some(Value::Bool(time.instant() > other.instant())),
        ("Equal", [Value::Time(other)]) => Some(Value::Bool(time.instant() == other.instant())),
        ("Compare", [Value::Time(other)]) => Some(Value::Int(time.instant().cmp(&other.instant()) as i64)),
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            let month = civil.month.checked_add(*months)?;
            let day = days_of(civil.year.checked_add(*years)?, month, civil.day).checked_add(*days)?;
            let clock = civil.hour * 3600 + civil.minute * 60 + civil.second;
            at(Time { seconds: day.checked_mul(86_400)?.checked_add(clock - time.offset)?, ..time.clone() })
        }
        ("Truncate", [Value::Duration(step)]) => at(time.plus(-above(time, *step))),
        ("Round", [Value::Duration(step)]) => {
            let above = above(time, *step);
            at(time.plus(if above.saturating_add(above) < *step || *step <= 0 { -above } else { step - above }))
        }
        _ => None,
    }
}

/// Nanoseconds above the last multiple of `step`, counted from the year 1.
fn above(time: &Time, step: i64) -> i64 {
    if step <= 0 {
        return 0;
    }
    let since = i128::from(time.seconds - days_of(1, 1, 1) * 86_400) * i128::from(NANOS) + i128::from(time.nanos);
    i64::try_from(since.rem_euclid(step.into())).unwrap_or_default()
}

fn of_duration(nanos: i64, method: &str, arguments: &[Value]) -> Option<Value> {
    // As Go does it: whole units and the rest apart.
    let in_units = |unit: i64| Value::Float((nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64);
    match (method, arguments) {
        ("Hours", []) => Some(in_units(3600 * NANOS)),
        ("Minutes", []) => Some(in_units(60 * NANOS)),
        ("Seconds", []) => Some(in_units(NANOS)),
        ("Milliseconds", []) => Some(Value::Int64(nanos / 1_000_000)),
        ("Microseconds", []) => Some(Value::Int64(nanos / 1_000)),
        ("Nanoseconds", []) => Some(Value::Int64(nanos)),
        ("Abs", []) => Some(Value::Duration(nanos.saturating_abs())),
        ("String", []) => Some(Value::text(duration_text(nanos))),
        ("Truncate", [Value::Duration(step)]) => {
            Some(Value::Duration(if *step <= 0 { nanos } else { nanos - nanos % step }))
        }
        ("Round", [Value::Duration(step)]) => Some(Value::Duration(rounded(nanos, *step))),
        _ => None,
    }
}

/// Half away from zero.
fn rounded(nanos: i64, step: i64) -> i64 {
    if step <= 0 {
        return nanos;
    }
    let rest = nanos % step;
    let down = nanos - rest;
    if rest.abs().saturating_add(rest.abs()) < step { down } else { down.saturating_add(step * nanos.signum()) }
}
