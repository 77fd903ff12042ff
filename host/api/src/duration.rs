//! Durations in Argo's format: seconds, or Go's text form.

/// The parser of the plugins' SDK, so that a plugin reads a duration as the controller does. It is there, because `kulta plugin new` copies
/// the SDK into projects that have nothing else of this repository.
#[path = "../../../plugins/sdk/src/duration.rs"]
pub mod text;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

const MILLIS_PER_SECOND: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("must not be negative")]
    Negative,
    #[error("{0:?} is not a duration: expected seconds as a number, or text such as \"30s\", \"5m\" or \"1h30m\"")]
    Malformed(String),
}

/// # Errors
/// If the value is negative or not a duration.
pub fn parse(value: &IntOrString) -> Result<u64, DurationError> {
    match value {
        IntOrString::Int(seconds) => from_millis(i64::from(*seconds) * MILLIS_PER_SECOND),
        IntOrString::String(text) => parse_text(text),
    }
}

/// Milliseconds of `30`, `30s`, `+5m`, `1h30m`, `500ms`, `1.5h`; what is finer is rounded up.
///
/// # Errors
/// If the text is negative or not a duration.
pub fn parse_text(text: &str) -> Result<u64, DurationError> {
    if let Some(positive) = text.strip_prefix('-') {
        let read = positive.parse::<text::Duration>();
        return Err(if read.is_ok() && !positive.starts_with('+') {
            DurationError::Negative
        } else {
            DurationError::Malformed(text.to_owned())
        });
    }
    text.parse().map(text::Duration::as_millis).map_err(|_| DurationError::Malformed(text.to_owned()))
}

fn from_millis(millis: i64) -> Result<u64, DurationError> {
    u64::try_from(millis).map_err(|_| DurationError::Negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("5m", 300_000),
            ("+5m", 300_000),
            ("+30", 30_000),
            (".5s", 500),
            ("1μs", 1),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse_text(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in ["", "s", "5x", "1h-3m", "+-5m", "--5m", "five", "1e400s"] {
            assert_eq!(parse_text(text), Err(DurationError::Malformed(text.into())), "{text}");
        }
    }

    #[test]
    fn a_negative_duration_is_rejected() {
        assert_eq!(parse(&IntOrString::Int(-1)), Err(DurationError::Negative));
        assert_eq!(parse_text("-5m"), Err(DurationError::Negative));
    }
}
