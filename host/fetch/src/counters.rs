//! Counts requests and their results for the controller's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::request::{Failure, Response};

/// Counters that only increase.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests on the network; each token request and redirect counts too.
    pub sent: AtomicU64,
    /// Requests that shared the answer of an equal request in flight.
    pub shared: AtomicU64,
    pub answered: AtomicU64,
    pub denied: AtomicU64,
    pub timed_out: AtomicU64,
    pub too_large: AtomicU64,
    pub failed: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, outcome: &Result<Response, Failure>) {
        add_one(match outcome {
            Ok(_) => &self.answered,
            Err(Failure::Denied(_)) => &self.denied,
            Err(Failure::Timeout) => &self.timed_out,
            Err(Failure::TooLarge(_)) => &self.too_large,
            Err(Failure::Failed(_)) => &self.failed,
        });
    }
}

pub(crate) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
