//! The windows of a measurement: disjoint, consecutive, ending now.

use serde::{Deserialize, Serialize};

/// Limits of windows per measurement, and of stable's past windows for the first one. Together they stay below 50
/// points, above which some servers of Prometheus' API round a range query's times.
pub const MAX_WINDOWS: u32 = 24;
pub const HISTORY: u32 = 24;

/// Shorter windows would only read the same scrapes again; milliseconds.
const SHORTEST: u64 = 1_000;

/// Windows of equal length; all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start: u64,
    pub step: u64,
    /// At least 1.
    pub windows: u32,
}

impl Span {
    /// From the end of the last counted window until now, in windows of about `window`. A longer time (after an outage
    /// of the controller or the server) gives more windows, so that none mixes times of different weights; beyond
    /// [`MAX_WINDOWS`] the oldest are left out. `None` if it is too early.
    pub fn since(counted_until: u64, now: u64, window: u64) -> Option<Self> {
        let window = window.max(SHORTEST);
        let elapsed = now.saturating_sub(counted_until).min(window.saturating_mul(u64::from(MAX_WINDOWS)));
        if elapsed < SHORTEST {
            return None;
        }
        let windows = (elapsed / window).max(1);
        let step = elapsed / windows;
        Some(Self { start: now.saturating_sub(step * windows), step, windows: u32::try_from(windows).ok()? })
    }

    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.step.saturating_mul(u64::from(self.windows)))
    }

    /// The same with `windows` more before it.
    pub fn extended(&self, windows: u32) -> Self {
        let start = self.start.saturating_sub(self.step.saturating_mul(u64::from(windows)));
        Self { start, step: self.step, windows: self.windows.saturating_add(windows) }
    }

    pub fn is_sound(&self) -> bool {
        self.step > 0 && (1..=MAX_WINDOWS).contains(&self.windows)
    }

    /// The times between and around its windows.
    pub fn points(&self) -> usize {
        self.windows as usize + 1
    }

    /// The index of the point at that time (Unix seconds), if there is one.
    pub fn point_at(&self, seconds: f64) -> Option<usize> {
        let offset = (seconds * 1_000.0 - self.start as f64) / self.step as f64;
        let index = offset.round();
        // Allows a millisecond of rounding.
        let near = (offset - index).abs() * (self.step as f64) < 2.0;
        (near && index >= 0.0 && index <= f64::from(self.windows)).then_some(index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_225_600_000;
    const WINDOW: u64 = 10_000;

    fn since(ago: u64) -> Option<Span> {
        Span::since(NOW - ago, NOW, WINDOW)
    }

    #[test]
    fn a_regular_measurement_has_one_window() {
        for ago in [1_000, 5_000, 10_000, 10_300, 19_999] {
            assert_eq!(since(ago), Some(Span { start: NOW - ago, step: ago, windows: 1 }), "{ago}");
        }
    }

    #[test]
    fn a_longer_time_has_more_windows_of_equal_length() {
        let span = since(60_007).unwrap();
        assert_eq!((span.windows, span.step, span.end()), (6, 10_001, NOW));
        assert!(span.start >= NOW - 60_007, "nothing is counted twice");
    }

    #[test]
    fn beyond_the_most_windows_the_oldest_are_left_out() {
        let day = since(86_400_000).unwrap();
        assert_eq!(day, Span { start: NOW - u64::from(MAX_WINDOWS) * WINDOW, step: WINDOW, windows: MAX_WINDOWS });
    }

    #[test]
    fn too_early_is_no_window() {
        assert_eq!(since(999), None);
        assert_eq!(Span::since(NOW + 30_000, NOW, WINDOW), None, "still warming up");
    }

    #[test]
    fn times_are_mapped_to_their_point() {
        let span = since(30_000).unwrap();
        for (millis, point) in [
            (NOW - 30_000, Some(0)),
            (NOW - 10_000, Some(2)),
            (NOW, Some(3)),
            (NOW - 4_000, None),
            (NOW + 10_000, None),
        ] {
            assert_eq!(span.point_at(millis as f64 / 1_000.0), point);
        }
    }

    #[test]
    fn history_comes_before_the_span_in_the_same_steps() {
        let span = since(10_000).unwrap().extended(24);
        assert_eq!((span.start, span.end(), span.points()), (NOW - 250_000, NOW, 26));
    }

    #[test]
    fn the_first_request_stays_below_fifty_points() {
        let widest = since(86_400_000).unwrap().extended(HISTORY);
        assert!(widest.points() < 50);
    }
}
