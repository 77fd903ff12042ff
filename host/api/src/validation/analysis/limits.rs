//! The numbers of a metric.

use super::PLACEHOLDER;
use crate::IntOrString;
use crate::analysis::Metric;
use crate::field_error::{Faults, Path};

/// Value of `failureLimit` that allows any number of failed measurements.
const DISABLED: i64 = -1;

pub(super) fn validate(metric: &Metric, path: &Path, faults: &mut Faults) {
    let mut read = |field: &str, value: Option<&IntOrString>, lowest: i64, rule: &str| {
        let number = number(value);
        let path = path.field(field);
        match &number {
            Number::Malformed(text) => faults.add(&path, format!("{text:?} is no whole number")),
            Number::Known(number) => faults.add_if(*number < lowest, &path, rule),
            Number::Absent | Number::Open => {}
        }
        number
    };
    let count = read("count", metric.count.as_ref(), 0, "must not be negative");
    let failure = read("failureLimit", metric.failure_limit.as_ref(), DISABLED, "must be -1 (off) or more");
    let inconclusive = read("inconclusiveLimit", metric.inconclusive_limit.as_ref(), 0, "must not be negative");
    read("consecutiveErrorLimit", metric.consecutive_error_limit.as_ref(), 0, "must not be negative");
    let success = read("consecutiveSuccessLimit", metric.consecutive_success_limit.as_ref(), 0, "must not be negative");
    let (Some(count), Some(failure), Some(success)) = (count.or(0), failure.or(0), success.or(0)) else { return };
    faults.add_if(
        failure == DISABLED && success == 0,
        &path.field("failureLimit"),
        "failureLimit and consecutiveSuccessLimit cannot both be off",
    );
    if count <= 0 {
        return;
    }
    let path = path.field("count");
    let needed = failure.max(0) + success.max(0);
    faults.add_if(
        count < needed,
        &path,
        format!("{count} must be at least failureLimit + consecutiveSuccessLimit ({needed})"),
    );
    if let Some(inconclusive) = inconclusive.or(0) {
        faults.add_if(
            count < inconclusive,
            &path,
            format!("{count} must be at least inconclusiveLimit ({inconclusive})"),
        );
    }
    faults.add_if(count > 1 && metric.interval.is_empty(), &path, format!("{count} measurements need an interval"));
}

enum Number {
    Absent,
    Known(i64),
    /// An unresolved argument.
    Open,
    Malformed(String),
}

impl Number {
    /// The number, if it is known.
    fn or(&self, default: i64) -> Option<i64> {
        match self {
            Self::Absent => Some(default),
            Self::Known(number) => Some(*number),
            Self::Open | Self::Malformed(_) => None,
        }
    }
}

fn number(value: Option<&IntOrString>) -> Number {
    match value {
        None => Number::Absent,
        Some(IntOrString::Int(number)) => Number::Known(i64::from(*number)),
        Some(IntOrString::String(text)) if text.is_empty() => Number::Absent,
        Some(IntOrString::String(text)) if text.contains(PLACEHOLDER) => Number::Open,
        Some(IntOrString::String(text)) => match text.parse::<i32>() {
            Ok(number) => Number::Known(i64::from(number)),
            Err(_) => Number::Malformed(text.clone()),
        },
    }
}
