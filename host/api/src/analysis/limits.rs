//! The limits of a metric as numbers, after its arguments are resolved.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metric::Metric;

/// Default of `consecutiveErrorLimit`.
pub const DEFAULT_CONSECUTIVE_ERROR_LIMIT: i32 = 4;
/// Value of `failureLimit` that allows any number of failed measurements.
const DISABLED: i32 = -1;

/// The number of measurements, and the limits per kind of result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `None`: unlimited.
    pub count: Option<i32>,
    /// `None`: unlimited.
    pub failure: Option<i32>,
    pub inconclusive: i32,
    pub consecutive_error: i32,
    /// `None`: disabled.
    pub consecutive_success: Option<i32>,
}

/// The field contains text that is not an integer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no whole number")]
pub struct NumberError {
    /// Such as `failureLimit`.
    pub field: &'static str,
    pub text: String,
}

impl Metric {
    /// # Errors
    /// For the first value that is not a number.
    pub fn limits(&self) -> Result<Limits, NumberError> {
        let count = number("count", self.count.as_ref())?.filter(|count| *count != 0);
        let failure = number("failureLimit", self.failure_limit.as_ref())?.unwrap_or(0);
        let success = number("consecutiveSuccessLimit", self.consecutive_success_limit.as_ref())?;
        Ok(Limits {
            count: count.or(if self.interval.is_empty() { Some(1) } else { None }),
            failure: (failure > DISABLED).then_some(failure),
            inconclusive: number("inconclusiveLimit", self.inconclusive_limit.as_ref())?.unwrap_or(0),
            consecutive_error: number("consecutiveErrorLimit", self.consecutive_error_limit.as_ref())?
                .unwrap_or(DEFAULT_CONSECUTIVE_ERROR_LIMIT),
            consecutive_success: success.filter(|limit| *limit > 0),
        })
    }

    /// True if it measures until the run is ended from outside. An analysis that a rollout waits for must not do that.
    #[must_use]
    pub fn runs_forever(&self) -> bool {
        self.limits().is_ok_and(|limits| limits.count.is_none())
    }
}

/// An empty text counts as absent.
fn number(field: &'static str, value: Option<&IntOrString>) -> Result<Option<i32>, NumberError> {
    match value {
        None => Ok(None),
        Some(IntOrString::Int(number)) => Ok(Some(*number)),
        Some(IntOrString::String(text)) if text.is_empty() => Ok(None),
        Some(IntOrString::String(text)) => {
            text.parse().map(Some).map_err(|_| NumberError { field, text: text.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metric(fields: Value) -> Metric {
        serde_json::from_value(fields).unwrap()
    }

    const PLAIN: Limits =
        Limits { count: Some(1), failure: Some(0), inconclusive: 0, consecutive_error: 4, consecutive_success: None };

    #[test]
    fn absent_numbers_have_argos_defaults() {
        assert_eq!(metric(json!({})).limits(), Ok(PLAIN));
    }

    #[test]
    fn numbers_are_read_from_text_too() {
        for (fields, limits) in [
            (json!({ "count": "7" }), Limits { count: Some(7), ..PLAIN }),
            (json!({ "count": 7, "interval": "5s" }), Limits { count: Some(7), ..PLAIN }),
            (json!({ "failureLimit": "2" }), Limits { failure: Some(2), ..PLAIN }),
            (json!({ "inconclusiveLimit": "3" }), Limits { inconclusive: 3, ..PLAIN }),
            (json!({ "consecutiveErrorLimit": "0" }), Limits { consecutive_error: 0, ..PLAIN }),
            (json!({ "consecutiveSuccessLimit": 2 }), Limits { consecutive_success: Some(2), ..PLAIN }),
        ] {
            assert_eq!(metric(fields.clone()).limits(), Ok(limits), "{fields}");
        }
    }

    #[test]
    fn only_a_metric_with_an_interval_measures_without_end() {
        for (fields, forever) in [
            (json!({ "interval": "5s" }), true),
            (json!({ "interval": "5s", "count": 0 }), true),
            (json!({ "interval": "5s", "count": 3 }), false),
            (json!({}), false),
        ] {
            assert_eq!(metric(fields.clone()).runs_forever(), forever, "{fields}");
        }
    }

    #[test]
    fn a_failure_limit_of_minus_one_disables_it() {
        assert_eq!(metric(json!({ "failureLimit": -1 })).limits().unwrap().failure, None);
    }

    #[test]
    fn text_that_is_not_a_number_is_reported_with_its_field() {
        let error = metric(json!({ "inconclusiveLimit": "some" })).limits().unwrap_err();

        assert_eq!((error.field, error.to_string().as_str()), ("inconclusiveLimit", "\"some\" is no whole number"));
    }
}
