//! `histogram_quantile` over classic buckets.

use std::collections::BTreeMap;

use super::Row;
use crate::metrics::labels::{BUCKET, Labels};

#[derive(Debug, Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// The estimated quantile of each histogram: rows that differ only in `le` and the name are one. Rows without a readable `le` are left out.
pub fn histogram_quantile(quantile: f64, rows: Vec<Row>) -> Vec<Row> {
    let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
    for row in rows {
        if let Some(bound) = bound(row.labels.get(BUCKET)) {
            let labels = row.labels.nameless().without(&[BUCKET]);
            histograms.entry(labels).or_default().push(Bucket { bound, count: row.value });
        }
    }
    let estimated = histograms.into_iter().map(|(labels, buckets)| Row { labels, value: estimate(quantile, buckets) });
    estimated.collect()
}

fn bound(text: &str) -> Option<f64> {
    // As Go reads numbers; Rust reads `+Inf` too.
    text.parse().ok()
}

fn estimate(quantile: f64, mut buckets: Vec<Bucket>) -> f64 {
    if quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|left, right| left.bound.total_cmp(&right.bound));
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    let buckets = monotonic(&buckets);
    let [finite @ .., all] = buckets.as_slice() else { return f64::NAN };
    let Some(highest) = finite.last() else { return f64::NAN };
    if all.count == 0.0 {
        return f64::NAN;
    }
    let rank = quantile * all.count;
    let index = finite.iter().position(|bucket| bucket.count >= rank);
    let Some((index, found)) = index.and_then(|index| Some((index, finite.get(index)?))) else { return highest.bound };
    let before = index.checked_sub(1).and_then(|index| finite.get(index));
    match before {
        None if found.bound <= 0.0 => found.bound,
        None => found.bound * (rank / found.count),
        Some(before) => {
            let share = (rank - before.count) / (found.count - before.count);
            before.bound + (found.bound - before.bound) * share
        }
    }
}

/// Buckets of one bound are added up, and no count is below the one before: scrapes of several pods are at different
/// times.
fn monotonic(sorted: &[Bucket]) -> Vec<Bucket> {
    let mut merged: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match merged.last_mut() {
            Some(last) if last.bound.total_cmp(&bucket.bound).is_eq() => last.count += bucket.count,
            _ => merged.push(*bucket),
        }
    }
    let mut most = f64::NEG_INFINITY;
    for bucket in &mut merged {
        most = if bucket.count > most { bucket.count } else { most };
        if bucket.count < most {
            bucket.count = most;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(of: f64, buckets: &[(&str, f64)]) -> f64 {
        let rows = buckets.iter().map(|(bound, count)| Row {
            labels: Labels::metric("request_bucket").with("pod", "a").with(BUCKET, bound),
            value: *count,
        });
        let found = histogram_quantile(of, rows.collect());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels, Labels::default().with("pod", "a"));
        found[0].value
    }

    #[test]
    fn it_is_interpolated_linearly_inside_the_bucket() {
        let buckets = [("0.1", 50.0), ("0.5", 90.0), ("+Inf", 100.0)];

        assert_eq!(quantile(0.25, &buckets), 0.05);
        assert!((quantile(0.7, &buckets) - 0.3).abs() < 1e-9);
    }

    #[test]
    fn beyond_the_last_finite_bound_it_is_that_bound() {
        assert_eq!(quantile(0.99, &[("0.1", 50.0), ("0.5", 90.0), ("+Inf", 100.0)]), 0.5);
    }

    #[test]
    fn counts_never_fall_from_bucket_to_bucket() {
        assert_eq!(quantile(0.5, &[("1", 10.0), ("2", 8.0), ("+Inf", 20.0)]), 1.0);
    }

    #[test]
    fn without_observations_or_an_infinite_bucket_it_is_nan() {
        assert!(quantile(0.5, &[("1", 0.0), ("+Inf", 0.0)]).is_nan());
        assert!(quantile(0.5, &[("1", 5.0), ("2", 6.0)]).is_nan());
        assert!(quantile(0.5, &[("+Inf", 6.0)]).is_nan());
    }

    #[test]
    fn a_quantile_outside_zero_to_one_is_infinite() {
        assert_eq!(quantile(-0.1, &[("1", 1.0), ("+Inf", 1.0)]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &[("1", 1.0), ("+Inf", 1.0)]), f64::INFINITY);
    }
}
