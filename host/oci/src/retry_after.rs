//! The `Retry-After` header: seconds, or a date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// HTTP dates are in mail format, always in GMT.
const HTTP_DATE: DateTimeParser = DateTimeParser::new();

/// The registry's delay, without a limit.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Ok(seconds) = text(headers, &RETRY_AFTER)?.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // Both dates are the registry's, so a clock skew between it and this host does not matter.
    let now = date(headers, &DATE).unwrap_or_else(Timestamp::now);
    let wait = date(headers, &RETRY_AFTER)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
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

    const TEN: &str = "Sun, 06 Nov 1994 10:00:00 GMT";
    const A_MINUTE_LATER: &str = "Sun, 06 Nov 1994 10:01:00 GMT";

    fn wait(after: &'static str, date: &'static str) -> Option<Duration> {
        let pairs = [(RETRY_AFTER, HeaderValue::from_static(after)), (DATE, HeaderValue::from_static(date))];
        retry_after(&pairs.into_iter().collect())
    }

    #[test]
    fn seconds_or_a_date_are_accepted() {
        let cases = [
            ("7", TEN, Some(7)),
            (A_MINUTE_LATER, TEN, Some(60)),
            (TEN, A_MINUTE_LATER, Some(0)),
            (TEN, "unknown", Some(0)),
            ("soon", TEN, None),
        ];

        for (after, date, seconds) in cases {
            assert_eq!(wait(after, date), seconds.map(Duration::from_secs), "{after} {date}");
        }
    }
}
