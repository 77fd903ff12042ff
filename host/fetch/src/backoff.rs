//! The delay before a retry.

use std::time::Duration;

/// First delay: long enough for a pod behind a Service to be replaced by its neighbour.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest delay: a repaired sink is used again within a minute, and a dead one costs one connection a minute.
const LONGEST_DELAY: Duration = Duration::from_mins(1);
/// Number of doublings after which any first delay exceeds any sensible longest one.
const MOST_DOUBLINGS: u32 = 31;

/// Delays that double up to a limit. Each is shortened at random by up to a half, so that many rollouts do not retry at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: FIRST_DELAY, longest: LONGEST_DELAY }
    }
}

impl Backoff {
    /// The delay after `failures` failures in a row, counted from 1. The caller draws `random` from 0 to 1; other
    /// values are clamped.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        let random = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        full.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_delay_doubles_with_each_failure_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };

        let delays = [1, 2, 3, 4, 5, 100].map(|failures| backoff.delay(failures, 1.0).as_secs());

        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn jitter_removes_up_to_a_half() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };

        let delays = [0.0, 0.5, 1.0].map(|random| backoff.delay(2, random).as_millis());

        assert_eq!(delays, [1_000, 1_500, 2_000]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_wait_is_within_the_bounds(failures: u32, random: f64) {
            let backoff = Backoff::default();

            let delay = backoff.delay(failures, random);

            prop_assert!(delay >= backoff.first / 2 && delay <= backoff.longest, "{delay:?}");
        }
    }
}
