//! The overdispersion φ: the variance of stable's bad counts relative to that of independent requests.
//!
//! Errors that come in clusters (one failed call retried four times, one dropped connection with ten requests on it) vary more
//! than the test assumes, and would raise false alarms. Each window of stable is compared with the one before it: given both, the
//! squared deviation over its hypergeometric variance is expected to be 1 if requests are independent, and φ if they are not.
//! Adjacent windows are compared, so that a slow drift of the error rate has no effect.

use crate::likelihood::Counts;
use serde::{Deserialize, Serialize};

/// Limit of one pair's contribution, as a multiple of the current estimate (five standard deviations squared), so that
/// the begin and end of a shared outage do not look like dispersion.
const LARGEST_DEVIATION: f64 = 25.0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Dispersion {
    /// Sum of squared deviations.
    sum: f64,
    pairs: u32,
    /// The previous window.
    last: Option<Counts>,
}

impl Dispersion {
    pub fn is_sound(&self) -> bool {
        self.sum.is_finite() && self.sum >= 0.0 && self.last.is_none_or(|last| last.bad <= last.requests)
    }

    /// φ, at least 1.
    pub fn estimate(&self) -> f64 {
        match self.pairs {
            0 => 1.0,
            pairs => (self.sum / f64::from(pairs)).max(1.0),
        }
    }

    /// The next window of stable.
    pub fn add(&mut self, stable: Counts) {
        if let Some(last) = self.last
            && let Some(deviation) = squared_deviation(last, stable)
        {
            self.sum += deviation.min(LARGEST_DEVIATION * self.estimate());
            self.pairs = self.pairs.saturating_add(1);
        }
        if stable.requests > 0 {
            self.last = Some(stable);
        }
    }
}

/// (bad − expected)² / variance of one window, given the bad requests of both. `None` if the variance is zero.
fn squared_deviation(one: Counts, other: Counts) -> Option<f64> {
    let Counts { requests, bad } = one.and(other);
    let (all, bad) = (requests as f64, bad as f64);
    let share = other.requests as f64 / all;
    let variance = bad * share * (1.0 - share) * (all - bad) / (all - 1.0);
    let deviation = other.bad as f64 - bad * share;
    (variance > 0.0).then(|| deviation * deviation / variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt as _, SeedableRng as _};

    /// Bad requests of 1,000 with the probability `rate`, each of them counted `cluster` times.
    fn windows(rate: f64, cluster: u64) -> impl Iterator<Item = Counts> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        std::iter::repeat_with(move || {
            let events = (0..1_000).filter(|_| random.random_bool(rate)).count() as u64;
            Counts { requests: 1_000, bad: (events * cluster).min(1_000) }
        })
    }

    fn estimate(windows: impl Iterator<Item = Counts>) -> f64 {
        let mut dispersion = Dispersion::default();
        windows.for_each(|window| dispersion.add(window));
        dispersion.estimate()
    }

    #[test]
    fn independent_requests_have_no_overdispersion() {
        for rate in [0.0005, 0.005, 0.05, 0.5] {
            let phi = estimate(windows(rate, 1).take(2_000));
            assert!(phi < 1.1, "{rate}: {phi}");
        }
    }

    #[test]
    fn clusters_of_four_have_four_times_the_variance() {
        let phi = estimate(windows(0.005, 4).take(2_000));
        assert!((3.5..4.5).contains(&phi), "{phi}");
    }

    #[test]
    fn the_edges_of_an_outage_have_little_effect() {
        let outage = windows(0.005, 1).take(30).chain(windows(0.5, 1).take(30)).chain(windows(0.005, 1).take(30));
        let phi = estimate(outage);
        assert!(phi < 2.0, "{phi}");
    }

    #[test]
    fn without_windows_there_is_no_overdispersion() {
        let idle = Counts { requests: 0, bad: 0 };
        let flawless = Counts { requests: 100, bad: 0 };
        assert_eq!(estimate([idle, flawless, idle, flawless].into_iter()), 1.0);
    }
}
