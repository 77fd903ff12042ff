//! How long the event sink asks to wait.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest accepted delay: an error of the sink must not silence the events for a day.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let asked = kulta_api::retry_after::parse(text(RETRY_AFTER)?, text(DATE), Timestamp::now());
    asked.map(|asked| asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

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

    #[test]
    fn a_sink_that_asks_for_a_day_is_tried_again_sooner() {
        let headers = headers([(DATE, "Sun, 06 Nov 1994 08:49:37 GMT"), (RETRY_AFTER, "86400")]);

        assert_eq!(retry_after(&headers), Some(LONGEST_RETRY_AFTER));
    }
}
