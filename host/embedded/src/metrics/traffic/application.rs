//! The counters of one application, under the names of the client libraries' examples.

use super::histogram::{Histogram, number};
use crate::metrics::labels::{Labels, NAME};

/// The upper bounds of the histogram in seconds: the client libraries' defaults.
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const REQUESTS: &str = "http_requests_total";
const DURATION: &str = "http_request_duration_seconds";

/// Requests by answer, and how long they took.
#[derive(Debug)]
pub struct Application {
    succeeded: u64,
    failed: u64,
    durations: Histogram,
}

impl Default for Application {
    fn default() -> Self {
        Self { succeeded: 0, failed: 0, durations: Histogram::new(BOUNDS) }
    }
}

impl Application {
    pub fn count(&mut self, failed: bool, seconds: f64) {
        let answers = if failed { &mut self.failed } else { &mut self.succeeded };
        *answers = answers.saturating_add(1);
        self.durations.observe(seconds);
    }

    /// The application's metrics page from its start on, with the labels of the scrape.
    pub fn series(&self, labels: &Labels) -> Vec<(Labels, f64)> {
        let requests = labels.clone().with(NAME, REQUESTS);
        let mut series = self.durations.series(DURATION, labels);
        series.push((requests.clone().with("code", "200"), number(self.succeeded)));
        series.push((requests.with("code", "500"), number(self.failed)));
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_code() {
        let mut application = Application::default();
        application.count(false, 0.1);
        application.count(true, 0.1);
        application.count(true, 0.1);

        let series = application.series(&Labels::default().with("pod", "a"));

        let requests = Labels::metric("http_requests_total").with("pod", "a");
        assert!(series.contains(&(requests.clone().with("code", "200"), 1.0)));
        assert!(series.contains(&(requests.with("code", "500"), 2.0)));
    }
}
