//! Posts Kubernetes events beside everything else: recording an event never waits, neither for room nor for the API server.

mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api_error::{ApiErrorClass, error_message};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::kube_events::{Message, Regarding};
use crate::metrics::Metrics;
use waiting::{Recorded, Waiting};

/// Events that may wait to be posted, a few hundred bytes each: those of a fleet of 500 that is upgraded at once wait here for some seconds.
const ROOM: usize = 2_048;
/// Events that are posted at a time. An API server that takes 25 ms for each then takes 320 a second, more than a fleet of 500 has while it
/// is upgraded within a minute; and eight requests are no burden beside those of the workers.
const POSTS_AT_A_TIME: usize = 8;
/// Posts of one event until it is given up. With the waits of [`Backoff::EVENT`] between them, an API server that restarts is back by then.
const ATTEMPTS: u32 = 5;
/// For the events that still wait when the controller stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub struct Recorder {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    waiting: Waiting,
    /// The controller has stopped: nothing is posted any more.
    closed: bool,
}

impl Recorder {
    #[must_use]
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let state = State { waiting: Waiting::with_room_for(ROOM), closed: false };
        Self { cluster, clock, metrics, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Hands an event over to be posted. Its time is now, whenever it is posted.
    pub fn record(&self, regarding: &Regarding, event: Message) {
        self.record_at(regarding, event, self.clock.now());
    }

    /// Hands over an event of this time.
    pub fn record_at(&self, regarding: &Regarding, event: Message, at: Timestamp) {
        let recorded = Recorded { regarding: regarding.clone(), event, at };
        let dropped = {
            let mut state = self.state();
            if state.closed { Some(recorded) } else { state.waiting.add(recorded) }
        };
        if let Some(dropped) = dropped {
            self.drop_event(&dropped);
        }
        self.changed.notify_one();
    }

    /// Posts several events at a time, those of one object in the order in which they were recorded, until `stop`; then those that still
    /// wait.
    pub async fn run(&self, stop: CancellationToken) {
        // Posts of a run that panicked are gone: their objects may have the next ones posted.
        self.state().waiting.none_out();
        let mut posts = FuturesUnordered::new();
        loop {
            posts.extend(self.next_posts(posts.len()));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(()) = posts.next() => {}
                () = self.changed.notified() => {}
            }
        }
        let rest = async {
            loop {
                posts.extend(self.next_posts(posts.len()));
                if posts.next().await.is_none() {
                    return;
                }
            }
        };
        let all_posted = tokio::time::timeout(LAST_WORDS, rest).await.is_ok();
        self.state().closed = true;
        if !all_posted {
            tracing::warn!("some Kubernetes events are not posted: the controller stops");
        }
    }

    /// Begins as many posts as there is room for beside those that are under way.
    fn next_posts(&self, under_way: usize) -> Vec<impl Future<Output = ()>> {
        let mut state = self.state();
        let room = POSTS_AT_A_TIME.saturating_sub(under_way);
        std::iter::from_fn(|| state.waiting.take()).take(room).map(|recorded| self.post(recorded)).collect()
    }

    /// Posts an event, and tries again a few times while the API server cannot be reached or is too busy. Its object's next events wait.
    async fn post(&self, recorded: Recorded) {
        let Recorded { regarding, event, at } = &recorded;
        let mut failures = 0;
        let failed = loop {
            let Err(error) = self.cluster.post_event(regarding, event, *at).await else { break None };
            let class = ApiErrorClass::of(&error);
            if class == ApiErrorClass::Conflict {
                break None;
            }
            failures += 1;
            let may_pass = matches!(class, ApiErrorClass::Transient | ApiErrorClass::TooMany);
            if !may_pass || failures >= ATTEMPTS {
                break Some((error, may_pass));
            }
            tokio::time::sleep(Backoff::EVENT.delay(failures, fastrand::f64)).await;
        };
        if let Some((error, may_pass)) = failed {
            tracing::warn!(
                object = %regarding.key,
                reason = event.reason,
                failures,
                "post a Kubernetes event: {}",
                error_message(&error)
            );
            if may_pass {
                self.metrics.kubernetes_event_dropped(event.kind);
            }
        }
        self.state().waiting.posted(&regarding.uid);
    }

    fn drop_event(&self, dropped: &Recorded) {
        self.metrics.kubernetes_event_dropped(dropped.event.kind);
        tracing::debug!(
            object = %dropped.regarding.key,
            reason = dropped.event.reason,
            "a Kubernetes event is dropped: more of them wait than the API server takes"
        );
    }

    /// A panic while the lock was held leaves at worst an object whose events wait until the next start.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "recorder/recorder_tests.rs"]
mod tests;
