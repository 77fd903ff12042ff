//! A Plugin's limits as numbers.

use super::PluginLimits;
use crate::duration;

/// Python's interpreter fits in 16 MiB; four times that leaves room for data.
const MEMORY_BYTES: u64 = 64 << 20;
/// A decision takes microseconds. The limit is for busy machines and slow languages.
const TIME_MILLIS: u64 = 1_000;
/// Some pages for each of two sides.
const REQUESTS: u32 = 32;
/// A large answer of Prometheus.
const RESPONSE_BYTES: u64 = 1 << 20;

/// The controller itself takes a tenth of this.
pub const MAX_MEMORY_BYTES: u64 = 512 << 20;
/// A longer call would block a worker.
pub const MAX_TIME_MILLIS: u64 = 10_000;
/// Eight rounds of sixteen.
pub const MAX_REQUESTS: u32 = 128;
/// The host's own limit.
pub const MAX_RESPONSE_BYTES: u64 = 10 << 20;

const UNITS: [(&str, u64); 6] =
    [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub time_millis: u64,
    pub requests: u32,
    pub response_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES,
            time_millis: TIME_MILLIS,
            requests: REQUESTS,
            response_bytes: RESPONSE_BYTES,
        }
    }
}

/// An error of a field of `limits`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct LimitError {
    pub field: &'static str,
    pub message: String,
}

impl Limits {
    /// # Errors
    /// For the first limit that is invalid or above the controller's own.
    pub fn of(limits: &PluginLimits) -> Result<Self, LimitError> {
        let bytes = |field, given: &Option<String>, default, most| match given {
            None => Ok(default),
            Some(text) => match parse_bytes(text) {
                Some(bytes) if (1..=most).contains(&bytes) => Ok(bytes),
                Some(_) => Err(LimitError { field, message: format!("{text:?} is not from 1 to {}Mi", most >> 20) }),
                None => Err(LimitError { field, message: format!("{text:?} is not an amount of bytes, such as 64Mi") }),
            },
        };
        let time_millis = match &limits.time {
            None => TIME_MILLIS,
            Some(text) => match duration::parse_text(text) {
                Ok(millis) if (1..=MAX_TIME_MILLIS).contains(&millis) => millis,
                Ok(_) => {
                    let message = format!("{text:?} is not from 1ms to {}s", MAX_TIME_MILLIS / 1_000);
                    return Err(LimitError { field: "time", message });
                }
                Err(error) => return Err(LimitError { field: "time", message: error.to_string() }),
            },
        };
        let requests = match limits.requests {
            None => REQUESTS,
            Some(count) => match u32::try_from(count) {
                Ok(count) if count <= MAX_REQUESTS => count,
                _ => {
                    let message = format!("{count} is not from 0 to {MAX_REQUESTS}");
                    return Err(LimitError { field: "requests", message });
                }
            },
        };
        Ok(Self {
            memory_bytes: bytes("memory", &limits.memory, MEMORY_BYTES, MAX_MEMORY_BYTES)?,
            time_millis,
            requests,
            response_bytes: bytes("responseBytes", &limits.response_bytes, RESPONSE_BYTES, MAX_RESPONSE_BYTES)?,
        })
    }
}

/// Amounts in Kubernetes' notation: `1048576`, `64Mi`, `1M`.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = UNITS
        .into_iter()
        .find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, size)))
        .unwrap_or((text, 1));
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| number.parse::<u64>().ok()?.checked_mul(unit)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: &str) -> Result<Limits, LimitError> {
        Limits::of(&PluginLimits { memory: Some(memory.to_owned()), ..PluginLimits::default() })
    }

    #[test]
    fn amounts_are_parsed_as_by_kubernetes() {
        let read = ["5", "2Ki", "64Mi", "1G", "", "Mi", "-1", "1.5Mi", "99999999999Gi"].map(parse_bytes);

        let expected = [Some(5), Some(2_048), Some(64 << 20), Some(1_000_000_000), None, None, None, None, None];
        assert_eq!(read, expected);
    }

    #[test]
    fn absent_limits_have_the_defaults() {
        assert_eq!(Limits::of(&PluginLimits::default()), Ok(Limits::default()));
    }

    #[test]
    fn a_limit_above_the_controllers_own_is_rejected_by_its_field() {
        assert_eq!(limits("1Gi").unwrap_err().to_string(), "memory: \"1Gi\" is not from 1 to 512Mi");
    }

    #[test]
    fn an_invalid_duration_is_rejected_by_its_field() {
        let time = Some("soon".to_owned());

        let refused = Limits::of(&PluginLimits { time, ..PluginLimits::default() }).unwrap_err();

        assert_eq!(refused.field, "time");
    }

    #[test]
    fn a_negative_number_of_requests_is_rejected() {
        let refused = Limits::of(&PluginLimits { requests: Some(-1), ..PluginLimits::default() }).unwrap_err();

        assert_eq!(refused.to_string(), "requests: -1 is not from 0 to 128");
    }
}
