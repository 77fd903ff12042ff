//! How long to wait before trying again.

use std::time::Duration;

/// A number in 0..1, from outside so that tests decide it.
pub type Random = fn() -> f64;

#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// For a reconciliation that failed: soon, because most failures are a conflict that the next reconciliation resolves.
    pub const RECONCILIATION: Self = Self { first: Duration::from_millis(50), longest: Duration::from_secs(30) };
    /// For a watch: an API server that restarts must not be stormed by all its clients at once.
    pub const WATCH: Self = Self { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
    /// For a task of the controller that died: soon, because most of what it does waits meanwhile.
    pub const TASK: Self = Self { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
    /// For the event sink: minutes of it being down are normal.
    pub const SINK: Self = Self { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

    /// For a Kubernetes event that was not taken: best effort, and its object's later events wait for it.
    pub const EVENT: Self = Self { first: Duration::from_millis(500), longest: Duration::from_secs(4) };

    /// The delay after the `failures`-th failure in a row (from 1), doubling, half of it at random: many that failed together
    /// come back apart.
    #[must_use]
    pub fn delay(self, failures: u32, random: Random) -> Duration {
        let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        let random = random();
        let random = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        full.mul_f64(0.5 + 0.5 * random)
    }
}

/// The delays of a watch that breaks, started over once it has been well for some time.
#[derive(Default)]
pub struct WatchDelays {
    failures: u32,
}

impl Iterator for WatchDelays {
    type Item = Duration;

    fn next(&mut self) -> Option<Self::Item> {
        self.failures = self.failures.saturating_add(1);
        Some(Backoff::WATCH.delay(self.failures, fastrand::f64))
    }
}

impl kube::runtime::utils::Backoff for WatchDelays {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Keeps `1 << n` in range; the longest delay is reached long before.
const MOST_DOUBLINGS: u32 = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_asked_the_delay_is_within_the_bounds(failures: u32) {
            for chance in [|| -1.0, || 0.0, || 0.3, || 1.0, || f64::INFINITY, || f64::NAN] {
                let delay = Backoff::SINK.delay(failures, chance);

                prop_assert!(delay >= Backoff::SINK.first / 2 && delay <= Backoff::SINK.longest, "{delay:?}");
            }
        }
    }

    #[test]
    fn the_delay_doubles_until_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };

        let delays: Vec<u128> = [1, 2, 3, 4, 5, 500].map(|n| backoff.delay(n, || 1.0).as_millis()).to_vec();

        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn chance_shortens_the_delay_by_half_at_most() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };

        assert_eq!(backoff.delay(1, || 0.0), Duration::from_millis(50));
    }
}
