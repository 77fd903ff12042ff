//! `rate`, `increase` and `irate` over the samples of one series.

use super::Point;

/// A sample this many times the average distance away from the range's end counts as the series' true end (Prometheus' figure).
const GAP: f64 = 1.1;

/// The range of a function, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub from: i64,
    pub to: i64,
}

/// The increase of a counter over the window: resets are undone, then it is extrapolated from the time between the
/// first and the last sample to the window's ends, if these are near. `None` with fewer than two samples.
pub fn increase(points: &[Point], window: Window) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let steps = points.len().checked_sub(1).filter(|steps| *steps > 0)?;
    let risen = points.windows(2).fold(last.value - first.value, |risen, pair| match pair {
        [before, after] if after.value < before.value => risen + before.value,
        _ => risen,
    });
    let sampled = seconds(first.at, last.at);
    let average = sampled / count(steps);
    let to_start = seconds(window.from, first.at);
    // A counter does not start below zero.
    let to_start =
        if risen > 0.0 && first.value >= 0.0 { to_start.min(sampled * (first.value / risen)) } else { to_start };
    let reach = |gap: f64| if gap < average * GAP { gap } else { average / 2.0 };
    let stretched = sampled + reach(to_start) + reach(seconds(last.at, window.to));
    Some(risen * (stretched / sampled))
}

/// [`increase`] per second.
pub fn rate(points: &[Point], window: Window) -> Option<f64> {
    Some(increase(points, window)? / seconds(window.from, window.to))
}

/// The rise per second between the last two samples.
pub fn irate(points: &[Point]) -> Option<f64> {
    let [.., before, last] = points else { return None };
    let risen = if last.value < before.value { last.value } else { last.value - before.value };
    let time = seconds(before.at, last.at);
    (time > 0.0).then(|| risen / time)
}

fn seconds(from: i64, to: i64) -> f64 {
    const MILLISECONDS: f64 = 1000.0;
    number(to.saturating_sub(from)) / MILLISECONDS
}

#[expect(clippy::cast_precision_loss, reason = "times between samples are far below 2^52 ms")]
fn number(milliseconds: i64) -> f64 {
    milliseconds as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn count(of: usize) -> f64 {
    of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Window = Window { from: 0, to: 60_000 };

    fn points(values: &[(i64, f64)]) -> Vec<Point> {
        values.iter().map(|(second, value)| Point { at: second * 1000, value: *value }).collect()
    }

    #[test]
    fn one_sample_has_no_rate() {
        assert_eq!(increase(&points(&[(10, 5.0)]), MINUTE), None);
        assert_eq!(irate(&points(&[(10, 5.0)])), None);
    }

    #[test]
    fn samples_on_both_ends_need_no_extrapolation() {
        assert_eq!(increase(&points(&[(0, 100.0), (30, 130.0), (60, 160.0)]), MINUTE), Some(60.0));
    }

    #[test]
    fn a_reset_counts_from_zero() {
        assert_eq!(increase(&points(&[(0, 100.0), (30, 10.0), (60, 20.0)]), MINUTE), Some(20.0));
    }

    #[test]
    fn near_ends_are_reached_and_far_ones_by_half_a_step() {
        // 20 s apart: the start is 10 s away (reached), the end 30 s (half a step: 10 s).
        let found = increase(&points(&[(10, 100.0), (30, 120.0)]), MINUTE);

        assert_eq!(found, Some(40.0));
    }

    #[test]
    fn a_counter_is_not_extrapolated_below_zero() {
        // It rises by 1 a second from 2 at 10 s, so it was 0 at 8 s: 2 s to the start, then 20 s sampled, then half a step of 10 s.
        let found = increase(&points(&[(10, 2.0), (30, 22.0)]), MINUTE).unwrap();

        assert!((found - 32.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn an_instant_rate_is_that_of_the_last_two_samples() {
        assert_eq!(irate(&points(&[(0, 0.0), (10, 5.0), (20, 25.0)])), Some(2.0));
        assert_eq!(irate(&points(&[(10, 5.0), (20, 2.0)])), Some(0.2));
    }
}
