//! Evidence about the odds ratio θ of a bad request, canary against stable. It grows window by window and may be
//! evaluated after each: two e-processes and an always-valid p-value.
//!
//! An e-process starts at 1 and, while its null hypothesis holds, is not expected to increase at any step. So it ever
//! reaches 1/α with probability at most α (Ville), however often and however long it is evaluated. Here each e-process
//! is the mean of likelihood ratios, over a few alternatives, against the bound of the null. The likelihood ratio falls
//! monotonically in θ, so the bound represents its whole side. Three changes of a ratio can only lower its expectation:
//! an upper cap, an exponent 1/φ ≤ 1 that is fixed before the window is observed (Jensen), and leaving out windows by
//! anything but their bad counts.

use crate::likelihood::Window;
use libm::{exp, log};
use serde::{Deserialize, Serialize};

/// Alternatives, as multiples of the tolerated odds ratio (or fractions of the largest one): from slightly worse to
/// broken.
const ALTERNATIVES: [f64; 6] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0];

/// The hypotheses, and the thresholds of a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hypotheses {
    /// The canary is no worse than stable: θ ≤ this.
    pub tolerated: f64,
    /// The canary is unacceptably worse than stable: θ ≥ this. Above `tolerated`.
    pub largest: f64,
    /// The e-value that decides for "worse".
    pub worse_at: f64,
    /// The e-value that decides for "not worse".
    pub not_worse_at: f64,
    /// Minimum of windows for a decision; at least 1.
    pub fewest_windows: u32,
}

impl Hypotheses {
    /// Cap of the logarithm of one window's likelihood ratio: `fewest_windows` of them exceed the threshold by half a
    /// window, one fewer does not reach it.
    fn cap(&self, threshold: f64) -> f64 {
        match self.fewest_windows {
            0 | 1 => f64::INFINITY,
            windows => log(threshold) / (f64::from(windows) - 0.5),
        }
    }
}

/// Logarithms of likelihood ratios, summed over the windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    worse: [f64; ALTERNATIVES.len()],
    not_worse: [f64; ALTERNATIVES.len()],
    /// The largest logarithm of the e-value for "worse" so far; at least 0.
    peak: f64,
}

impl Evidence {
    pub fn none() -> Self {
        Self { worse: [0.0; 6], not_worse: [0.0; 6], peak: 0.0 }
    }

    /// True if [`Self::add`] can have produced it; external bytes may contain anything.
    pub fn is_sound(&self) -> bool {
        self.worse.iter().chain(&self.not_worse).all(|sum| sum.is_finite()) && self.peak.is_finite() && self.peak >= 0.0
    }

    /// Counts one window. `dispersion` (φ ≥ 1) must be fixed before the window is observed.
    pub fn add(&mut self, window: &Window, hypotheses: &Hypotheses, dispersion: f64) {
        if !window.informs() {
            return;
        }
        let at = |theta: f64| window.log_likelihood(log(theta)) / dispersion;
        let Hypotheses { tolerated, largest, .. } = *hypotheses;
        let (null, cap) = (at(tolerated), hypotheses.cap(hypotheses.worse_at));
        for (sum, ratio) in self.worse.iter_mut().zip(ALTERNATIVES) {
            *sum += (at(tolerated * ratio) - null).min(cap);
        }
        let (null, cap) = (at(largest), hypotheses.cap(hypotheses.not_worse_at));
        for (sum, ratio) in self.not_worse.iter_mut().zip(ALTERNATIVES) {
            *sum += (at(largest / ratio) - null).min(cap);
        }
        self.peak = self.peak.max(self.log_worse());
    }

    /// The logarithm of the e-value against "θ is at most the tolerated one".
    pub fn log_worse(&self) -> f64 {
        log_mean(&self.worse)
    }

    /// The logarithm of the e-value against "θ is at least the largest one".
    pub fn log_not_worse(&self) -> f64 {
        log_mean(&self.not_worse)
    }

    /// Always valid: under the null hypothesis it is ever at most α with probability at most α.
    pub fn p_value(&self) -> f64 {
        exp(-self.peak)
    }
}

/// ln of the mean of the numbers with these logarithms.
pub fn log_mean(logs: &[f64]) -> f64 {
    let largest = largest(logs);
    let sum: f64 = logs.iter().map(|value| exp(value - largest)).sum();
    largest + log(sum / logs.len() as f64)
}

pub fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::Counts;

    const HYPOTHESES: Hypotheses =
        Hypotheses { tolerated: 1.0, largest: 2.0, worse_at: 100.0, not_worse_at: 20.0, fewest_windows: 1 };

    fn window(canary_bad: u64, stable_bad: u64) -> Window {
        Window { canary: Counts { requests: 100, bad: canary_bad }, stable: Counts { requests: 900, bad: stable_bad } }
    }

    fn after(windows: &[Window], hypotheses: Hypotheses, dispersion: f64) -> Evidence {
        let mut evidence = Evidence::none();
        for window in windows {
            evidence.add(window, &hypotheses, dispersion);
        }
        evidence
    }

    #[test]
    fn without_windows_there_is_no_evidence() {
        let none = Evidence::none();
        assert_eq!((none.log_worse(), none.log_not_worse(), none.p_value()), (0.0, 0.0, 1.0));
    }

    #[test]
    fn a_worse_canary_raises_one_e_value_and_lowers_the_other() {
        let evidence = after(&[window(20, 9)], HYPOTHESES, 1.0);
        assert!(evidence.log_worse() > log(100.0));
        assert!(evidence.log_not_worse() < 0.0);
    }

    #[test]
    fn the_p_value_keeps_the_strongest_evidence() {
        let worse = after(&[window(10, 9)], HYPOTHESES, 1.0);
        let later = after(&[window(10, 9), window(0, 90)], HYPOTHESES, 1.0);
        assert_eq!(later.p_value(), worse.p_value());
        assert!(later.log_worse() < worse.log_worse());
    }

    #[test]
    fn an_exponent_divides_the_evidence_of_a_window() {
        let plain = after(&[window(20, 9)], HYPOTHESES, 1.0);
        let tempered = after(&[window(20, 9)], HYPOTHESES, 4.0);
        for (tempered, plain) in tempered.worse.iter().zip(plain.worse) {
            assert!((tempered * 4.0 - plain).abs() < 1e-9);
        }
    }

    #[test]
    fn fewer_windows_than_the_minimum_do_not_decide() {
        let broken = [window(100, 0); 4];
        for fewest_windows in 2..=4 {
            let hypotheses = Hypotheses { fewest_windows, ..HYPOTHESES };
            let e_value = |windows: u32| after(&broken[..windows as usize], hypotheses, 1.0).log_worse();
            assert!(e_value(fewest_windows - 1) < log(100.0), "{fewest_windows}");
            assert!(e_value(fewest_windows) >= log(100.0), "{fewest_windows}");
        }
    }

    #[test]
    fn the_cap_is_for_evidence_against_the_null_only() {
        let hypotheses = Hypotheses { fewest_windows: 4, ..HYPOTHESES };
        let better = [Window { canary: Counts { requests: 500, bad: 0 }, stable: Counts { requests: 500, bad: 50 } }];
        assert_eq!(after(&better, hypotheses, 1.0).worse, after(&better, HYPOTHESES, 1.0).worse);
    }
}
