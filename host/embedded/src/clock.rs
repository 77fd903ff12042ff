//! The server's clock: an epoch plus the time of tokio's clock, so that a paused tokio clock is a virtual clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Clones show the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that shows `epoch` now.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, start: Instant::now() }
    }

    /// A clock that shows the time of this machine now.
    #[must_use]
    pub fn wall() -> Self {
        Self::starting_at(Timestamp::now())
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.after(self.start.elapsed())
    }

    /// Whole seconds, the precision of most of the API server's times.
    #[must_use]
    pub fn second(&self) -> Timestamp {
        Timestamp::from_second(self.now().as_second()).unwrap_or(self.epoch)
    }

    fn after(&self, elapsed: Duration) -> Timestamp {
        SignedDuration::try_from(elapsed)
            .ok()
            .and_then(|elapsed| self.epoch.checked_add(elapsed).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_advances_with_tokios_clock() {
        let epoch: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let clock = Clock::starting_at(epoch);

        tokio::time::advance(Duration::from_secs(3600)).await;

        assert_eq!(clock.now().to_string(), "2026-01-01T01:00:00.5Z");
        assert_eq!(clock.second().to_string(), "2026-01-01T01:00:00Z");
    }
}
