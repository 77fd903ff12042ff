//! The `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// HTTP dates are those of mail, always in GMT.
const HTTP_DATE: DateTimeParser = DateTimeParser::new();

/// How long a server asks to wait, without a limit. `date` is its `Date` header: with both times from the server, the difference between
/// its clock and ours does not matter; without it our time `now` counts.
#[must_use]
pub fn parse(retry_after: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let retry_after = retry_after.trim();
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = date.and_then(http_date).unwrap_or(now);
    let wait = http_date(retry_after)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<Timestamp> {
    HTTP_DATE.parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: &str = "Sun, 06 Nov 1994 10:00:00 GMT";
    const A_MINUTE_LATER: &str = "Sun, 06 Nov 1994 10:01:00 GMT";

    #[test]
    fn seconds_or_a_date_say_how_long_to_wait() {
        let cases = [
            ("7", Some(TEN), Some(7)),
            (A_MINUTE_LATER, Some(TEN), Some(60)),
            (TEN, Some(A_MINUTE_LATER), Some(0)),
            (TEN, Some("unknown"), Some(0)),
            (A_MINUTE_LATER, None, Some(60)),
            ("soon", Some(TEN), None),
        ];

        let now = http_date(TEN).unwrap();
        for (after, date, seconds) in cases {
            assert_eq!(parse(after, date, now), seconds.map(Duration::from_secs), "{after} {date:?}");
        }
    }
}
