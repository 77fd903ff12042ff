//! What a CDEvent tells of a rollout and its revisions beyond the stored transition.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::Client;
use kulta_api::{OutboxEntry, RolloutStrategy, TransitionKind};
use kulta_core::observed::ReplicaSet;
use kulta_events::{ARTIFACT_ID, Revision, RolloutId, Subject, digest_from_image_id};

use crate::caches::Caches;
use crate::decode::Decoded;
use crate::key::Key;
use crate::look_up::image_id;

/// The digests of revisions that name none: looked up once each.
#[derive(Debug, Default)]
pub struct Subjects {
    /// Rollout uid and revision hash → what was found.
    digests: Mutex<HashMap<(String, String), Option<String>>>,
}

impl Subjects {
    pub async fn subject(
        &self,
        caches: &Caches,
        client: &Client,
        key: &Key,
        uid: &str,
        entry: &OutboxEntry,
    ) -> Subject {
        let mut subject = cached_subject(caches, key, uid, entry);
        // Only what is serving has pods for certain, today as after a restart: so a redelivered event is the same.
        let serving = match entry.kind {
            TransitionKind::ServiceDeployed | TransitionKind::ServiceUpgraded => {
                Some((&mut subject.revision, entry.hash.as_str()))
            }
            TransitionKind::ServiceRolledBack => subject.stable.as_mut().zip(entry.stable.as_deref()),
            TransitionKind::Started
            | TransitionKind::Progressed
            | TransitionKind::Paused
            | TransitionKind::Resumed
            | TransitionKind::Promoted
            | TransitionKind::Finished => None,
        };
        if let Some((revision, hash)) = serving
            && needs_digest(revision)
        {
            revision.digest = self.digest(client, key, uid, hash).await;
        }
        subject
    }

    pub fn forget(&self, uid: &str) {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).retain(|(owner, _), _| owner != uid);
    }

    async fn digest(&self, client: &Client, key: &Key, uid: &str, hash: &str) -> Option<String> {
        let revision = (uid.to_owned(), hash.to_owned());
        if let Some(known) = self.digests.lock().unwrap_or_else(PoisonError::into_inner).get(&revision) {
            return known.clone();
        }
        let digest = match image_id(client, &key.namespace, hash).await {
            Ok(image_id) => image_id.and_then(|image_id| digest_from_image_id(&image_id)),
            Err(error) => {
                tracing::warn!(rollout = %key, %error, "find an image's digest; the CDEvent names the tag only");
                None
            }
        };
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(revision, digest.clone());
        digest
    }
}

fn cached_subject(caches: &Caches, key: &Key, uid: &str, entry: &OutboxEntry) -> Subject {
    let contents = caches.read();
    let revision_of = |hash: &str| {
        let mut sets = contents.index.replica_sets(uid).filter_map(|key| contents.replica_sets.get(key));
        sets.find(|cached| cached.replica_set.hash() == hash).map(|cached| revision(&cached.replica_set))
    };
    let strategy = match contents.rollouts.get(key).map(|cached| &cached.decoded) {
        Some(Decoded::Rollout { rollout, .. }) => strategy_name(&rollout.spec.strategy),
        Some(Decoded::Undecodable { .. }) | None => String::new(),
    };
    Subject {
        rollout: RolloutId { namespace: key.namespace.clone(), name: key.name.clone(), uid: uid.to_owned() },
        strategy,
        revision: revision_of(&entry.hash).unwrap_or_default(),
        stable: entry.stable.as_deref().map(|hash| revision_of(hash).unwrap_or_default()),
    }
}

fn strategy_name(strategy: &RolloutStrategy) -> String {
    match &strategy.plugin {
        Some(plugin) => plugin.name.clone(),
        None => "canary".to_owned(),
    }
}

fn revision(replica_set: &ReplicaSet) -> Revision {
    Revision {
        number: Some(replica_set.revision()).filter(|number| *number > 0),
        image: replica_set.template.images().first().map(|image| (*image).to_owned()),
        digest: None,
        annotations: replica_set.annotations.clone(),
        template_annotations: replica_set.template.annotations(),
    }
}

fn needs_digest(revision: &Revision) -> bool {
    let named = revision.annotations.contains_key(ARTIFACT_ID) || revision.template_annotations.contains_key(ARTIFACT_ID);
    !named && revision.image.as_deref().is_some_and(|image| !image.contains('@'))
}
