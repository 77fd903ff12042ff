//! Tells Kubernetes events beside the workers: a transition of one rollout does not wait until those of others are told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cluster::{Cluster, Refusal, refusal, words};
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{self, Message, Regarding};

/// Events that wait to be told; whoever has one more waits with it.
const WAITING: usize = 1024;
/// For the events that still wait when the controller stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub struct Recorder {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    sender: mpsc::Sender<Recorded>,
    receiver: Mutex<mpsc::Receiver<Recorded>>,
}

struct Recorded {
    object: Key,
    reason: &'static str,
    body: Value,
}

impl Recorder {
    #[must_use]
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { cluster, clock, sender, receiver: Mutex::new(receiver) }
    }

    /// The event's time is now, whenever it is told.
    pub async fn record(&self, regarding: &Regarding, event: Message) {
        self.record_at(regarding, event, self.clock.now()).await;
    }

    /// The event's time is `at`.
    pub async fn record_at(&self, regarding: &Regarding, event: Message, at: Timestamp) {
        let body = kube_events::body(regarding, &event, at);
        let recorded = Recorded { object: regarding.key.clone(), reason: event.reason, body };
        if self.sender.send(recorded).await.is_err() {
            tracing::warn!(object = %regarding.key, reason = event.reason, "a Kubernetes event came too late to be told");
        }
    }

    /// Tells one after the other, in the order in which they were recorded, until `stop`; then those that still wait.
    pub async fn run(&self, stop: CancellationToken) {
        let mut receiver = self.receiver.lock().await;
        loop {
            tokio::select! {
                recorded = receiver.recv() => match recorded {
                    Some(recorded) => self.tell(recorded).await,
                    None => return,
                },
                () = stop.cancelled() => break,
            }
        }
        receiver.close();
        let rest = async {
            while let Some(recorded) = receiver.recv().await {
                self.tell(recorded).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, rest).await.is_err() {
            tracing::warn!("some Kubernetes events were not told before the end");
        }
    }

    async fn tell(&self, recorded: Recorded) {
        let Recorded { object, reason, body } = recorded;
        if let Err(error) = self.cluster.create(Kind::Event, kube_events::namespace(&object), &body, false).await
            && refusal(&error) != Refusal::Conflict
        {
            tracing::warn!(%object, reason, "tell a Kubernetes event: {}", words(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use kube::Client;
    use kube::client::Body;
    use kulta_core::plan::EventKind;
    use tower::service_fn;

    use super::*;
    use crate::clock::VirtualClock;
    use crate::metrics::Metrics;

    /// A recorder whose API server takes a while for each event, and the names of the events that it has taken.
    fn recorder(delay: Duration) -> (Arc<Recorder>, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&told);
        let service = service_fn(move |request: http::Request<Body>| {
            let taken = Arc::clone(&taken);
            async move {
                tokio::time::sleep(delay).await;
                let body = request.into_body().collect_bytes().await.unwrap();
                let event: Value = serde_json::from_slice(&body).unwrap();
                taken.lock().unwrap().push(event["metadata"]["name"].as_str().unwrap().to_owned());
                Ok::<_, Infallible>(http::Response::new(Body::from(event.to_string().into_bytes())))
            }
        });
        let cluster = Cluster::new(Client::new(service, "ns"), Arc::new(Metrics::default()));
        let clock = Arc::new(VirtualClock::start(Timestamp::from_second(1_800_000_000).unwrap()));
        (Arc::new(Recorder::new(cluster, clock)), told)
    }

    fn web() -> Regarding {
        Regarding { kind: Kind::Rollout, key: Key::new("ns", "web"), uid: "u".into() }
    }

    fn event(name: &str) -> Message {
        Message { name: name.into(), kind: EventKind::Normal, reason: "RolloutPaused", message: "paused".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn who_records_an_event_does_not_wait_until_it_is_told() {
        let (recorder, told) = recorder(Duration::from_secs(1));
        let (running, stop) = (Arc::clone(&recorder), CancellationToken::new());
        let run = tokio::spawn(async move { running.run(stop).await });
        let began = tokio::time::Instant::now();

        recorder.record(&web(), event("1")).await;

        assert_eq!((began.elapsed(), told.lock().unwrap().len()), (Duration::ZERO, 0));
        run.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_when_the_controller_stops_is_told_in_order() {
        let (recorder, told) = recorder(Duration::from_millis(100));
        for name in ["1", "2", "3"] {
            recorder.record(&web(), event(name)).await;
        }
        let stop = CancellationToken::new();
        stop.cancel();

        recorder.run(stop).await;

        assert_eq!(*told.lock().unwrap(), ["web.1", "web.2", "web.3"]);
    }
}
