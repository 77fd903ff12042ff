//! How well an odds ratio explains one window, given the window's margins.
//!
//! Of N requests, `canary` went to the canary and `bad` were bad. If the odds of a bad request on the canary are θ times those on
//! stable, the canary's share of the bad ones follows Fisher's noncentral hypergeometric distribution:
//! P(x) ∝ C(canary, x)·C(stable, bad − x)·θ^x. What both sides share (traffic, weight, how bad things are just now) cancels out.

use libm::{exp, lgamma, log, sqrt};
use serde::{Deserialize, Serialize};

/// Requests of one side, and how many of them were bad (at most all).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub requests: u64,
    pub bad: u64,
}

impl Counts {
    pub fn and(self, more: Self) -> Self {
        Self { requests: self.requests.saturating_add(more.requests), bad: self.bad.saturating_add(more.bad) }
    }
}

/// One window of both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    pub canary: Counts,
    pub stable: Counts,
}

/// Above this standard deviation the sum over the support is replaced by Laplace's integral; every cell of the table then has
/// more than its square, 90,000, and the two differ by less than 1e-5. (A binomial would do for rare errors only: it takes the odds
/// ratio for the ratio of the rates.)
const SUM_UP_TO_DEVIATION: f64 = 300.0;

/// Terms smaller than this part of the sum are left out; below the precision of a double.
const NEGLIGIBLE: f64 = 1e-17;

impl Window {
    /// Whether it says anything about θ: both sides have requests, and some but not all requests were bad.
    pub fn informs(&self) -> bool {
        let all = self.canary.and(self.stable);
        self.canary.requests > 0 && self.stable.requests > 0 && (1..all.requests).contains(&all.bad)
    }

    /// ln P(what was seen | θ), but for a term that is the same for every θ. `ln_theta` is ln θ.
    pub fn log_likelihood(&self, ln_theta: f64) -> f64 {
        if !self.informs() {
            return 0.0;
        }
        self.canary.bad as f64 * ln_theta - Support::of(self).log_sum(ln_theta)
    }
}

/// The values that the canary's bad count can take under the window's margins.
struct Support {
    canary: f64,
    bad: f64,
    /// Stable's requests less all bad ones; negative if stable alone cannot hold them.
    spare: f64,
    lowest: f64,
    highest: f64,
}

impl Support {
    fn of(window: &Window) -> Self {
        let canary = window.canary.requests as f64;
        let bad = window.canary.bad as f64 + window.stable.bad as f64;
        let spare = window.stable.requests as f64 - bad;
        Self { canary, bad, spare, lowest: (-spare).max(0.0), highest: canary.min(bad) }
    }

    /// ln Σ_x θ^x / (x!·(canary − x)!·(bad − x)!·(spare + x)!), summed outwards from the largest term.
    fn log_sum(&self, ln_theta: f64) -> f64 {
        let theta = exp(ln_theta);
        let balance = self.balance(theta);
        let deviation = sqrt(1.0 / self.curvature(balance - 0.5));
        if deviation > SUM_UP_TO_DEVIATION {
            let peak = balance - 0.5;
            return self.log_term(peak, ln_theta) + log(deviation * sqrt(core::f64::consts::TAU));
        }
        let mode = libm::floor(balance).clamp(self.lowest, self.highest);
        let mut sum = 1.0;
        let (mut x, mut term) = (mode, 1.0);
        while x < self.highest && term > sum * NEGLIGIBLE {
            x += 1.0;
            term *= theta * self.ratio(x);
            sum += term;
        }
        (x, term) = (mode, 1.0);
        while x > self.lowest && term > sum * NEGLIGIBLE {
            term /= theta * self.ratio(x);
            sum += term;
            x -= 1.0;
        }
        self.log_term(mode, ln_theta) + log(sum)
    }

    /// The term of x over that of x − 1, at θ = 1.
    fn ratio(&self, x: f64) -> f64 {
        (self.canary - x + 1.0) * (self.bad - x + 1.0) / (x * (self.spare + x))
    }

    /// The x whose term equals that of x − 1: terms rise up to it and fall from there. The root of a quadratic.
    fn balance(&self, theta: f64) -> f64 {
        let square = theta - 1.0;
        let linear = theta * (self.canary + self.bad + 2.0) + self.spare;
        let constant = theta * (self.canary + 1.0) * (self.bad + 1.0);
        let discriminant = (linear * linear - 4.0 * square * constant).max(0.0);
        2.0 * constant / (linear + sqrt(discriminant))
    }

    fn log_term(&self, x: f64, ln_theta: f64) -> f64 {
        let cells = [x, self.canary - x, self.bad - x, self.spare + x];
        x * ln_theta - cells.map(|cell| lgamma(cell + 1.0)).iter().sum::<f64>()
    }

    /// Minus the second derivative of a term's logarithm.
    fn curvature(&self, x: f64) -> f64 {
        let cells = [x, self.canary - x, self.bad - x, self.spare + x];
        // Half a request more, so that an empty cell counts as a small one.
        cells.map(|cell| 1.0 / (cell.max(0.0) + 0.5)).iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn window(canary: u64, canary_bad: u64, stable: u64, stable_bad: u64) -> Window {
        Window {
            canary: Counts { requests: canary, bad: canary_bad },
            stable: Counts { requests: stable, bad: stable_bad },
        }
    }

    /// ln L(θ) − ln L(1), every term of the support summed from its factorials.
    fn plain_log_ratio(seen: &Window, theta: f64) -> f64 {
        let support = Support::of(seen);
        let sum = |theta: f64| {
            let mut terms = Vec::new();
            let mut x = support.lowest;
            while x <= support.highest {
                terms.push(support.log_term(x, log(theta)));
                x += 1.0;
            }
            let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            largest + log(terms.iter().map(|term| exp(term - largest)).sum())
        };
        seen.canary.bad as f64 * log(theta) - sum(theta) + sum(1.0)
    }

    fn log_ratio(seen: &Window, theta: f64) -> f64 {
        seen.log_likelihood(log(theta)) - seen.log_likelihood(0.0)
    }

    #[test]
    fn a_table_that_can_be_computed_by_hand() {
        // 1 of 2 canary requests bad, 0 of 2 on stable. P(x=1) = 4θ/(2 + 2θ)·½: θ/(1 + θ).
        let seen = window(2, 1, 2, 0);
        let expected = log(3.0 / 4.0) - log(1.0 / 2.0);
        assert!((log_ratio(&seen, 3.0) - expected).abs() < 1e-14);
    }

    #[test]
    fn a_window_without_contrast_says_nothing() {
        for seen in [window(0, 0, 100, 5), window(100, 5, 0, 0), window(50, 0, 100, 0), window(50, 50, 100, 100)] {
            assert_eq!(seen.log_likelihood(log(7.0)), 0.0, "{seen:?}");
        }
    }

    #[test]
    fn the_integral_continues_the_sum() {
        // Deviations just below and just above the switch.
        for scale in [350_000, 370_000, 400_000] {
            let seen = window(scale, scale / 3, scale * 3, scale);
            for theta in [0.5, 1.25, 2.0] {
                let (fast, plain) = (log_ratio(&seen, theta), plain_log_ratio(&seen, theta));
                assert!((fast - plain).abs() < 1e-5 * (1.0 + plain.abs() * 1e-3), "{scale} {theta}: {fast} {plain}");
            }
        }
    }

    #[test]
    fn counts_as_large_as_a_counter_holds_stay_finite() {
        let most = (1u64 << 53) / 4;
        for seen in [window(most, most / 2, most, most / 2), window(most, 0, most, 1), window(1, 1, most, most - 1)] {
            let value = log_ratio(&seen, 20.0);
            assert!(value.is_finite(), "{seen:?}: {value}");
        }
    }

    proptest! {
        #[test]
        fn the_sum_from_the_mode_is_the_sum_of_all_terms(
            canary in 0u64..400, stable in 0u64..4_000, canary_part in 0.0..=1.0, stable_part in 0.0..=1.0, ln_theta in -3.5..3.5
        ) {
            let bad = |requests: u64, part: f64| (requests as f64 * part) as u64;
            let seen = window(canary, bad(canary, canary_part), stable, bad(stable, stable_part));
            let plain = if seen.informs() { plain_log_ratio(&seen, exp(ln_theta)) } else { 0.0 };
            prop_assert!((log_ratio(&seen, exp(ln_theta)) - plain).abs() < 1e-9 * (1.0 + plain.abs()));
        }
    }
}
