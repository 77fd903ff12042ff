//! The phase that the two conditions of a metric give to a measured value.

use kulta_api::AnalysisPhase;

/// A condition of the spec, and the result of its evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    pub expression: &'a str,
    /// The error is the message of the evaluator.
    pub result: Result<bool, String>,
}

/// Phase and message of a measurement. `value` is JSON. The success condition is checked first. If either condition cannot be
/// evaluated, the phase is Error.
#[must_use]
pub fn judge(success: Option<&Condition<'_>>, failure: Option<&Condition<'_>>, value: &str) -> (AnalysisPhase, String) {
    for (name, condition) in [("successCondition", success), ("failureCondition", failure)] {
        if let Some(Condition { expression, result: Err(error) }) = condition {
            let why = if is_no_data(value) { NO_DATA } else { error };
            return (AnalysisPhase::Error, format!("could not evaluate {name} \"{expression}\": {why}"));
        }
    }
    let holds = |condition: Option<&Condition<'_>>| condition.map(|condition| condition.result == Ok(true));
    let phase = match (holds(success), holds(failure)) {
        (_, Some(true)) | (Some(false), None) => AnalysisPhase::Failed,
        (None, _) | (Some(true), _) => AnalysisPhase::Successful,
        (Some(false), Some(false)) => AnalysisPhase::Inconclusive,
    };
    (phase, String::new())
}

const NO_DATA: &str = "metric result is nil or empty: no data returned from the metric provider";

/// The value is null, empty, or an empty list.
fn is_no_data(value: &str) -> bool {
    let value = value.trim();
    let list = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    value.is_empty() || value == "null" || list.is_some_and(|inside| inside.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(result: Result<bool, &str>) -> Condition<'static> {
        Condition { expression: "result[0] > 1", result: result.map_err(str::to_owned) }
    }

    #[test]
    fn the_phase_follows_argos_table() {
        use AnalysisPhase::{Failed, Inconclusive, Successful};
        for (success, failure, phase) in [
            (None, None, Successful),
            (Some(true), None, Successful),
            (Some(false), None, Failed),
            (None, Some(true), Failed),
            (None, Some(false), Successful),
            (Some(true), Some(false), Successful),
            (Some(false), Some(true), Failed),
            (Some(true), Some(true), Failed),
            (Some(false), Some(false), Inconclusive),
        ] {
            let (success, failure) = (success.map(Ok).map(condition), failure.map(Ok).map(condition));

            assert_eq!(
                judge(success.as_ref(), failure.as_ref(), "[2]"),
                (phase, String::new()),
                "{success:?} {failure:?}"
            );
        }
    }

    #[test]
    fn a_condition_that_cannot_be_evaluated_is_an_error_that_quotes_it() {
        let (phase, message) = judge(Some(&condition(Err("odd"))), Some(&condition(Ok(true))), "[2]");

        assert_eq!(phase, AnalysisPhase::Error);
        assert_eq!(message, "could not evaluate successCondition \"result[0] > 1\": odd");
    }

    #[test]
    fn an_error_about_an_empty_value_reports_that_there_is_no_data() {
        for value in ["null", "[]", " [ ] ", ""] {
            let (_, message) = judge(None, Some(&condition(Err("index out of range"))), value);

            assert!(message.ends_with(NO_DATA), "{value:?}: {message}");
        }
    }

    #[test]
    fn an_empty_value_is_no_error_when_the_condition_can_be_evaluated() {
        assert_eq!(judge(Some(&condition(Ok(true))), None, "[]").0, AnalysisPhase::Successful);
    }
}
