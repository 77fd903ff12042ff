//! The `Retry-After` header: seconds, or a date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest accepted delay: an error of the sink must not silence the events for a day.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

/// HTTP dates are in mail format, always in GMT.
const HTTP_DATE: DateTimeParser = DateTimeParser::new();

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = match text(headers, &RETRY_AFTER)?.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            // Both dates are the sink's, so a clock skew between it and this host does not matter.
            let now = date(headers, &DATE).unwrap_or_else(Timestamp::now);
            let wait = date(headers, &RETRY_AFTER)?.duration_since(now);
            Duration::try_from(wait).unwrap_or(Duration::ZERO)
        }
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    HTTP_DATE.parse_timestamp(text(headers, name)?).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(pairs: [(HeaderName, &'static str); 2]) -> HeaderMap {
        pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_date_that_has_passed_means_now() {
        let headers =
            headers([(DATE, "Sun, 06 Nov 1994 08:49:37 GMT"), (RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT")]);

        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
    }

    #[test]
    fn without_the_sinks_own_date_the_local_clock_counts() {
        let headers = headers([(DATE, "yesterday"), (RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT")]);

        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
    }
}
