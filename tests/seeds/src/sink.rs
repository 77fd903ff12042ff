//! Where a story's events go: it remembers what it took, and is away at times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use kulta_controller::cdevents::EventSink;
use kulta_fetch::{CdEventHttp, Delivery};
use serde_json::Value;

/// Copies are the same place.
#[derive(Clone, Default)]
pub struct Place {
    pub away: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Place {
    /// How many events have come.
    #[must_use]
    pub fn count(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The events, in the order of their coming.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One life's way to it.
pub struct Way {
    pub place: Place,
    /// The process has died.
    pub dead: Arc<AtomicBool>,
}

impl EventSink for Way {
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            if self.dead.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            if self.place.away.load(Ordering::Relaxed) {
                return Delivery::Retry { after: None, why: "away".to_owned() };
            }
            match serde_json::from_slice(&event.body) {
                Ok(body) => self.place.taken.lock().unwrap_or_else(PoisonError::into_inner).push(body),
                Err(error) => return Delivery::Refused { why: error.to_string() },
            }
            Delivery::Accepted
        })
    }
}
