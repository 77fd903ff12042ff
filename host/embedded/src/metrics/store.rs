//! Raw samples by series, kept for a bounded time.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::labels::{Labels, NAME};

/// The value that ends a series: Prometheus' own bit pattern of its staleness marker.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// One measured value; `at` is in milliseconds since the Unix epoch, Prometheus' resolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub at: i64,
    pub value: f64,
}

impl Sample {
    /// True if the series ends here.
    pub fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE
    }
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{labels} has a sample at {last} ms, so none may be added at {at} ms")]
pub struct OutOfOrder {
    labels: Labels,
    last: i64,
    at: i64,
}

/// Samples by metric name and labels.
#[derive(Debug)]
pub struct Store {
    retention: i64,
    metrics: BTreeMap<String, BTreeMap<Labels, VecDeque<Sample>>>,
}

impl Store {
    /// Keeps samples for `retention`.
    pub fn new(retention: SignedDuration) -> Self {
        Self { retention: milliseconds(retention), metrics: BTreeMap::new() }
    }

    /// # Errors
    /// If the series already has a sample at that time or later.
    pub fn append(&mut self, labels: &Labels, at: Timestamp, value: f64) -> Result<(), OutOfOrder> {
        let at = at.as_millisecond();
        let metric = self.metrics.entry(labels.get(NAME).to_owned()).or_default();
        let series = match metric.get_mut(labels) {
            Some(series) => series,
            None => metric.entry(labels.clone()).or_default(),
        };
        if let Some(last) = series.back().filter(|last| last.at >= at) {
            return Err(OutOfOrder { labels: labels.clone(), last: last.at, at });
        }
        series.push_back(Sample { at, value });
        Ok(())
    }

    /// Ends a series: from `at` on no instant query returns it until it has a new sample.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn end(&mut self, labels: &Labels, at: Timestamp) -> Result<(), OutOfOrder> {
        self.append(labels, at, f64::from_bits(STALE))
    }

    /// Drops samples older than the retention.
    pub fn expire(&mut self, now: Timestamp) {
        let oldest = now.as_millisecond().saturating_sub(self.retention);
        for metric in self.metrics.values_mut() {
            metric.retain(|_, series| {
                let old = series.partition_point(|sample| sample.at < oldest);
                series.drain(..old);
                !series.is_empty()
            });
        }
        self.metrics.retain(|_, metric| !metric.is_empty());
    }

    /// Every series of the metric, or of all metrics, in the order of names and labels.
    pub fn series<'a>(&'a self, metric: Option<&'a str>) -> impl Iterator<Item = (&'a Labels, &'a VecDeque<Sample>)> {
        let named = metric.into_iter().filter_map(|name| self.metrics.get(name));
        let all = metric.is_none().then(|| self.metrics.values()).into_iter().flatten();
        named.chain(all).flatten()
    }
}

/// Whole milliseconds, clamped to the range.
pub(super) fn milliseconds(duration: SignedDuration) -> i64 {
    let limit = if duration.is_negative() { i64::MIN } else { i64::MAX };
    i64::try_from(duration.as_millis()).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn samples_older_than_the_retention_are_dropped_and_so_are_series_without_any() {
        let mut store = Store::new(SignedDuration::from_secs(10));
        let (old, new) = (Labels::metric("up").with("pod", "old"), Labels::metric("up").with("pod", "new"));
        store.append(&old, at(1), 1.0).unwrap();
        store.append(&new, at(1), 1.0).unwrap();
        store.append(&new, at(15), 2.0).unwrap();

        store.expire(at(20));

        let left: Vec<_> = store.series(None).collect();
        assert_eq!(left, [(&new, &VecDeque::from([Sample { at: 15_000, value: 2.0 }]))]);
    }

    #[test]
    fn a_sample_that_is_not_newer_is_rejected() {
        let mut store = Store::new(SignedDuration::from_secs(10));
        let labels = Labels::metric("up");
        store.append(&labels, at(2), 1.0).unwrap();

        let refused = store.append(&labels, at(2), 3.0);

        assert_eq!(refused, Err(OutOfOrder { labels, last: 2000, at: 2000 }));
    }

    #[test]
    fn a_metric_name_selects_its_series_only() {
        let mut store = Store::new(SignedDuration::from_secs(10));
        store.append(&Labels::metric("a"), at(1), 1.0).unwrap();
        store.append(&Labels::metric("b"), at(1), 1.0).unwrap();

        let found: Vec<_> = store.series(Some("b")).map(|(labels, _)| labels.clone()).collect();

        assert_eq!(found, [Labels::metric("b")]);
    }
}
