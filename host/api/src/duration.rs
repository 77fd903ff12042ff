//! Durations in Argo's format: seconds, or Go's text form.

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

/// Milliseconds of `30`, `30s`, `1h30m`, `500ms`, `1.5h`.
///
/// # Errors
/// If the text is negative or not a duration.
pub fn parse_text(text: &str) -> Result<u64, DurationError> {
    if let Ok(seconds) = text.parse::<i32>() {
        return from_millis(i64::from(seconds) * MILLIS_PER_SECOND);
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    if let Some(rest) = text.strip_prefix('-') {
        return if parse_text(rest).is_ok() { Err(DurationError::Negative) } else { Err(malformed()) };
    }
    let mut rest = text;
    let mut millis = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        millis += number.parse::<f64>().map_err(|_| malformed())? * unit_millis(unit).ok_or_else(malformed)?;
        rest = tail;
    }
    if text.is_empty() || !millis.is_finite() || millis > MAX_MILLIS {
        return Err(malformed());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be finite, positive and small"
    )]
    Ok(millis as u64)
}

/// A century: a longer duration is a typo, and sums of times must not overflow.
const MAX_MILLIS: f64 = 100.0 * 366.0 * 86_400_000.0;

fn from_millis(millis: i64) -> Result<u64, DurationError> {
    u64::try_from(millis).map_err(|_| DurationError::Negative)
}

fn unit_millis(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-6),
        "us" | "µs" => Some(1e-3),
        "ms" => Some(1.0),
        "s" => Some(1e3),
        "m" => Some(60e3),
        "h" => Some(3600e3),
        _ => None,
    }
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
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse_text(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in ["", "s", "5x", "1h-3m", "five", "1e400s"] {
            assert_eq!(parse_text(text), Err(DurationError::Malformed(text.into())), "{text}");
        }
    }

    #[test]
    fn a_negative_duration_is_rejected() {
        assert_eq!(parse(&IntOrString::Int(-1)), Err(DurationError::Negative));
        assert_eq!(parse_text("-5m"), Err(DurationError::Negative));
    }
}
