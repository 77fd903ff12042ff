//! Injects faults into the requests and watches of one process of the controller.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use kulta_embedded::faults::{Call, Delivery, Faults, Verb, Verdict};
use kulta_embedded::status::ApiError;
use kulta_embedded::watch::WatchEvent;

use crate::log::Log;

/// Faults per thousand requests or watch events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Requests that fail before or after they are carried out.
    pub refused: u32,
    pub delayed: u32,
    /// Requests without an answer; they end with the client's timeout.
    pub hung: u32,
    /// Writes before or after which the process crashes.
    pub crash: u32,
    /// Watch events that are late, sent twice, or lost because the connection ends.
    pub watch: u32,
}

impl Rates {
    pub const NONE: Self = Self { refused: 0, delayed: 0, hung: 0, crash: 0, watch: 0 };
}

/// Requests and injected faults, of all processes of a scenario.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub writes: AtomicU64,
    pub injected: AtomicU64,
}

/// Injects faults into the requests of one process.
pub struct FaultInjector {
    rng: Mutex<Rng>,
    rates: Arc<Mutex<Rates>>,
    counts: Arc<Counts>,
    log: Log,
    name: String,
    exited: Arc<AtomicBool>,
}

impl FaultInjector {
    #[must_use]
    pub fn new(name: String, seed: u64, rates: Arc<Mutex<Rates>>, counts: Arc<Counts>, log: Log) -> Self {
        let exited = Arc::new(AtomicBool::new(false));
        Self { rng: Mutex::new(Rng::with_seed(seed)), rates, counts, log, name, exited }
    }

    /// Set when the process has exited: its requests are neither carried out nor answered any more.
    #[must_use]
    pub fn exited(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.exited)
    }

    fn has_exited(&self) -> bool {
        self.exited.load(Ordering::Relaxed)
    }

    fn rates(&self) -> Rates {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a fault of this rate occurs.
    fn occurs(&self, rate: u32) -> bool {
        rate > 0 && self.rng.lock().unwrap_or_else(PoisonError::into_inner).u32(0..1000) < rate
    }

    fn pick(&self, range: std::ops::Range<u64>) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    fn injected(&self, what: &str, call: &Call) {
        self.counts.injected.fetch_add(1, Ordering::Relaxed);
        self.log.line(&format!("  {} fault: {what}: {}", self.name, describe(call)));
    }

    fn error(&self, call: &Call) -> ApiError {
        let errors = [
            ApiError::new(500, "InternalError", "an injected error"),
            ApiError::new(503, "ServiceUnavailable", "an injected outage"),
            ApiError::new(429, "TooManyRequests", "an injected limit"),
            ApiError::new(409, "Conflict", "an injected conflict"),
            ApiError::new(422, "Invalid", "an injected validation error"),
            ApiError::new(504, "Timeout", "an injected timeout"),
        ];
        // The last three are errors of writes only.
        let choices = if call.verb.is_write() { 6 } else { 3 };
        let index = usize::try_from(self.pick(0..choices)).unwrap_or_default();
        errors.into_iter().nth(index).unwrap_or_else(|| ApiError::internal("an injected error"))
    }

    fn crash(&self, when: &str, call: &Call) -> Verdict {
        self.injected(&format!("crashes {when}"), call);
        self.exited.store(true, Ordering::Relaxed);
        Verdict::Hang
    }

    fn decide(&self, call: &Call, done: bool) -> Verdict {
        if self.has_exited() {
            return Verdict::Hang;
        }
        let rates = self.rates();
        if call.verb.is_write() && self.occurs(rates.crash) {
            return self.crash(if done { "after" } else { "before" }, call);
        }
        if self.occurs(rates.refused / 2) {
            let error = self.error(call);
            self.injected(
                &format!(
                    "{} {}",
                    error.code,
                    if done { "after the request was carried out" } else { "and the request is not carried out" }
                ),
                call,
            );
            return Verdict::Refuse(error);
        }
        if self.occurs(rates.delayed / 2) {
            let delay = Duration::from_millis(self.pick(1..3_000));
            self.injected(&format!("delayed by {delay:?}"), call);
            return Verdict::Delay(delay);
        }
        if call.verb != Verb::Watch && self.occurs(rates.hung) {
            self.injected("no answer", call);
            return Verdict::Hang;
        }
        Verdict::Pass
    }
}

impl Faults for FaultInjector {
    fn before(&self, call: &Call) -> Verdict {
        if self.has_exited() {
            return Verdict::Hang;
        }
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        if call.verb.is_write() {
            self.counts.writes.fetch_add(1, Ordering::Relaxed);
        }
        self.log.line(&format!("  {} {}", self.name, describe(call)));
        self.decide(call, false)
    }

    fn after(&self, call: &Call) -> Verdict {
        self.decide(call, true)
    }

    fn event(&self, call: &Call, _: &WatchEvent) -> Delivery {
        if self.has_exited() {
            return Delivery::Drop;
        }
        if !self.occurs(self.rates().watch) {
            return Delivery::Send;
        }
        match self.pick(0..4) {
            0 => {
                self.injected("the watch ends", call);
                Delivery::Cut
            }
            1 => {
                self.injected("an event is sent twice", call);
                Delivery::SendTwice
            }
            _ => {
                let delay = Duration::from_millis(self.pick(1..4_000));
                self.injected(&format!("an event is delayed by {delay:?}"), call);
                Delivery::Delay(delay)
            }
        }
    }
}

fn describe(call: &Call) -> String {
    let part = if call.subresource.is_empty() { String::new() } else { format!("/{}", call.subresource) };
    format!("{:?} {}{part} {}", call.verb, call.resource, call.name)
}
