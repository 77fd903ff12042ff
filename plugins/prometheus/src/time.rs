//! Instants of a range query: `now()`, plus or minus durations.
//!
//! Argo Rollouts accepts any expression of its language here; this accepts the forms of its documentation.

use kulta_plugin::{Duration, DurationError};
use std::fmt;

const NOW: &str = "now()";
const DURATION: &str = "duration(";
/// A longer text is a mistake.
const MAX_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstantError {
    NotUnderstood,
    Duration(DurationError),
}

impl fmt::Display for InstantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderstood => {
                f.write_str("not understood: write now(), or with durations, for example now() - duration(\"1h\")")
            }
            Self::Duration(error) => error.fmt(f),
        }
    }
}

/// The instant in Unix milliseconds, at least 0.
pub fn instant(text: &str, now: u64) -> Result<u64, InstantError> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).take(MAX_BYTES + 1).collect();
    let mut rest = compact.strip_prefix(NOW).ok_or(InstantError::NotUnderstood)?;
    let mut instant = now;
    while !rest.is_empty() {
        if compact.len() > MAX_BYTES {
            return Err(InstantError::NotUnderstood);
        }
        let later = match rest.chars().next() {
            Some('+') => true,
            Some('-') => false,
            _ => return Err(InstantError::NotUnderstood),
        };
        let (millis, after) = duration(rest.get(1..).unwrap_or_default())?;
        instant = if later { instant.saturating_add(millis) } else { instant.saturating_sub(millis) };
        rest = after;
    }
    Ok(instant)
}

/// Parses `duration("…")` at the beginning.
fn duration(text: &str) -> Result<(u64, &str), InstantError> {
    let quoted = text.strip_prefix(DURATION).ok_or(InstantError::NotUnderstood)?;
    let quote = quoted.chars().next().filter(|c| ['"', '\'', '`'].contains(c)).ok_or(InstantError::NotUnderstood)?;
    let (written, after) =
        quoted.get(1..).and_then(|inside| inside.split_once(quote)).ok_or(InstantError::NotUnderstood)?;
    let after = after.strip_prefix(')').ok_or(InstantError::NotUnderstood)?;
    let length: Duration = written.parse().map_err(InstantError::Duration)?;
    Ok((length.as_millis(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MILLIS: u64 = 10_000_000;

    #[test]
    fn instants_are_now_with_durations() {
        for (text, expected) in [
            ("now()", NOW_MILLIS),
            (" now( ) ", NOW_MILLIS),
            ("now() - duration(\"1h\")", NOW_MILLIS - 3_600_000),
            ("now()-duration('90s')", NOW_MILLIS - 90_000),
            ("now() - duration(`1h`) + duration('30m')", NOW_MILLIS - 1_800_000),
            ("now() - duration(\"1000h\")", 0),
        ] {
            assert_eq!(instant(text, NOW_MILLIS), Ok(expected), "{text}");
        }
    }

    #[test]
    fn any_other_expression_is_rejected() {
        for text in [
            "",
            "hello",
            "now",
            "now() -- ?",
            "now() - \"1h\"",
            "now() - duration(1h)",
            "now() - duration(\"1h\"",
            "now() - duration(\"1h",
            "now() * duration(\"1h\")",
            "now()é",
            "date(\"2023-08-14\")",
        ] {
            assert_eq!(instant(text, NOW_MILLIS), Err(InstantError::NotUnderstood), "{text}");
        }
        let long = format!("now(){}", " + duration(\"1s\")".repeat(1_000));
        assert_eq!(instant(&long, NOW_MILLIS), Err(InstantError::NotUnderstood));
    }

    #[test]
    fn an_invalid_duration_is_reported() {
        let error = instant("now() - duration(\"soon\")", NOW_MILLIS).unwrap_err();
        assert_eq!(error, InstantError::Duration(DurationError::Malformed));
    }
}
