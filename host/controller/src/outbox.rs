//! Delivers stored transitions as CDEvents: at least once, in order for each rollout, never in a rollout's way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::Client;
use kulta_api::{OutboxEntry, Time};
use kulta_events::{CdEvent, Origin, RolloutId};
use kulta_fetch::{CdEventHttp, Delivery, Sink};
use serde::Deserialize;
use serde_json::Value;

use crate::backoff::{Backoff, Random};
use crate::caches::Caches;
use crate::clock::{self, Clock};
use crate::decode::Decoded;
use crate::key::Key;
use crate::look_up::rollout_exists;
use crate::metrics::{Metrics, Told};
use crate::queue::{Outcome, Queue};
use crate::subject::Subjects;

/// Attempts to tell of a deleted rollout, which nothing stores.
const REMOVAL_ATTEMPTS: u32 = 5;

/// Where events go.
#[async_trait]
pub trait EventSink: Send + Sync + 'static {
    async fn deliver(&self, event: &CdEventHttp) -> Delivery;
}

#[async_trait]
impl EventSink for Sink {
    async fn deliver(&self, event: &CdEventHttp) -> Delivery {
        Self::deliver(self, event).await
    }
}

/// The teller of events and who listens.
pub struct Listener {
    pub origin: Origin,
    pub sink: Arc<dyn EventSink>,
}

pub struct Outbox {
    /// `None`: nobody listens, and all counts as delivered.
    pub listener: Option<Listener>,
    pub caches: Arc<Caches>,
    pub client: Client,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub random: Random,
    pub subjects: Subjects,
    /// Rollouts with something to deliver.
    pub queue: Queue,
    /// Where a rollout asks for a turn once all is delivered.
    pub rollouts: Arc<Queue>,
    pub state: Mutex<State>,
}

#[derive(Debug, Default)]
pub struct State {
    known: HashMap<Key, Known>,
    /// The sink has said that it wants no more.
    closed: bool,
}

#[derive(Debug, Default)]
struct Known {
    uid: String,
    /// All up to this sequence are delivered.
    delivered: u64,
    /// Entries that no object keeps, oldest first.
    remembered: Vec<OutboxEntry>,
    /// The event at hand, so that an attempt more sends the same bytes.
    at_hand: Option<(u64, CdEventHttp)>,
}

impl Outbox {
    /// All up to this sequence need no keeping.
    #[must_use]
    pub fn delivered(&self, key: &Key, uid: &str) -> u64 {
        let state = self.lock();
        if self.listener.is_none() || state.closed {
            return u64::MAX;
        }
        state.known.get(key).filter(|known| known.uid == uid).map_or(0, |known| known.delivered)
    }

    /// Has what the cached rollout holds delivered.
    pub fn look(&self, key: &Key, uid: &str) {
        if self.listener.is_some() && self.next(key, uid).is_some() {
            self.queue.add(key.clone());
        }
    }

    /// Has what a record holds delivered, which the object does not keep.
    pub fn remember(&self, key: &Key, uid: &str, record: &Value) {
        if self.listener.is_none() {
            return;
        }
        let entries = record.get("outbox").and_then(|entries| Vec::<OutboxEntry>::deserialize(entries).ok());
        let entries = entries.unwrap_or_default();
        if entries.is_empty() {
            return;
        }
        self.lock().known_mut(key, uid).remembered = entries;
        self.queue.add(key.clone());
    }

    /// Serves the queue until it is closed.
    pub async fn work(&self) {
        while let Some(key) = self.queue.next().await {
            let outcome = self.deliver_all(&key).await;
            self.queue.finish(&key, outcome);
        }
    }

    async fn deliver_all(&self, key: &Key) -> Outcome {
        let Some(listener) = &self.listener else { return Outcome::Done { wake_up: None } };
        let mut any = false;
        while let Some((uid, entry)) = self.cached_uid(key).and_then(|uid| Some((uid.clone(), self.next(key, &uid)?))) {
            if self.lock().closed {
                break;
            }
            let Some(event) = self.event(listener, key, &uid, &entry).await else {
                self.settle(key, &uid, entry.seq);
                any = true;
                continue;
            };
            match listener.sink.deliver(&event).await {
                Delivery::Accepted => self.metrics.cd_event(Told::Accepted),
                Delivery::Refused { why } => {
                    tracing::error!(rollout = %key, sequence = entry.seq, why, "the event sink refuses a CDEvent; it is dropped");
                    self.metrics.cd_event(Told::Refused);
                }
                Delivery::Gone => {
                    tracing::error!("the event sink wants no more events (HTTP 410); none is sent until KULTA is restarted");
                    self.metrics.cd_event(Told::Refused);
                    self.lock().closed = true;
                }
                Delivery::Retry { after, why } => {
                    tracing::warn!(rollout = %key, sequence = entry.seq, why, "the event sink cannot take a CDEvent now");
                    self.metrics.cd_event(Told::Retried);
                    return Outcome::Failed { not_before: after.map(|after| self.later(after)) };
                }
            }
            self.settle(key, &uid, entry.seq);
            any = true;
        }
        if any {
            self.rollouts.add(key.clone());
        }
        Outcome::Done { wake_up: None }
    }

    /// The event of an entry; `None` when it cannot be told.
    async fn event(&self, listener: &Listener, key: &Key, uid: &str, entry: &OutboxEntry) -> Option<CdEventHttp> {
        if let Some((seq, event)) = &self.lock().known_mut(key, uid).at_hand
            && *seq == entry.seq
        {
            return Some(event.clone());
        }
        let subject = self.subjects.subject(&self.caches, &self.client, key, uid, entry).await;
        match listener.origin.event(entry, &subject) {
            Ok(event) => {
                let event = http(&event);
                self.lock().known_mut(key, uid).at_hand = Some((entry.seq, event.clone()));
                Some(event)
            }
            Err(error) => {
                tracing::error!(rollout = %key, sequence = entry.seq, %error, "write a CDEvent; it is dropped");
                self.metrics.cd_event(Told::Dropped);
                None
            }
        }
    }

    fn settle(&self, key: &Key, uid: &str, sequence: u64) {
        let mut state = self.lock();
        let known = state.known_mut(key, uid);
        known.delivered = sequence;
        known.at_hand = None;
    }

    fn cached_uid(&self, key: &Key) -> Option<String> {
        self.caches.read().rollouts.get(key).map(|cached| cached.uid.clone())
    }

    /// The oldest entry that has not been delivered.
    fn next(&self, key: &Key, uid: &str) -> Option<OutboxEntry> {
        let stored = match &self.caches.read().rollouts.get(key)?.decoded {
            Decoded::Rollout { rollout, .. } => {
                let record = rollout.status.as_ref().and_then(|status| status.kulta.as_ref());
                record.map(|record| record.outbox.clone())
            }
            Decoded::Undecodable { .. } => None,
        };
        let mut state = self.lock();
        let known = state.known_mut(key, uid);
        let entries = stored.as_ref().unwrap_or(&known.remembered);
        entries.iter().find(|entry| entry.seq > known.delivered).cloned()
    }

    /// Tells that a rollout is gone, if it is: an object that merely left this instance's care still exists.
    pub async fn removed(&self, key: &Key, uid: &str) {
        self.lock().known.retain(|known, state| known != key || state.uid != uid);
        self.subjects.forget(uid);
        let Some(listener) = &self.listener else { return };
        if !matches!(rollout_exists(&self.client, &key.namespace, &key.name, uid).await, Ok(false)) {
            return;
        }
        let rollout = RolloutId { namespace: key.namespace.clone(), name: key.name.clone(), uid: uid.to_owned() };
        let event = match listener.origin.service_removed(&rollout, &Time(self.clock.now())) {
            Ok(event) => http(&event),
            Err(error) => {
                tracing::error!(rollout = %key, %error, "write the CDEvent of a removed rollout");
                return;
            }
        };
        for attempt in 1..=REMOVAL_ATTEMPTS {
            match listener.sink.deliver(&event).await {
                Delivery::Accepted => return self.metrics.cd_event(Told::Accepted),
                Delivery::Retry { after, .. } => {
                    self.metrics.cd_event(Told::Retried);
                    self.clock.sleep(after.unwrap_or_else(|| Backoff::SINK.delay(attempt, self.random))).await;
                }
                Delivery::Refused { .. } | Delivery::Gone => break,
            }
        }
        tracing::warn!(rollout = %key, "the event sink was not told that the rollout is gone");
        self.metrics.cd_event(Told::Dropped);
    }

    fn later(&self, after: Duration) -> Timestamp {
        clock::after(self.clock.now(), after)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known_mut(&mut self, key: &Key, uid: &str) -> &mut Known {
        let known = self.known.entry(key.clone()).or_default();
        if known.uid != uid {
            *known = Known { uid: uid.to_owned(), ..Known::default() };
        }
        known
    }
}

fn http(event: &CdEvent) -> CdEventHttp {
    CdEventHttp {
        headers: event.headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: event.bytes().into(),
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
