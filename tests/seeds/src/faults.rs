//! What goes wrong between one life of the controller and the API server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use kulta_embedded::faults::{Call, Delivery, Faults, Verb, Verdict};
use kulta_embedded::status::ApiError;
use kulta_embedded::watch::WatchEvent;

use crate::story::Log;

/// How often, of a thousand requests or events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Requests that are refused before or after they are done.
    pub refused: u32,
    pub delayed: u32,
    /// Requests that are never answered; the client gives up by itself.
    pub hung: u32,
    /// Writes after or before which the process dies.
    pub crash: u32,
    /// Events of a watch that come late, twice or not at all because the connection ends.
    pub watch: u32,
}

impl Rates {
    pub const NONE: Self = Self { refused: 0, delayed: 0, hung: 0, crash: 0, watch: 0 };
}

/// How many there were, over all lives of a story.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub writes: AtomicU64,
    pub injected: AtomicU64,
}

/// One life's trouble.
pub struct Trouble {
    rng: Mutex<Rng>,
    rates: Arc<Mutex<Rates>>,
    counts: Arc<Counts>,
    log: Log,
    name: String,
    dead: Arc<AtomicBool>,
}

impl Trouble {
    #[must_use]
    pub fn new(name: String, seed: u64, rates: Arc<Mutex<Rates>>, counts: Arc<Counts>, log: Log) -> Self {
        let dead = Arc::new(AtomicBool::new(false));
        Self { rng: Mutex::new(Rng::with_seed(seed)), rates, counts, log, name, dead }
    }

    /// Set when the process has died: nothing that it asks is done or answered any more.
    #[must_use]
    pub fn dead(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.dead)
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn rates(&self) -> Rates {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True as often as the rate says.
    fn strikes(&self, rate: u32) -> bool {
        rate > 0 && self.rng.lock().unwrap_or_else(PoisonError::into_inner).u32(0..1000) < rate
    }

    fn pick(&self, range: std::ops::Range<u64>) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    fn injected(&self, what: &str, call: &Call) {
        self.counts.injected.fetch_add(1, Ordering::Relaxed);
        self.log.line(&format!("  {} fault: {what}: {}", self.name, words(call)));
    }

    fn refusal(&self, call: &Call) -> ApiError {
        let errors = [
            ApiError::new(500, "InternalError", "an injected error"),
            ApiError::new(503, "ServiceUnavailable", "an injected outage"),
            ApiError::new(429, "TooManyRequests", "an injected limit"),
            ApiError::new(409, "Conflict", "an injected conflict"),
            ApiError::new(422, "Invalid", "an injected refusal"),
            ApiError::new(504, "Timeout", "an injected timeout"),
        ];
        // A read is never in conflict, nor invalid.
        let choices = if call.verb.is_write() { 6 } else { 3 };
        let index = usize::try_from(self.pick(0..choices)).unwrap_or_default();
        errors.into_iter().nth(index).unwrap_or_else(|| ApiError::internal("an injected error"))
    }

    fn die(&self, when: &str, call: &Call) -> Verdict {
        self.injected(&format!("dies {when}"), call);
        self.dead.store(true, Ordering::Relaxed);
        Verdict::Hang
    }

    fn judge(&self, call: &Call, done: bool) -> Verdict {
        if self.is_dead() {
            return Verdict::Hang;
        }
        let rates = self.rates();
        if call.verb.is_write() && self.strikes(rates.crash) {
            return self.die(if done { "after" } else { "before" }, call);
        }
        if self.strikes(rates.refused / 2) {
            let error = self.refusal(call);
            self.injected(&format!("{} {}", error.code, if done { "after it was done" } else { "instead" }), call);
            return Verdict::Refuse(error);
        }
        if self.strikes(rates.delayed / 2) {
            let delay = Duration::from_millis(self.pick(1..3_000));
            self.injected(&format!("late by {delay:?}"), call);
            return Verdict::Delay(delay);
        }
        if call.verb != Verb::Watch && self.strikes(rates.hung) {
            self.injected("never answered", call);
            return Verdict::Hang;
        }
        Verdict::Pass
    }
}

impl Faults for Trouble {
    fn before(&self, call: &Call) -> Verdict {
        if self.is_dead() {
            return Verdict::Hang;
        }
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        if call.verb.is_write() {
            self.counts.writes.fetch_add(1, Ordering::Relaxed);
        }
        self.log.line(&format!("  {} {}", self.name, words(call)));
        self.judge(call, false)
    }

    fn after(&self, call: &Call) -> Verdict {
        self.judge(call, true)
    }

    fn event(&self, call: &Call, _: &WatchEvent) -> Delivery {
        if self.is_dead() {
            return Delivery::Drop;
        }
        if !self.strikes(self.rates().watch) {
            return Delivery::Send;
        }
        match self.pick(0..4) {
            0 => {
                self.injected("the watch ends", call);
                Delivery::Cut
            }
            1 => {
                self.injected("an event twice", call);
                Delivery::SendTwice
            }
            _ => {
                let delay = Duration::from_millis(self.pick(1..4_000));
                self.injected(&format!("an event late by {delay:?}"), call);
                Delivery::Delay(delay)
            }
        }
    }
}

fn words(call: &Call) -> String {
    let part = if call.subresource.is_empty() { String::new() } else { format!("/{}", call.subresource) };
    format!("{:?} {}{part} {}", call.verb, call.resource, call.name)
}
