//! The sink of a scenario's events: it keeps what it receives, and is unavailable at times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use kulta_controller::cdevents::EventSink;
use kulta_fetch::{CdEventHttp, Delivery};
use serde_json::Value;

/// Clones are the same sink.
#[derive(Clone, Default)]
pub struct Sink {
    pub unavailable: Arc<AtomicBool>,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Sink {
    /// The number of events received.
    #[must_use]
    pub fn count(&self) -> usize {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The events in the order in which they were received.
    #[must_use]
    pub fn received(&self) -> Vec<Value> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The client of one process.
pub struct SinkClient {
    pub sink: Sink,
    /// The process has exited.
    pub exited: Arc<AtomicBool>,
}

impl EventSink for SinkClient {
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            if self.exited.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            if self.sink.unavailable.load(Ordering::Relaxed) {
                return Delivery::Retry { after: None, why: "unavailable".to_owned() };
            }
            match serde_json::from_slice(&event.body) {
                Ok(body) => self.sink.received.lock().unwrap_or_else(PoisonError::into_inner).push(body),
                Err(error) => return Delivery::Refused { why: error.to_string() },
            }
            Delivery::Accepted
        })
    }
}
