//! Values of flags that clap has no parser for: switches, durations, amounts of memory and log levels.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kulta_api::duration::parse_text;
use tracing_subscriber::EnvFilter;

/// Log levels as `--log-level` takes them; Argo Rollouts' `warning`, `fatal` and `panic` are mapped to these.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A switch, also from the environment and with a value: `--flag=false`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Ok(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
        _ => Err("expected true or false (or 1, 0, yes, no)".to_owned()),
    }
}

/// A duration such as `30s`, `1m30s` or, as everywhere in Rollouts, seconds without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = parse_text(text).map_err(|error| error.to_string())?;
        if millis == 0 {
            return Err("must be longer than zero".to_owned());
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// An amount of memory as Kubernetes writes it: `512Mi`, `1Gi`, `1.5G`, or bytes without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    mebibytes: u32,
}

/// Decimal and binary units, in bytes.
const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];
const MEBIBYTE: u64 = 1 << 20;

impl Memory {
    #[must_use]
    pub const fn from_mebibytes(mebibytes: u32) -> Self {
        Self { mebibytes }
    }

    #[must_use]
    pub const fn mebibytes(self) -> u32 {
        self.mebibytes
    }
}

impl FromStr for Memory {
    type Err = String;

    /// A part of a MiB is rounded up.
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || "expected an amount of memory such as 512Mi or 1Gi".to_owned();
        let unit = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, *bytes)));
        let (number, unit) = unit.unwrap_or((text, 1));
        let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        if !digits || whole.is_empty() || part.is_empty() || part.contains('.') {
            return Err(malformed());
        }
        let too_large = || "is too large".to_owned();
        let part: f64 = format!("0.{part}").parse().map_err(|_| malformed())?;
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        // A fraction of a unit is below 2^40, which an f64 holds exactly.
        let part = (part * unit as f64) as u64;
        let bytes = whole.checked_mul(unit).and_then(|bytes| bytes.checked_add(part)).ok_or_else(too_large)?;
        if bytes < MEBIBYTE {
            return Err("is less than 1Mi; is the unit missing, as in 512Mi?".to_owned());
        }
        let mebibytes = u32::try_from(bytes.div_ceil(MEBIBYTE)).map_err(|_| too_large())?;
        Ok(Self { mebibytes })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mebibytes % 1_024 {
            0 => write!(f, "{}Gi", self.mebibytes / 1_024),
            _ => write!(f, "{}Mi", self.mebibytes),
        }
    }
}

/// A level or a filter, as the log's subscriber reads it. A single word must be a level: as a filter it would name a module, and
/// hide the lines of all others.
pub fn log_level(text: &str) -> Result<String, String> {
    let level = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "fatal" | "panic" => "error".to_owned(),
        other => other.to_owned(),
    };
    if LEVELS.contains(&level.as_str()) {
        return Ok(level);
    }
    if !text.contains('=') && !text.contains(',') {
        return Err(format!("expected one of {}, or a filter such as kulta_controller=debug", LEVELS.join(", ")));
    }
    EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Treats an empty value as unset, as Argo Rollouts does with `--instance-id=`.
#[must_use]
pub fn non_empty(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_takes_the_usual_words() {
        for (word, on) in [("1", true), ("TRUE", true), ("yes", true), ("0", false), ("False", false), ("no", false)] {
            assert_eq!(switch(word), Ok(on), "{word}");
        }
        assert!(switch("maybe").is_err());
        assert!(switch("").is_err());
    }

    #[test]
    fn memory_is_read_with_kubernetes_units_and_rounded_up_to_mebibytes() {
        for (text, mebibytes) in
            [("512Mi", 512), ("1Gi", 1_024), ("1.5Gi", 1_536), ("1G", 954), ("1048577", 2), ("2048Ki", 2)]
        {
            assert_eq!(text.parse(), Ok(Memory { mebibytes }), "{text}");
        }
    }

    #[test]
    fn memory_that_is_not_an_amount_is_rejected_with_a_hint() {
        for (text, hint) in [
            ("", "such as 512Mi"),
            ("Mi", "such as 512Mi"),
            ("-1Mi", "such as 512Mi"),
            ("1.Mi", "such as 512Mi"),
            ("1.2.3Mi", "such as 512Mi"),
            ("1e3Mi", "such as 512Mi"),
            ("512", "is the unit missing"),
            ("5000Ti", "too large"),
            ("99999999999999999999999", "too large"),
        ] {
            let error = text.parse::<Memory>().unwrap_err();

            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn memory_is_shown_as_it_is_written() {
        assert_eq!([1_024, 512].map(|mebibytes| Memory { mebibytes }.to_string()), ["1Gi", "512Mi"]);
    }

    #[test]
    fn a_duration_of_zero_is_rejected() {
        assert_eq!("30s".parse(), Ok(Span(Duration::from_secs(30))));
        assert!("0s".parse::<Span>().is_err());
    }

    #[test]
    fn argos_levels_are_mapped_and_a_misspelt_level_is_rejected() {
        assert_eq!(log_level("warning"), Ok("warn".into()));
        assert_eq!(log_level("DEBUG"), Ok("debug".into()));
        assert_eq!(log_level("info,kulta_controller=debug"), Ok("info,kulta_controller=debug".into()));
        assert!(log_level("inof").is_err_and(|error| error.contains("info")));
        assert!(log_level("kulta=nonsense").is_err());
    }
}
