//! Computes requests per window from raw counters: takes the difference of each series, then adds them up.
//!
//! A series counts in a window only if it exists at both ends and has not decreased in between. A series that appears,
//! disappears or restarts (with its pod) is left out of that window. Whether it is left out never depends on the number
//! of bad requests, so the test stays valid. A difference of sums would be wrong, because a sum decreases with a
//! deleted pod.

use crate::likelihood::Counts;
use crate::span::Span;
use std::collections::BTreeMap;

/// Counters are doubles: above this value they cannot count single requests.
const LARGEST_COUNT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;

/// Tolerated distance of an increase from an integer, because of rounding in sums of doubles.
const ROUNDING: f64 = 1e-3;

/// A counter by its labels, at each point of the span.
pub type Counters = BTreeMap<String, Vec<Option<f64>>>;

/// The query for bad or for good requests.
pub enum Judging {
    /// Bad requests. A missing series means none: most programs have no series before the first error.
    Bad(Counters),
    /// Good requests. A missing series is left out.
    Good(Counters),
}

/// An error of the counters, which follows the name of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    Total(String),
    Judging(String),
}

/// Requests of each of the span's windows.
pub fn counts(span: &Span, total: &Counters, judging: &Judging) -> Result<Vec<Counts>, Problem> {
    let (Judging::Bad(judged) | Judging::Good(judged)) = judging;
    let strangers = || judged.keys().find(|labels| !total.contains_key(*labels));
    if let Some(stranger) = strangers()
        && !total.is_empty()
        && !judged.keys().any(|labels| total.contains_key(labels))
    {
        return Err(Problem::Judging(format!(
            "no series has the labels of one of total (for example {stranger}): write both with the same `by (…)`"
        )));
    }
    if matches!(judging, Judging::Good(_)) && judged.is_empty() && !total.is_empty() {
        return Err(Problem::Judging("no series, though total has some: is the bucket's bound (le) right?".into()));
    }
    let mut windows = vec![Counts::default(); span.windows as usize];
    for (labels, points) in total {
        let judged = judged.get(labels).map(Vec::as_slice);
        for (index, window) in windows.iter_mut().enumerate() {
            let Some(requests) = rise(points, index) else { continue };
            let bad = match (judging, judged) {
                (Judging::Bad(_), None) => 0.0,
                (Judging::Bad(_), Some(points)) => match rise_of_bad(points, index) {
                    Some(bad) => bad,
                    None => continue,
                },
                (Judging::Good(_), None) => continue,
                (Judging::Good(_), Some(points)) => match rise(points, index) {
                    Some(good) => (requests - good).max(0.0),
                    None => continue,
                },
            };
            let requests = whole(requests).ok_or_else(|| Problem::Total(not_a_counter(labels, requests)))?;
            let bad = whole(bad).ok_or_else(|| Problem::Judging(not_a_counter(labels, bad)))?;
            // A scrape may happen between the two queries: bad requests are limited to all requests.
            *window = window.and(Counts { requests, bad: bad.min(requests) });
        }
    }
    Ok(windows)
}

/// Increase of a counter in a window.
fn rise(points: &[Option<f64>], window: usize) -> Option<f64> {
    let from = points.get(window).copied().flatten()?;
    let to = points.get(window + 1).copied().flatten()?;
    (to >= from).then_some(to - from)
}

/// The same for bad requests, whose series begins with the first one.
fn rise_of_bad(points: &[Option<f64>], window: usize) -> Option<f64> {
    let from = points.get(window).copied().flatten();
    let to = points.get(window + 1).copied().flatten();
    match (from, to) {
        (None, None) => Some(0.0),
        (None, Some(to)) => Some(to),
        (Some(_), None) => None,
        (Some(_), Some(_)) => rise(points, window),
    }
}

fn whole(rise: f64) -> Option<u64> {
    let rounded = rise.round();
    let counts = (rise - rounded).abs() < ROUNDING && (0.0..=LARGEST_COUNT).contains(&rounded);
    counts.then_some(rounded as u64)
}

fn not_a_counter(labels: &str, rise: f64) -> String {
    format!("{labels} rose by {rise}, which is no number of requests: write a counter, not rate() or increase()")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: f64 = f64::NAN;

    fn span(windows: u32) -> Span {
        Span { start: 0, step: 10_000, windows }
    }

    fn counters(series: &[(&str, &[f64])]) -> Counters {
        let points = |values: &[f64]| values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
        series.iter().map(|(labels, values)| ((*labels).to_owned(), points(values))).collect()
    }

    fn with_bad(total: &[(&str, &[f64])], bad: &[(&str, &[f64])]) -> Vec<(u64, u64)> {
        let windows = total[0].1.len() as u32 - 1;
        let found = counts(&span(windows), &counters(total), &Judging::Bad(counters(bad))).unwrap();
        found.into_iter().map(|counts| (counts.requests, counts.bad)).collect()
    }

    fn problem(total: &[(&str, &[f64])], judging: Judging) -> Problem {
        counts(&span(1), &counters(total), &judging).unwrap_err()
    }

    #[test]
    fn each_series_is_differenced_and_all_are_added_up() {
        let total: [(&str, &[f64]); 2] = [("a", &[100.0, 150.0, 210.0]), ("b", &[7.0, 17.0, 17.0])];
        let bad: [(&str, &[f64]); 2] = [("a", &[3.0, 5.0, 6.0]), ("b", &[0.0, 1.0, 1.0])];
        assert_eq!(with_bad(&total, &bad), [(60, 3), (60, 1)]);
    }

    #[test]
    fn a_series_that_appears_is_counted_from_its_second_point() {
        assert_eq!(with_bad(&[("a", &[NONE, 50.0, 90.0])], &[("a", &[NONE, 5.0, 6.0])]), [(0, 0), (40, 1)]);
    }

    #[test]
    fn the_first_errors_of_an_existing_series_are_counted() {
        assert_eq!(with_bad(&[("a", &[10.0, 50.0, 90.0])], &[("a", &[NONE, NONE, 6.0])]), [(40, 0), (40, 6)]);
        assert_eq!(with_bad(&[("a", &[10.0, 50.0])], &[]), [(40, 0)], "no errors at all");
    }

    #[test]
    fn a_series_that_disappears_is_counted_until_then() {
        assert_eq!(with_bad(&[("a", &[10.0, 50.0, NONE])], &[("a", &[1.0, 2.0, NONE])]), [(40, 1), (0, 0)]);
        assert_eq!(with_bad(&[("a", &[10.0, 50.0])], &[("a", &[1.0, NONE])]), [(0, 0)], "only its errors vanish");
    }

    #[test]
    fn a_counter_that_restarts_is_left_out_of_that_window() {
        assert_eq!(with_bad(&[("a", &[900.0, 20.0, 60.0])], &[("a", &[9.0, 10.0, 12.0])]), [(0, 0), (40, 2)]);
        assert_eq!(
            with_bad(&[("a", &[10.0, 50.0])], &[("a", &[9.0, 1.0])]),
            [(0, 0)],
            "its errors tell of the restart"
        );
    }

    #[test]
    fn a_sum_that_decreased_with_a_deleted_pod_is_not_counted_again() {
        assert_eq!(
            with_bad(&[("{}", &[10_000.0, 9_000.0, 9_050.0])], &[("{}", &[90.0, 80.0, 81.0])]),
            [(0, 0), (50, 1)]
        );
    }

    #[test]
    fn slow_requests_are_those_above_the_bucket() {
        let total = counters(&[("a", &[100.0, 150.0]), ("b", &[100.0, 150.0])]);
        let good = Judging::Good(counters(&[("a", &[90.0, 132.0])]));
        assert_eq!(counts(&span(1), &total, &good), Ok(vec![Counts { requests: 50, bad: 8 }]));
    }

    #[test]
    fn there_are_never_more_bad_requests_than_all() {
        assert_eq!(with_bad(&[("a", &[10.0, 12.0])], &[("a", &[0.0, 5.0])]), [(2, 2)]);
    }

    #[test]
    fn a_rate_is_distinguished_from_a_counter() {
        let rate = problem(&[("{pod=\"a\"}", &[1.0, 1.5])], Judging::Bad(Counters::new()));
        assert!(matches!(rate, Problem::Total(text) if text.contains("rose by 0.5") && text.contains("not rate()")));
        let large = problem(&[("a", &[0.0, 1e300])], Judging::Bad(Counters::new()));
        assert!(matches!(large, Problem::Total(_)));
        let bad = problem(&[("a", &[0.0, 9.0])], Judging::Bad(counters(&[("a", &[0.0, 0.2])])));
        assert!(matches!(bad, Problem::Judging(_)));
    }

    #[test]
    fn queries_with_different_groupings_are_reported() {
        let bad = Judging::Bad(counters(&[("{pod=\"a\"}", &[0.0, 1.0])]));
        let problem = problem(&[("{instance=\"a\"}", &[0.0, 9.0])], bad);
        assert!(matches!(problem, Problem::Judging(text) if text.contains("{pod=\"a\"}") && text.contains("by (")));
    }

    #[test]
    fn a_missing_bucket_is_reported() {
        let problem = problem(&[("a", &[0.0, 9.0])], Judging::Good(Counters::new()));
        assert!(matches!(problem, Problem::Judging(text) if text.contains("bound")));
    }

    proptest! {
        #[test]
        fn whatever_the_counters_say_bad_requests_are_some_of_all(
            total in prop::collection::vec(prop::option::of(any::<f64>()), 4),
            judged in prop::collection::vec(prop::option::of(any::<f64>()), 4),
            good: bool,
        ) {
            let one = |points: Vec<Option<f64>>| Counters::from([("a".to_owned(), points)]);
            let judging = if good { Judging::Good(one(judged)) } else { Judging::Bad(one(judged)) };
            if let Ok(windows) = counts(&span(3), &one(total), &judging) {
                prop_assert!(windows.iter().all(|window| window.bad <= window.requests));
            }
        }
    }
}
