//! A confidence sequence for the odds ratio, and its maximum likelihood estimate.
//!
//! For each θ the mean likelihood over a grid, divided by θ's own, is an e-value against it. All θ whose e-value has
//! never reached 1/α form an interval that contains the true θ at all times with probability at least 1 − α.

use crate::evidence::{largest, log_mean};
use crate::likelihood::Window;
use libm::{exp, log};
use serde::{Deserialize, Serialize};

/// Evenly spaced in the logarithm from 1/32 to 32.
const GRID_HALF: usize = 20;
const GRID_POINTS: usize = 2 * GRID_HALF + 1;
const GRID_LARGEST: f64 = 32.0;

/// The log-likelihood at each point of the grid, minus the largest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    profile: Vec<f32>,
}

/// Bounds of θ; `None` beyond the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

impl Confidence {
    /// Without any window.
    pub fn none() -> Self {
        Self { profile: vec![0.0; GRID_POINTS] }
    }

    /// True if [`Self::add`] can have produced it; external bytes may contain anything.
    pub fn is_sound(&self) -> bool {
        self.profile.len() == GRID_POINTS && self.profile.iter().all(|point| point.is_finite())
    }

    /// Counts one window. `dispersion` (φ ≥ 1) must be fixed before the window is observed.
    pub fn add(&mut self, window: &Window, dispersion: f64) {
        if !window.informs() {
            return;
        }
        let sums: Vec<f64> = grid()
            .zip(&self.profile)
            .map(|(ln_theta, sum)| f64::from(*sum) + window.log_likelihood(ln_theta) / dispersion)
            .collect();
        let largest = largest(&sums);
        self.profile = sums.iter().map(|sum| (sum - largest) as f32).collect();
    }

    /// All θ not rejected at level `alpha`, widened to the next points of the grid.
    pub fn interval(&self, alpha: f64) -> Interval {
        let profile: Vec<f64> = self.profile.iter().copied().map(f64::from).collect();
        let rejected_below = log_mean(&profile) + log(alpha);
        let below = |point: &f64| *point <= rejected_below;
        let from_left = profile.iter().take_while(|point| below(point)).count();
        let from_right = profile.iter().rev().take_while(|point| below(point)).count();
        let theta = |point: Option<f64>| point.map(exp);
        Interval {
            lower: theta(from_left.checked_sub(1).and_then(|index| grid().nth(index))),
            upper: theta(from_right.checked_sub(1).and_then(|index| grid().nth_back(index))),
        }
    }

    /// The most likely θ; `None` at the ends of the grid, or without any window.
    pub fn odds_ratio(&self) -> Option<f64> {
        let step = log(GRID_LARGEST) / GRID_HALF as f64;
        let peak = self.profile.windows(3).zip(grid().skip(1)).find_map(|(points, ln_theta)| match points {
            // The maximum of the parabola through the largest point and its neighbours.
            [left, top, right] if top > left && top >= right => {
                let (left, top, right) = (f64::from(*left), f64::from(*top), f64::from(*right));
                Some(ln_theta + step / 2.0 * (right - left) / (2.0 * top - left - right))
            }
            _ => None,
        });
        peak.map(exp)
    }
}

/// The grid, as logarithms.
fn grid() -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
    let step = log(GRID_LARGEST) / GRID_HALF as f64;
    (0..GRID_POINTS).map(move |index| (index as f64 - GRID_HALF as f64) * step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::Counts;

    fn window(canary_bad: u64, stable_bad: u64) -> Window {
        Window { canary: Counts { requests: 100, bad: canary_bad }, stable: Counts { requests: 900, bad: stable_bad } }
    }

    fn after(windows: &[Window]) -> Confidence {
        let mut confidence = Confidence::none();
        for window in windows {
            confidence.add(window, 1.0);
        }
        confidence
    }

    #[test]
    fn without_windows_any_odds_ratio_is_possible() {
        assert_eq!(Confidence::none().interval(0.05), Interval { lower: None, upper: None });
        assert_eq!(Confidence::none().odds_ratio(), None);
    }

    #[test]
    fn the_confidence_sequence_converges_to_the_odds_ratio() {
        // 30 of 100 against 90 of 900: odds 3/7 against 1/9, θ = 27/7.
        let truth = 27.0 / 7.0;
        let widths: Vec<f64> = [5, 20, 80]
            .into_iter()
            .map(|windows| {
                let interval = after(&vec![window(30, 90); windows]).interval(0.05);
                let (lower, upper) = (interval.lower.unwrap(), interval.upper.unwrap());
                assert!(lower < truth && truth < upper, "{windows}: {lower}..{upper}");
                upper / lower
            })
            .collect();
        assert!(widths[0] > widths[1] && widths[1] > widths[2], "{widths:?}");
        let estimate = after(&[window(30, 90); 20]).odds_ratio().unwrap();
        assert!((estimate / truth - 1.0).abs() < 0.02, "{estimate}");
    }

    #[test]
    fn beyond_the_grid_the_confidence_sequence_is_open() {
        let broken = after(&[window(100, 0); 3]).interval(0.05);
        assert!(broken.lower.is_some() && broken.upper.is_none(), "{broken:?}");
        let flawless = after(&[window(0, 300); 3]).interval(0.05);
        assert!(flawless.lower.is_none() && flawless.upper.is_some(), "{flawless:?}");
    }
}
