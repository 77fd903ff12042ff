//! The counters that one application shows.

use crate::metrics::labels::{BUCKET, Labels};

/// The upper bounds of the histogram in seconds: the client libraries' defaults.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const REQUESTS: &str = "http_requests_total";
const BUCKETS: &str = "http_request_duration_seconds_bucket";
const SUM: &str = "http_request_duration_seconds_sum";
const COUNT: &str = "http_request_duration_seconds_count";

/// Requests by answer, and how long they took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    succeeded: u64,
    failed: u64,
    /// By bound, each request in one bucket only.
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
}

impl Counters {
    pub fn count(&mut self, failed: bool, seconds: f64) {
        let answers = if failed { &mut self.failed } else { &mut self.succeeded };
        *answers = answers.saturating_add(1);
        self.seconds += seconds;
        let fitting = BOUNDS.iter().zip(&mut self.buckets).find(|(bound, _)| seconds <= **bound);
        if let Some((_, bucket)) = fitting {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// As the application's metrics page shows them, with the labels of the scrape.
    pub fn series(&self, labels: &Labels) -> Vec<(Labels, f64)> {
        let named = |name: &str| labels.clone().with(crate::metrics::labels::NAME, name);
        let all = self.succeeded.saturating_add(self.failed);
        let mut series = vec![
            (named(REQUESTS).with("code", "200"), number(self.succeeded)),
            (named(REQUESTS).with("code", "500"), number(self.failed)),
            (named(SUM), self.seconds),
            (named(COUNT), number(all)),
            (named(BUCKETS).with(BUCKET, "+Inf"), number(all)),
        ];
        let mut below: u64 = 0;
        for (bound, bucket) in BOUNDS.iter().zip(self.buckets) {
            below = below.saturating_add(bucket);
            series.push((named(BUCKETS).with(BUCKET, &bound.to_string()), number(below)));
        }
        series
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(counters: &Counters, labels: &Labels) -> f64 {
        let series = counters.series(&Labels::default().with("pod", "a"));
        series.iter().find(|(found, _)| found == labels).unwrap().1
    }

    #[test]
    fn answers_are_counted_by_code() {
        let mut counters = Counters::default();
        counters.count(false, 0.1);
        counters.count(true, 0.1);
        counters.count(true, 0.1);

        let requests = Labels::metric("http_requests_total").with("pod", "a");
        assert_eq!(value(&counters, &requests.clone().with("code", "200")), 1.0);
        assert_eq!(value(&counters, &requests.with("code", "500")), 2.0);
    }

    #[test]
    fn buckets_hold_all_that_is_not_above_their_bound() {
        let mut counters = Counters::default();
        counters.count(false, 0.1);
        counters.count(false, 0.3);
        counters.count(false, 60.0);

        let bucket = |le| value(&counters, &Labels::metric(BUCKETS).with("pod", "a").with("le", le));
        assert_eq!(
            (bucket("0.05"), bucket("0.1"), bucket("1"), bucket("10"), bucket("+Inf")),
            (0.0, 1.0, 2.0, 2.0, 3.0)
        );
        assert_eq!(value(&counters, &Labels::metric(SUM).with("pod", "a")), 60.4);
    }
}
