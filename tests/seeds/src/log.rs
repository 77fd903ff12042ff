//! The log of a scenario: one line for each request, fault and user action, with its virtual time.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kulta_embedded::clock::Clock;

use crate::cluster::START;

/// Clones share their lines.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    clock: Clock,
}

impl Log {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { lines: Arc::default(), clock }
    }

    /// Adds a line, preceded by the seconds since the scenario started.
    pub fn line(&self, line: &str) {
        let start = Timestamp::from_second(START).unwrap_or_default();
        let at = self.clock.now().duration_since(start).as_secs_f64();
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at:>10.3} {line}"));
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
