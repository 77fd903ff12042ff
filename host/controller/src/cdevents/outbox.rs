//! Takes up the events that wait in the rollouts' outboxes, and the removals of rollouts.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::OutboxEntry;
use kulta_core::observed::Observed;
use kulta_events::RolloutId;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};

use super::delivery::{Batch, Deliveries};
use super::enrich::Enrichers;
use super::publisher::{Publisher, Reports};
use super::removal;
use crate::cluster::Cluster;
use crate::health::Task;
use crate::key::Key;
use crate::local_state::LocalStates;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::supervisor::Supervisor;

/// Removals of rollouts whose events are on their way to the sink at a time.
const REMOVALS_AT_A_TIME: usize = 64;
/// Removals that may wait, those on their way included: a few hundred bytes each, and only this process knows of them. More than the
/// rollouts of the largest known clusters.
const REMOVALS: usize = 20_000;

pub struct Outbox {
    /// None if no events are sent.
    deliveries: Option<Arc<Deliveries>>,
    cluster: Cluster,
    metrics: Arc<Metrics>,
    local: Arc<LocalStates>,
    supervisor: Supervisor,
    report: mpsc::UnboundedSender<Key>,
    reports: AsyncMutex<mpsc::UnboundedReceiver<Key>>,
    /// One for each removal that may wait.
    removals: Arc<Semaphore>,
    /// One for each removal that may be on its way.
    removing: Arc<Semaphore>,
}

/// What an outbox is made of.
pub struct OutboxParts {
    /// None if no events are sent.
    pub publisher: Option<Publisher>,
    pub enrichers: Enrichers,
    pub cluster: Cluster,
    pub metrics: Arc<Metrics>,
    pub recorder: Arc<Recorder>,
    pub local: Arc<LocalStates>,
    pub supervisor: Supervisor,
}

impl Outbox {
    #[must_use]
    pub fn new(parts: OutboxParts) -> Self {
        let OutboxParts { publisher, enrichers, cluster, metrics, recorder, local, supervisor } = parts;
        let (report, reports) = mpsc::unbounded_channel();
        let deliveries = publisher.map(|publisher| {
            Arc::new(Deliveries {
                publisher,
                enrichers,
                local: Arc::clone(&local),
                cluster: cluster.clone(),
                reports: Reports { metrics: Arc::clone(&metrics), recorder },
            })
        });
        Self {
            deliveries,
            cluster,
            metrics,
            local,
            supervisor,
            report,
            reports: AsyncMutex::new(reports),
            removals: Arc::new(Semaphore::new(REMOVALS)),
            removing: Arc::new(Semaphore::new(REMOVALS_AT_A_TIME)),
        }
    }

    /// The next rollout whose events are delivered; its local state says how far.
    pub async fn delivered(&self) -> Option<Key> {
        self.reports.lock().await.recv().await
    }

    /// Takes up what waits in a rollout's outbox, if no delivery of it is under way. A rollout that has been deleted meanwhile has no
    /// outbox.
    pub fn offer(&self, key: &Key, observed: &Observed) {
        let Some(record) = observed.rollout.status.as_ref().and_then(|status| status.kulta.as_ref()) else { return };
        let uid = observed.rollout.metadata.uid.clone().unwrap_or_default();
        let waiting = self.local.change(&uid, |state| {
            let waiting: Vec<OutboxEntry> =
                record.outbox.iter().filter(|entry| entry.seq > state.delivered).cloned().collect();
            let last = waiting.last()?.seq;
            if self.deliveries.is_none() {
                // No events are sent: all of them count as delivered. The channel lives as long as this.
                state.delivered = last;
                let _ = self.report.send(key.clone());
                return None;
            }
            let has = |hash: &str| observed.revisions.iter().any(|replica_set| replica_set.hash() == hash);
            state.digests.retain(|hash, _| has(hash));
            (!std::mem::replace(&mut state.delivering, true)).then_some(waiting)
        });
        let (Some(deliveries), Some(waiting)) = (&self.deliveries, waiting.flatten()) else { return };
        let batch = Batch::new(Arc::clone(deliveries), key, observed, waiting);
        let (supervisor, local) = (self.supervisor.clone(), Arc::clone(&self.local));
        let (report, key) = (self.report.clone(), key.clone());
        tokio::spawn(async move {
            supervisor.complete(Task::EventDelivery, || batch.deliver()).await;
            local.change(&uid, |state| {
                state.delivered = state.delivered.max(batch.delivered());
                state.delivering = false;
            });
            // The receiver lives as long as the controller.
            let _ = report.send(key);
        });
    }

    /// Sends, if it can, the event that a rollout is removed: nothing of the rollout is left that could remember it. A rollout that another
    /// instance serves from now on is not removed.
    pub fn removed(&self, key: &Key, uid: &str, now: Timestamp) {
        let Some(deliveries) = &self.deliveries else { return };
        let Ok(permit) = Arc::clone(&self.removals).try_acquire_owned() else {
            tracing::error!(rollout = %key, "no event is sent for the removal: {REMOVALS} removals wait for the event sink");
            return self.metrics.delivery("dropped");
        };
        let rollout = RolloutId { namespace: key.namespace.clone(), name: key.name.clone(), uid: uid.to_owned() };
        let at = kulta_core::time::floor(now);
        let (key, cluster, deliveries) = (key.clone(), self.cluster.clone(), Arc::clone(deliveries));
        let removing = Arc::clone(&self.removing);
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(_on_its_way) = removing.acquire().await else { return };
            // Boxed, so that a removal that waits costs no more than its names.
            let sent = Box::pin(async {
                if removal::is_deleted(&cluster, &key, &rollout.uid).await {
                    let Deliveries { publisher, reports, .. } = &*deliveries;
                    match publisher.origin.service_removed(&rollout, &at) {
                        Ok(event) => publisher.send(&event, None, reports).await,
                        Err(error) => tracing::error!(rollout = rollout.name, "build the removal's event: {error}"),
                    }
                }
            });
            sent.await;
            drop(permit);
        });
    }
}
