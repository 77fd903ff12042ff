//! Time as a parameter: the system's in production, a virtual one in tests. Both sleep on tokio's timer, so a paused tokio clock
//! moves them.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// A point on a clock that never steps back.
    fn monotonic(&self) -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How long until `at`; nothing when it has passed.
#[must_use]
pub fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// `duration` after `now`; a time beyond the calendar's end is its end.
#[must_use]
pub fn after(now: Timestamp, duration: Duration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A wall clock that starts at a round moment and runs with tokio's.
    pub struct VirtualClock {
        began: tokio::time::Instant,
        epoch: Timestamp,
    }

    impl VirtualClock {
        pub fn start() -> Self {
            Self { began: tokio::time::Instant::now(), epoch: Timestamp::from_second(1_800_000_000).unwrap() }
        }
    }

    impl Clock for VirtualClock {
        fn now(&self) -> Timestamp {
            after(self.epoch, self.began.elapsed())
        }
    }
}
