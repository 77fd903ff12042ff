//! The delivery of one rollout's events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kulta_api::{ContainerImage, OutboxEntry, Rollout, RolloutStrategy, TransitionKind, annotations};
use kulta_core::decision::{self, BLUE_GREEN_PLUGIN, CANARY_PLUGIN};
use kulta_core::observed::Observed;
use kulta_core::workload;
use kulta_events::{Revision, RolloutId, Subject};
use kulta_wasm::enricher as wit;

use super::enrich::Enrichers;
use super::image_digests;
use super::publisher::{Publisher, Reports};
use crate::api_error::{ApiErrorClass, error_message};
use crate::backoff::Backoff;
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::Regarding;
use crate::local_state::LocalStates;
use crate::wit_rollout::{self, RolloutView};

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

/// What the deliveries of all rollouts work with.
pub struct Deliveries {
    pub publisher: Publisher,
    pub enrichers: Enrichers,
    pub local: Arc<LocalStates>,
    pub cluster: Cluster,
    pub reports: Reports,
}

/// The entries of one rollout that are being delivered, in order.
pub struct Batch {
    deliveries: Arc<Deliveries>,
    entries: Vec<OutboxEntry>,
    /// The sequence of the last one that is delivered: a delivery that begins anew goes on after it.
    delivered: AtomicU64,
    key: Key,
    rollout: RolloutId,
    strategy: String,
    own_annotations: BTreeMap<String, String>,
    template: kulta_api::PodTemplate,
    current: String,
    replicas: u32,
    max_weight: u32,
    revisions: Vec<Arc<workload::Revision>>,
}

impl Batch {
    #[must_use]
    pub fn new(deliveries: Arc<Deliveries>, key: &Key, observed: &Observed, entries: Vec<OutboxEntry>) -> Self {
        let rollout = &observed.rollout;
        let strategy = &rollout.spec.strategy;
        Self {
            deliveries,
            entries,
            delivered: AtomicU64::new(0),
            key: key.clone(),
            rollout: RolloutId {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                uid: rollout.metadata.uid.clone().unwrap_or_default(),
            },
            strategy: strategy_name(strategy).to_owned(),
            own_annotations: rollout.metadata.annotations.clone().unwrap_or_default(),
            template: rollout.spec.template.clone(),
            current: current_hash(rollout),
            replicas: rollout.spec.replicas(),
            max_weight: strategy
                .fields()
                .map_or(kulta_api::strategy::DEFAULT_MAX_WEIGHT, kulta_api::CanaryFields::max_weight),
            revisions: observed.revisions.clone(),
        }
    }

    /// The sequence of the last event that is delivered.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub async fn deliver(&self) {
        let Deliveries { publisher, enrichers, reports, .. } = &*self.deliveries;
        let rollout = Regarding { kind: Kind::Rollout, key: self.key.clone(), uid: self.rollout.uid.clone() };
        for entry in self.entries.iter().filter(|entry| entry.seq > self.delivered()) {
            let subject = self.subject(entry).await;
            match publisher.origin.event(entry, &subject) {
                Ok(mut event) => {
                    let annotations = known_annotations(&subject.revision);
                    enrichers.enrich(&mut event, &self.rollout_of(entry), &annotations).await;
                    publisher.send(&event, Some(&rollout), reports).await;
                }
                Err(error) => {
                    reports.metrics.delivery("unbuilt");
                    tracing::error!(rollout = %self.key, sequence = entry.seq, "build an event: {error}");
                }
            }
            self.delivered.store(entry.seq, Ordering::Relaxed);
        }
    }

    /// The rollout for enrichers: the event's revision is in the canary's place.
    fn rollout_of(&self, entry: &OutboxEntry) -> wit::Rollout {
        let revision = |hash: &str| wit_rollout::revision(hash, self.revisions.iter().map(AsRef::as_ref));
        let unknown = || decision::RevisionState {
            hash: entry.hash.clone(),
            number: entry.revision.unwrap_or_default(),
            ..decision::RevisionState::default()
        };
        let (stable, canary) =
            (entry.stable.as_deref().and_then(revision), revision(&entry.hash).unwrap_or_else(unknown));
        let view = RolloutView {
            namespace: &self.key.namespace,
            name: &self.key.name,
            replicas: self.replicas,
            max_weight: self.max_weight,
            stable: stable.as_ref(),
            canary: &canary,
            others: &[],
        };
        view.to_wit()
    }

    async fn subject(&self, entry: &OutboxEntry) -> Subject {
        let mut revision = self.revision(&entry.hash);
        let mut stable = entry.stable.as_ref().map(|hash| self.revision(hash));
        // Only the revision that serves has pods for sure, now and when the event is sent again: elsewhere a digest that is found
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
        let found = self.revisions.iter().find(|replica_set| replica_set.hash() == hash);
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
        let known = self.deliveries.local.of(&self.rollout.uid).digests.get(hash).cloned();
        if let Some(known) = known {
            return known;
        }
        let labels = BTreeMap::from([(annotations::POD_TEMPLATE_HASH.to_owned(), hash.to_owned())]);
        let mut failures = 0;
        let pods = loop {
            match self.deliveries.cluster.pods(&self.key.namespace, &labels, Some(1)).await {
                Ok(pods) => break pods,
                Err(error)
                    if matches!(ApiErrorClass::of(&error), ApiErrorClass::Transient | ApiErrorClass::TooMany) =>
                {
                    failures += 1;
                    tracing::debug!(rollout = %self.key, failures, "look up an image's digest: {}", error_message(&error));
                    tokio::time::sleep(Backoff::RECONCILIATION.delay(failures, fastrand::f64)).await;
                }
                Err(error) => {
                    tracing::warn!(rollout = %self.key, "look up an image's digest: {}", error_message(&error));
                    return BTreeMap::new();
                }
            }
        };
        let digests = pods.first().map(|pod| image_digests::of_pod(&pod.json)).unwrap_or_default();
        // A pod that does not run yet has them later.
        if image_digests::are_complete(&digests, images) {
            self.deliveries
                .local
                .change(&self.rollout.uid, |state| state.digests.insert(hash.to_owned(), digests.clone()));
        }
        digests
    }
}

/// The strategy as events name it.
fn strategy_name(strategy: &RolloutStrategy) -> &str {
    match (&strategy.canary, &strategy.plugin, &strategy.blue_green) {
        (None, Some(plugin), _) => &plugin.name,
        (None, None, Some(_)) => BLUE_GREEN_PLUGIN,
        _ => CANARY_PLUGIN,
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
