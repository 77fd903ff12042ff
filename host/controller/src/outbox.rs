//! Delivers the CDEvents that wait in the rollouts' outboxes: in order for each rollout, again until the sink takes them,
//! and never in the way of a rollout.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use kulta_api::{ContainerImage, OutboxEntry, Rollout, Time, TransitionKind, annotations};
use kulta_core::observed::{Observed, ReplicaSet};
use kulta_core::plan::EventKind;
use kulta_events::{CdEvent, Origin, Revision, RolloutId, Subject};
use kulta_fetch::{CdEventHttp, CloudEventsMode, Delivery, Sink};
use kulta_wasm::enricher as wit;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};

use crate::backoff::Backoff;
use crate::cluster::{Cluster, Refusal, refusal, words};
use crate::enrich::Enrichers;
use crate::image_digests;
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::removal;

/// Failures in a row until the Rollout is told that its events wait: some seconds.
const FAILURES_UNTIL_TOLD: u32 = 3;
/// Removals of rollouts whose events are on their way to the sink at a time.
const REMOVALS_AT_A_TIME: usize = 64;
/// Removals that may wait, those on their way included: a few hundred bytes each, and nothing but this process remembers them. More than
/// the rollouts of the largest clusters that are known.
const REMOVALS: usize = 20_000;
const SINK_UNAVAILABLE: &str = "EventSinkUnavailable";

/// Where events go.
pub trait EventSink: Send + Sync + 'static {
    /// Sends one event once.
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery>;
}

impl EventSink for Sink {
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery> {
        Box::pin(Self::deliver(self, event))
    }
}

/// Who tells, and to whom.
pub struct Teller {
    pub sink: Box<dyn EventSink>,
    pub origin: Origin,
    pub mode: CloudEventsMode,
}

pub struct Outbox {
    inner: Arc<Inner>,
    done: AsyncMutex<mpsc::UnboundedReceiver<Key>>,
}

struct Inner {
    teller: Option<Teller>,
    metrics: Arc<Metrics>,
    enrichers: Enrichers,
    recorder: Arc<Recorder>,
    memory: Arc<Memory>,
    report: mpsc::UnboundedSender<Key>,
    /// One for each removal that may wait.
    removals: Arc<Semaphore>,
    /// One for each removal that may be on its way.
    removing: Semaphore,
}

impl Outbox {
    #[must_use]
    pub fn new(
        teller: Option<Teller>,
        metrics: Arc<Metrics>,
        enrichers: Enrichers,
        recorder: Arc<Recorder>,
        memory: Arc<Memory>,
    ) -> Self {
        let (report, done) = mpsc::unbounded_channel();
        let (removals, removing) = (Arc::new(Semaphore::new(REMOVALS)), Semaphore::new(REMOVALS_AT_A_TIME));
        let inner = Inner { teller, metrics, enrichers, recorder, memory, report, removals, removing };
        Self { inner: Arc::new(inner), done: AsyncMutex::new(done) }
    }

    /// The next rollout whose events are delivered; its notes say how far.
    pub async fn delivered(&self) -> Option<Key> {
        self.done.lock().await.recv().await
    }

    /// Takes up what waits in a rollout's outbox, if no delivery of it is under way. One that has been deleted meanwhile has no outbox.
    pub fn offer(&self, key: &Key, observed: &Observed, cluster: &Cluster) {
        let Some(record) = observed.rollout.status.as_ref().and_then(|status| status.kulta.as_ref()) else { return };
        let uid = observed.rollout.metadata.uid.clone().unwrap_or_default();
        let waiting = self.inner.memory.note(&uid, |notes| {
            let waiting: Vec<OutboxEntry> =
                record.outbox.iter().filter(|entry| entry.seq > notes.delivered).cloned().collect();
            let last = waiting.last()?.seq;
            if self.inner.teller.is_none() {
                // Nobody listens: all of it counts as delivered. The channel lives as long as this.
                notes.delivered = last;
                let _ = self.inner.report.send(key.clone());
                return None;
            }
            let has = |hash: &str| observed.replica_sets.iter().any(|replica_set| replica_set.hash() == hash);
            notes.digests.retain(|hash, _| has(hash));
            (!std::mem::replace(&mut notes.delivering, true)).then_some(waiting)
        });
        let Some(waiting) = waiting.flatten() else { return };
        let batch = Batch {
            inner: Arc::clone(&self.inner),
            key: key.clone(),
            rollout: RolloutId { namespace: key.namespace.clone(), name: key.name.clone(), uid },
            strategy: observed
                .rollout
                .spec
                .strategy
                .plugin
                .as_ref()
                .map_or("canary".to_owned(), |plugin| plugin.name.clone()),
            own_annotations: observed.rollout.metadata.annotations.clone().unwrap_or_default(),
            template: observed.rollout.spec.template.clone(),
            current: current_hash(&observed.rollout),
            replicas: observed.rollout.spec.replicas(),
            max_weight: observed
                .rollout
                .spec
                .strategy
                .fields()
                .map_or(kulta_api::strategy::DEFAULT_MAX_WEIGHT, kulta_api::CanaryFields::max_weight),
            replica_sets: observed.replica_sets.clone(),
            cluster: cluster.clone(),
        };
        tokio::spawn(batch.deliver(waiting));
    }

    /// Tells, as well as it goes, that a rollout is gone: nothing is left to remember it by. One that another instance serves from now on
    /// is not gone.
    pub fn removed(&self, key: &Key, uid: &str, now: Timestamp, cluster: &Cluster) {
        if self.inner.teller.is_none() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.inner.removals).try_acquire_owned() else {
            tracing::error!(rollout = %key, "the removal is never reported: {REMOVALS} removals wait for the event sink");
            return self.inner.metrics.delivery("dropped");
        };
        let inner = Arc::clone(&self.inner);
        let rollout = RolloutId { namespace: key.namespace.clone(), name: key.name.clone(), uid: uid.to_owned() };
        let at = kulta_core::time::floor(now);
        let (key, cluster) = (key.clone(), cluster.clone());
        tokio::spawn(async move {
            // The semaphore lives as long as this task: it is never closed.
            let Ok(_on_its_way) = inner.removing.acquire().await else { return };
            // A removal that waits costs no more than what it says.
            let telling = Box::pin(async {
                if removal::is_deleted(&cluster, &key, &rollout.uid).await {
                    inner.tell_removed(&rollout, &at).await;
                }
            });
            telling.await;
            drop(permit);
        });
    }
}

impl Inner {
    async fn tell_removed(&self, rollout: &RolloutId, at: &Time) {
        let Some(teller) = &self.teller else { return };
        match teller.origin.service_removed(rollout, at) {
            Ok(event) => self.send(teller, &event, None).await,
            Err(error) => tracing::error!(rollout = rollout.name, "build the removal's event: {error}"),
        }
    }

    /// Sends one event until the sink has taken or refused it. The Rollout that it is about is told when that takes long.
    async fn send(&self, teller: &Teller, event: &CdEvent, about: Option<&Regarding>) {
        let http = match request(event, teller.mode) {
            Ok(http) => http,
            Err(error) => {
                tracing::error!(event = event.id, kind = event.event_type, "build an event's envelope: {error}");
                return self.metrics.delivery("unbuilt");
            }
        };
        let mut failures = 0;
        loop {
            match teller.sink.deliver(&http).await {
                Delivery::Accepted => return self.metrics.delivery("delivered"),
                Delivery::Refused { why } => {
                    tracing::error!(
                        event = event.id,
                        kind = event.event_type,
                        "the event sink refused an event for good: {why}"
                    );
                    return self.metrics.delivery("refused");
                }
                Delivery::Gone => {
                    tracing::error!(event = event.id, "the event sink wants no more events (410)");
                    return self.metrics.delivery("gone");
                }
                Delivery::Retry { after, why } => {
                    failures += 1;
                    self.metrics.delivery("retried");
                    if failures == 1 {
                        tracing::warn!(event = event.id, "the event sink takes no events, trying on: {why}");
                    } else {
                        tracing::debug!(event = event.id, failures, "the event sink takes no events: {why}");
                    }
                    if let (FAILURES_UNTIL_TOLD, Some(rollout)) = (failures, about) {
                        self.recorder.record(rollout, sink_unavailable(event, &why));
                    }
                    let delay = after.unwrap_or_else(|| Backoff::SINK.delay(failures, fastrand::f64));
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

fn request(event: &CdEvent, mode: CloudEventsMode) -> Result<CdEventHttp, Box<dyn std::error::Error>> {
    Ok(CdEventHttp::of(event.cloud_event()?, mode)?)
}

fn sink_unavailable(event: &CdEvent, why: &str) -> Message {
    Message {
        name: format!("{}.sink", event.id),
        kind: EventKind::Warning,
        reason: SINK_UNAVAILABLE,
        message: format!(
            "The event sink (--cdevents-sink) takes no events since {} {}: {why}; they wait and are sent once it does",
            event.event_type, event.id
        ),
    }
}

/// A revision's annotations, over those of its template.
fn known_annotations(revision: &Revision) -> BTreeMap<String, String> {
    let mut known = revision.template_annotations.clone();
    known.extend(revision.annotations.clone());
    known
}

/// Hash of the revision that the spec's template is; empty while the status speaks of an older spec.
fn current_hash(rollout: &Rollout) -> String {
    let generation = rollout.metadata.generation.unwrap_or_default().to_string();
    let status = rollout.status.as_ref().filter(|status| status.observed_generation == generation);
    status.map(|status| status.current_pod_hash.clone()).unwrap_or_default()
}

/// The entries of one rollout that are being delivered.
struct Batch {
    inner: Arc<Inner>,
    key: Key,
    rollout: RolloutId,
    strategy: String,
    own_annotations: BTreeMap<String, String>,
    template: kulta_api::PodTemplate,
    current: String,
    replicas: u32,
    max_weight: u32,
    replica_sets: Vec<Arc<ReplicaSet>>,
    cluster: Cluster,
}

impl Batch {
    async fn deliver(self, entries: Vec<OutboxEntry>) {
        let mut reached = 0;
        let rollout = Regarding { kind: Kind::Rollout, key: self.key.clone(), uid: self.rollout.uid.clone() };
        for entry in &entries {
            if let Some(teller) = &self.inner.teller {
                let subject = self.subject(entry).await;
                match teller.origin.event(entry, &subject) {
                    Ok(mut event) => {
                        let annotations = known_annotations(&subject.revision);
                        self.inner.enrichers.enrich(&mut event, &self.told_of(entry), &annotations).await;
                        self.inner.send(teller, &event, Some(&rollout)).await;
                    }
                    Err(error) => {
                        self.inner.metrics.delivery("unbuilt");
                        tracing::error!(rollout = %self.key, sequence = entry.seq, "build an event: {error}");
                    }
                }
            }
            reached = entry.seq;
        }
        self.inner.memory.note(&self.rollout.uid, |notes| {
            notes.delivered = notes.delivered.max(reached);
            notes.delivering = false;
        });
        // The receiver lives as long as the controller.
        let _ = self.inner.report.send(self.key);
    }

    /// What enrichers are told of the rollout: the event's revision in the canary's place.
    fn told_of(&self, entry: &OutboxEntry) -> wit::Rollout {
        let revision = |hash: &str| {
            let found = self.replica_sets.iter().find(|replica_set| replica_set.hash() == hash);
            found.map(|replica_set| wit::Revision {
                hash: hash.to_owned(),
                number: replica_set.revision(),
                desired: replica_set.replicas,
                created: replica_set.created_replicas,
                ready: replica_set.ready_replicas,
                available: replica_set.available_replicas,
            })
        };
        let unseen = || wit::Revision {
            hash: entry.hash.clone(),
            number: entry.revision.unwrap_or_default(),
            desired: 0,
            created: 0,
            ready: 0,
            available: 0,
        };
        wit::Rollout {
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            replicas: self.replicas,
            max_weight: self.max_weight,
            stable: entry.stable.as_deref().and_then(revision),
            canary: revision(&entry.hash).unwrap_or_else(unseen),
            others: Vec::new(),
            facts: Vec::new(),
        }
    }

    async fn subject(&self, entry: &OutboxEntry) -> Subject {
        let mut revision = self.revision(&entry.hash);
        let mut stable = entry.stable.as_ref().map(|hash| self.revision(hash));
        // Only the revision that serves has pods for sure, now and when the event is told again: elsewhere a digest that is found
        // in a pod would make another event of it.
        match entry.kind {
            TransitionKind::ServiceDeployed | TransitionKind::ServiceUpgraded => {
                self.find_digests(&entry.hash, &mut revision).await;
            }
            TransitionKind::ServiceRolledBack => {
                if let (Some(hash), Some(stable)) = (&entry.stable, &mut stable) {
                    self.find_digests(hash, stable).await;
                }
            }
            TransitionKind::Started
            | TransitionKind::Progressed
            | TransitionKind::Paused
            | TransitionKind::Resumed
            | TransitionKind::Promoted
            | TransitionKind::Finished
            | TransitionKind::AnalysisStarted
            | TransitionKind::MetricFinished
            | TransitionKind::AnalysisFinished => {}
        }
        Subject { rollout: self.rollout.clone(), strategy: self.strategy.clone(), revision, stable }
    }

    /// What is known of a revision: its ReplicaSet's copy of the annotations, or the Rollout's own while it has none yet.
    fn revision(&self, hash: &str) -> Revision {
        let found = self.replica_sets.iter().find(|replica_set| replica_set.hash() == hash);
        match found {
            Some(replica_set) => Revision {
                images: replica_set.template.images(),
                digests: BTreeMap::new(),
                annotations: replica_set.annotations.clone(),
                template_annotations: replica_set.template.annotations(),
            },
            None if hash == self.current => Revision {
                images: self.template.images(),
                digests: BTreeMap::new(),
                annotations: self.own_annotations.clone(),
                template_annotations: self.template.annotations(),
            },
            None => Revision::default(),
        }
    }

    /// Looks for the images' digests in a pod, when neither the images nor an annotation say them.
    async fn find_digests(&self, hash: &str, revision: &mut Revision) {
        let pinned = revision.images.iter().all(image_digests::is_pinned);
        let named = revision.annotations.contains_key(kulta_events::ARTIFACT_ID)
            || revision.template_annotations.contains_key(kulta_events::ARTIFACT_ID);
        if pinned || named {
            return;
        }
        revision.digests = self.digests(hash, &revision.images).await;
    }

    /// The digests of a revision's images by container, from one of its pods; asked for once.
    async fn digests(&self, hash: &str, images: &[ContainerImage]) -> BTreeMap<String, String> {
        let known = self.inner.memory.of(&self.rollout.uid).digests.get(hash).cloned();
        if let Some(known) = known {
            return known;
        }
        let labels = BTreeMap::from([(annotations::POD_TEMPLATE_HASH.to_owned(), hash.to_owned())]);
        let mut failures = 0;
        let pods = loop {
            match self.cluster.pods(&self.key.namespace, &labels, Some(1)).await {
                Ok(pods) => break pods,
                Err(error) if matches!(refusal(&error), Refusal::Trouble | Refusal::TooMany) => {
                    failures += 1;
                    tracing::debug!(rollout = %self.key, failures, "look up an image's digest: {}", words(&error));
                    tokio::time::sleep(Backoff::PASS.delay(failures, fastrand::f64)).await;
                }
                Err(error) => {
                    tracing::warn!(rollout = %self.key, "look up an image's digest: {}", words(&error));
                    return BTreeMap::new();
                }
            }
        };
        let digests = pods.first().map(|pod| image_digests::of_pod(&pod.json)).unwrap_or_default();
        // A pod that does not run yet will tell later.
        if image_digests::are_complete(&digests, images) {
            self.inner.memory.note(&self.rollout.uid, |notes| notes.digests.insert(hash.to_owned(), digests.clone()));
        }
        digests
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_that_the_status_does_not_speak_of_yet_is_no_revision() {
        let rollout = |observed: &str| -> Rollout {
            serde_json::from_value(json!({
                "metadata": { "name": "web", "generation": 2 },
                "spec": { "strategy": {} },
                "status": { "observedGeneration": observed, "currentPodHash": "abc" },
            }))
            .unwrap()
        };

        assert_eq!([current_hash(&rollout("1")), current_hash(&rollout("2"))], [String::new(), "abc".to_owned()]);
    }
}
