//! Durations as Kubernetes users write them: seconds (`30`, `"30"`) or Go's notation (`"1h30m"`).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Argo Rollouts keeps durations as 32-bit seconds; longer ones (68 years) are mistakes.
const MAX_SECONDS: u64 = i32::MAX as u64;
const MILLIS_PER_SECOND: u64 = 1_000;
const NANOS_PER_MILLI: u128 = 1_000_000;
/// More digits than a nanosecond of an hour needs; further ones cannot change the result.
const MAX_FRACTION_DIGITS: usize = 15;

const UNITS: [(&str, u128); 8] = [
    // Units of two letters first: otherwise `ms` would be parsed as minutes.
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", NANOS_PER_MILLI),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const PATTERN: &str = r"^\+?([0-9]+|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A duration in whole milliseconds, at most 2147483647 seconds. Finer values are rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationError {
    Negative,
    Malformed,
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Negative => "a duration cannot be negative",
            Self::Malformed => "not a duration: write seconds (30) or for example 30s, 5m, 1h30m",
            Self::TooLong => "a duration cannot be longer than 2147483647 s",
        })
    }
}

impl std::error::Error for DurationError {}

impl Duration {
    pub fn from_seconds(seconds: u64) -> Result<Self, DurationError> {
        if seconds > MAX_SECONDS {
            return Err(DurationError::TooLong);
        }
        Ok(Self(seconds * MILLIS_PER_SECOND))
    }

    pub fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Duration {
    /// In Go's notation, without zero units: `1h30m`, `45s`, `500ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / MILLIS_PER_SECOND, self.0 % MILLIS_PER_SECOND);
        let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (millis, "ms")];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        for (amount, unit) in parts.into_iter().filter(|(amount, _)| *amount > 0) {
            write!(f, "{amount}{unit}")?;
        }
        Ok(())
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text.starts_with('-') {
            return Err(DurationError::Negative);
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        if text.is_empty() {
            return Err(DurationError::Malformed);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // All digits: parsing fails only if the number is too large.
            return Self::from_seconds(text.parse().map_err(|_| DurationError::TooLong)?);
        }
        let mut rest = text;
        let mut nanos: u128 = 0;
        while !rest.is_empty() {
            let (part, after) = next_part(rest)?;
            nanos = nanos.checked_add(part).ok_or(DurationError::TooLong)?;
            rest = after;
        }
        let millis = nanos.div_ceil(NANOS_PER_MILLI);
        match u64::try_from(millis) {
            Ok(millis) if millis <= MAX_SECONDS * MILLIS_PER_SECOND => Ok(Self(millis)),
            _ => Err(DurationError::TooLong),
        }
    }
}

/// Parses one number with its unit; returns its nanoseconds and the rest of the text.
fn next_part(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed);
    }
    let (unit, rest) = UNITS
        .iter()
        .find_map(|(name, nanos)| Some((*nanos, rest.strip_prefix(name)?)))
        .ok_or(DurationError::Malformed)?;
    let whole: u128 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| DurationError::TooLong)?,
    };
    let nanos = whole.checked_mul(unit).ok_or(DurationError::TooLong)?;
    Ok((nanos + fraction_of(fraction, unit), rest))
}

fn fraction_of(digits: &str, unit: u128) -> u128 {
    let mut scale = 1;
    let mut value = 0;
    for digit in digits.chars().take(MAX_FRACTION_DIGITS).filter_map(|digit| digit.to_digit(10)) {
        scale *= 10;
        value = value * 10 + u128::from(digit);
    }
    value * unit / scale
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration: seconds (30) or for example \"30s\", \"5m\", \"1h30m\"")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
                Duration::from_seconds(seconds).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
                let seconds = u64::try_from(seconds).map_err(|_| E::custom(DurationError::Negative))?;
                self.visit_u64(seconds)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// One flat schema rather than `anyOf`, so that an error says what is wrong instead of "matches none".
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": MAX_SECONDS,
            "pattern": PATTERN,
            "description": "Seconds, or a duration such as 30s, 5m or 1h30m."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("30", 30_000),
            ("+30", 30_000),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("2.s", 2_000),
            ("250ms", 250),
            ("1s1ms", 1_001),
            ("1us", 1),
            ("1µs", 1),
            ("0h", 0),
            ("2147483647", 2_147_483_647_000),
        ] {
            assert_eq!(text.parse::<Duration>().map(Duration::as_millis), Ok(millis), "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_rejected_with_the_reason() {
        for (text, error) in [
            ("", DurationError::Malformed),
            ("+", DurationError::Malformed),
            ("abc", DurationError::Malformed),
            ("5 m", DurationError::Malformed),
            ("5d", DurationError::Malformed),
            ("5m3", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("-5m", DurationError::Negative),
            ("-1", DurationError::Negative),
            ("2147483648", DurationError::TooLong),
            ("600000h", DurationError::TooLong),
            ("99999999999999999999999", DurationError::TooLong),
            ("99999999999999999999999999999999999999999h", DurationError::TooLong),
        ] {
            assert_eq!(text.parse::<Duration>(), Err(error), "{text}");
        }
    }

    #[test]
    fn json_numbers_and_strings_are_both_durations() {
        for (json, millis) in [("30", 30_000), (r#""30""#, 30_000), (r#""1m""#, 60_000)] {
            let duration: Duration = serde_json::from_str(json).unwrap();
            assert_eq!(duration.as_millis(), millis, "{json}");
        }
        for json in ["-1", "1.5", "true", "null", r#""x""#, "2147483648"] {
            assert!(serde_json::from_str::<Duration>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_duration_is_printed_in_the_usual_notation() {
        for (text, written) in [("0", "0s"), ("90", "1m30s"), ("1h30m", "1h30m"), ("3600", "1h"), ("1500ms", "1s500ms")]
        {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), written);
        }
    }
}
