//! The wall clock as a parameter: the system's in production, a virtual one in tests. Sleeping uses tokio's timer, which a
//! paused tokio clock moves too.

use std::time::Duration;

use jiff::Timestamp;

pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A wall clock that starts at a given moment and runs with tokio's: under a paused tokio clock it jumps to the next due event.
pub struct VirtualClock {
    began: tokio::time::Instant,
    epoch: Timestamp,
}

impl VirtualClock {
    /// Starts now; must be called within a tokio runtime.
    #[must_use]
    pub fn start(epoch: Timestamp) -> Self {
        Self { began: tokio::time::Instant::now(), epoch }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        after(self.epoch, self.began.elapsed())
    }
}

/// Milliseconds since 1970, as plugins count them; an instant before is 0.
#[must_use]
pub fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// The instant of so many milliseconds since 1970, if there is one.
#[must_use]
pub fn instant(millis: u64) -> Option<Timestamp> {
    i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok())
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
