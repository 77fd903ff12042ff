//! A classic histogram.

use crate::metrics::labels::{BUCKET, Labels, NAME};

#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds, rising, without the infinite one.
    bounds: &'static [f64],
    /// By bound, each observation in one bucket only.
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, buckets: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    pub const fn count(&self) -> u64 {
        self.count
    }

    pub fn observe(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += value;
        let fitting = self.bounds.iter().zip(&mut self.buckets).find(|(bound, _)| value <= **bound);
        if let Some((_, bucket)) = fitting {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// `name_bucket`, `name_sum` and `name_count`, with these labels.
    pub fn series(&self, name: &str, labels: &Labels) -> Vec<(Labels, f64)> {
        let named = |suffix: &str| labels.clone().with(NAME, &format!("{name}_{suffix}"));
        let all = number(self.count);
        let mut series =
            vec![(named("sum"), self.sum), (named("count"), all), (named("bucket").with(BUCKET, "+Inf"), all)];
        let mut below: u64 = 0;
        for (bound, bucket) in self.bounds.iter().zip(&self.buckets) {
            below = below.saturating_add(*bucket);
            series.push((named("bucket").with(BUCKET, &bound.to_string()), number(below)));
        }
        series
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_that_is_not_above_their_bound() {
        let mut histogram = Histogram::new(&[0.1, 0.5, 1.0]);
        for value in [0.1, 0.3, 60.0] {
            histogram.observe(value);
        }

        let series = histogram.series("time", &Labels::default().with("pod", "a"));

        let values: Vec<(String, f64)> =
            series.into_iter().map(|(labels, value)| (labels.to_string(), value)).collect();
        assert_eq!(
            values,
            [
                ("{__name__=\"time_sum\", pod=\"a\"}".to_owned(), 60.4),
                ("{__name__=\"time_count\", pod=\"a\"}".to_owned(), 3.0),
                ("{__name__=\"time_bucket\", le=\"+Inf\", pod=\"a\"}".to_owned(), 3.0),
                ("{__name__=\"time_bucket\", le=\"0.1\", pod=\"a\"}".to_owned(), 1.0),
                ("{__name__=\"time_bucket\", le=\"0.5\", pod=\"a\"}".to_owned(), 2.0),
                ("{__name__=\"time_bucket\", le=\"1\", pod=\"a\"}".to_owned(), 2.0),
            ]
        );
    }
}
