//! Carries out a plan: the status first, then the writes in order, each followed by its event. What fails ends it, and the rollout is
//! looked at again: nothing here depends on what an earlier attempt got done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kulta_core::Plan;
use kulta_core::observed::RouteWrite;
use kulta_core::plan::{Action, GATHER_MILLIS, StatusPatch};
use serde_json::{Value, json};

use crate::backoff::{Backoff, Random};
use crate::caches::{Caches, Watched};
use crate::clock::{self, Clock};
use crate::decode::{Decoded, controlling_rollout};
use crate::key::Key;
use crate::kube_events::{About, KubeEvents};
use crate::look_up::{self, LookUpError};
use crate::memory::{CreateRefused, Memory, Until};
use crate::requests::RequestError;
use crate::writes::{Stored, carry_out, patch_status};

/// Retry of an eviction that a disruption budget holds back; Argo's interval.
const EVICTION_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("patch the status of {rollout}")]
    Status { rollout: Key, source: RequestError },
    #[error("{action} {object}")]
    Write { action: &'static str, object: String, source: RequestError },
    #[error("find out whose ReplicaSet {name} is")]
    NameTaken { name: String, source: LookUpError },
    #[error("raise the collision count of {rollout}")]
    Collision { rollout: Key, source: RequestError },
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// All that can be done now; look again at that time.
    Until(Timestamp),
    /// Some object is not what was seen: look again when the caches are newer.
    Stale,
}

pub struct Applier {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub events: KubeEvents,
    pub clock: Arc<dyn Clock>,
    pub random: Random,
    /// The CRD keeps `status.kulta`.
    pub record_kept: Arc<AtomicBool>,
}

impl Applier {
    /// # Errors
    /// When the API server cannot be reached, or refuses for a reason that looking again does not change.
    pub async fn apply(
        &self,
        about: &mut About,
        generation: i64,
        plan: Plan,
        memory: &mut Memory,
    ) -> Result<Applied, ApplyError> {
        let mut gathered_at = None;
        match plan.status {
            Some(status) if status.gather && plan.events.is_empty() && !self.gathered(memory) => {
                gathered_at = memory.gathering_since.map(gather_end);
            }
            Some(status) => {
                if self.write_status(about, &status, memory).await? == Applied::Stale {
                    return Ok(Applied::Stale);
                }
            }
            None => memory.gathering_since = None,
        }
        for write in plan.writes {
            match self.write(about, generation, &write.action, memory).await? {
                Applied::Done => {}
                stopped => return Ok(stopped),
            }
            if let Some(event) = write.event {
                self.events.tell(about, event, self.clock.now());
            }
        }
        for event in plan.events {
            self.events.tell(about, event, self.clock.now());
        }
        Ok(gathered_at.map_or(Applied::Done, Applied::Until))
    }

    /// Whether a patch that is being gathered is due; notes when it was first wanted.
    fn gathered(&self, memory: &mut Memory) -> bool {
        let now = self.clock.now();
        let since = memory.gathering_since.get_or_insert(now);
        now >= gather_end(*since)
    }

    async fn write_status(
        &self,
        about: &mut About,
        status: &StatusPatch,
        memory: &mut Memory,
    ) -> Result<Applied, ApplyError> {
        let stored = match patch_status(&self.client, &about.key, &about.resource_version, &status.patch).await {
            Ok(stored) => stored,
            Err(error) if matches!(error.code(), 409 | 404) => {
                tracing::debug!(rollout = %about.key, %error, "the rollout has changed meanwhile");
                return Ok(Applied::Stale);
            }
            Err(source) => return Err(ApplyError::Status { rollout: about.key.clone(), source }),
        };
        memory.gathering_since = None;
        self.note_record(&status.patch, &stored, memory);
        memory.await_write(Watched::Rollouts, about.key.clone(), Until::Version(stored.version()), self.clock.now());
        stored.resource_version().clone_into(&mut about.resource_version);
        Ok(Applied::Done)
    }

    /// Where the CRD drops the record, this process keeps it.
    fn note_record(&self, patch: &Value, stored: &Stored, memory: &mut Memory) {
        let Some(record) = patch.get("kulta").filter(|record| !record.is_null()) else { return };
        let kept = stored.keeps_record();
        if self.record_kept.swap(kept, Ordering::Relaxed) && !kept {
            tell_pruned();
        }
        if kept {
            memory.record = None;
        } else {
            json_patch::merge(memory.record.get_or_insert_with(|| json!({})), record);
        }
    }

    async fn write(
        &self,
        about: &About,
        generation: i64,
        action: &Action,
        memory: &mut Memory,
    ) -> Result<Applied, ApplyError> {
        let now = self.clock.now();
        if let (Action::CreateReplicaSet { .. }, Some(refused)) = (action, &memory.create_refused)
            && refused.generation == generation
            && now < refused.retry_at
        {
            return Ok(Applied::Until(refused.retry_at));
        }
        match carry_out(&self.client, &about.key, action).await {
            Ok(stored) => {
                self.done(about, action, &stored, memory);
                Ok(Applied::Done)
            }
            Err(error) => self.refused(about, generation, action, error, memory).await,
        }
    }

    fn done(&self, about: &About, action: &Action, stored: &Stored, memory: &mut Memory) {
        let now = self.clock.now();
        let key = &about.key;
        let version = stored.version();
        match action {
            Action::PatchRollout { .. } => {
                memory.await_write(Watched::Rollouts, key.clone(), Until::Version(version), now);
            }
            Action::CreateReplicaSet { name, .. } => {
                memory.create_refused = None;
                memory.await_write(Watched::ReplicaSets, key.sibling(name), Until::Created(version), now);
            }
            Action::PatchReplicaSet { name, .. } => {
                memory.await_write(Watched::ReplicaSets, key.sibling(name), Until::Version(version), now);
            }
            Action::DeleteReplicaSet { name, uid } => {
                memory.await_write(Watched::ReplicaSets, key.sibling(name), Until::Gone(uid.clone()), now);
            }
            Action::PatchService { name, .. } => {
                memory.await_write(Watched::Services, key.sibling(name), Until::Version(version), now);
            }
            Action::PatchRoute { namespace, name, weight, corrects_foreign, .. } => {
                let route = Key::new(namespace.clone(), name.clone());
                memory.await_write(Watched::Routes, route.clone(), Until::Version(version), now);
                let known = memory.routes.entry(route).or_default();
                let corrected_before = known.last_write.and_then(|write| write.corrected_at);
                known.last_write = Some(RouteWrite {
                    weight: *weight,
                    at: now,
                    generation: stored.generation(),
                    corrected_at: if *corrects_foreign { Some(now) } else { corrected_before },
                });
                known.forbidden = None;
                known.refused = None;
            }
            Action::EvictPod { .. } | Action::PatchPod { .. } => {}
        }
    }

    async fn refused(
        &self,
        about: &About,
        generation: i64,
        action: &Action,
        error: RequestError,
        memory: &mut Memory,
    ) -> Result<Applied, ApplyError> {
        let now = self.clock.now();
        tracing::debug!(rollout = %about.key, action = verb(action), object = %object(about, action), %error, "refused");
        match (action, error.code()) {
            (Action::CreateReplicaSet { name, .. }, 409) if error.already_exists() => {
                self.name_taken(about, name).await
            }
            (Action::CreateReplicaSet { .. }, 400..=499) if error.code() != TOO_MANY_REQUESTS => {
                self.create_refused(generation, error, memory);
                // At once, so that the condition says it.
                Ok(Applied::Until(now))
            }
            (Action::PatchRoute { namespace, name, .. }, code @ (403 | 409 | 422)) => {
                let route = Key::new(namespace.clone(), name.clone());
                let seen = self.caches.read().routes.get(&route).map_or(0, |cached| cached.version);
                let known = memory.routes.entry(route).or_default();
                if code == 403 {
                    known.forbidden = Some((seen, message(error), now));
                    return Ok(Applied::Until(now));
                }
                known.note_refusal(seen, message(error));
                Ok(Applied::Stale)
            }
            // What was to go is gone.
            (Action::DeleteReplicaSet { .. } | Action::EvictPod { .. } | Action::PatchPod { .. }, 404) => {
                Ok(Applied::Done)
            }
            (Action::EvictPod { .. }, TOO_MANY_REQUESTS) => Ok(Applied::Until(clock::after(now, EVICTION_INTERVAL))),
            (_, 404 | 409 | 422) => {
                tracing::info!(rollout = %about.key, action = verb(action), object = %object(about, action), %error, "not as it was seen");
                Ok(Applied::Stale)
            }
            _ => Err(ApplyError::Write { action: verb(action), object: object(about, action), source: error }),
        }
    }

    fn create_refused(&self, generation: i64, error: RequestError, memory: &mut Memory) {
        let times = match &memory.create_refused {
            Some(before) if before.generation == generation => before.times.saturating_add(1),
            _ => 1,
        };
        let retry_at = clock::after(self.clock.now(), Backoff::CREATE.delay(times, self.random));
        memory.create_refused = Some(CreateRefused { generation, message: message(error), times, retry_at });
    }

    /// A ReplicaSet of that name exists. Ours: the cache is behind. Somebody else's: the next name is another.
    async fn name_taken(&self, about: &About, name: &str) -> Result<Applied, ApplyError> {
        let cached = self.caches.read().replica_sets.get(&about.key.sibling(name)).map(|cached| cached.owner.clone());
        let owner = match cached {
            Some(owner) => owner,
            None => {
                let found = look_up::replica_set(&self.client, &about.key.namespace, name).await;
                match found.map_err(|source| ApplyError::NameTaken { name: name.to_owned(), source })? {
                    Some(metadata) => controlling_rollout(&metadata),
                    None => return Ok(Applied::Stale),
                }
            }
        };
        if owner.as_deref() == Some(about.uid.as_str()) {
            return Ok(Applied::Stale);
        }
        let collisions = self.collision_count(&about.key).saturating_add(1);
        tracing::warn!(rollout = %about.key, replica_set = name, collisions, "the ReplicaSet's name is taken; the next one will be another");
        let patch = json!({ "collisionCount": collisions });
        match patch_status(&self.client, &about.key, &about.resource_version, &patch).await {
            Ok(_) => Ok(Applied::Stale),
            Err(error) if matches!(error.code(), 404 | 409) => Ok(Applied::Stale),
            Err(source) => Err(ApplyError::Collision { rollout: about.key.clone(), source }),
        }
    }

    fn collision_count(&self, key: &Key) -> i32 {
        match self.caches.read().rollouts.get(key).map(|cached| &cached.decoded) {
            Some(Decoded::Rollout { rollout, .. }) => {
                rollout.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)
            }
            Some(Decoded::Undecodable { .. }) | None => 0,
        }
    }
}

/// Once, when it is found out.
pub fn tell_pruned() {
    tracing::warn!(
        "the Rollout CRD does not keep status.kulta: CDEvents are sent at best effort and do not survive a restart; \
         install KULTA's CRD (kulta crds) to change that"
    );
}

const TOO_MANY_REQUESTS: u16 = 429;

fn gather_end(since: Timestamp) -> Timestamp {
    clock::after(since, Duration::from_millis(GATHER_MILLIS.unsigned_abs()))
}

fn message(error: RequestError) -> String {
    match error {
        RequestError::Refused { message, .. } => message,
        error => error.to_string(),
    }
}

const fn verb(action: &Action) -> &'static str {
    match action {
        Action::PatchRollout { .. } => "patch Rollout",
        Action::CreateReplicaSet { .. } => "create ReplicaSet",
        Action::PatchReplicaSet { .. } => "patch ReplicaSet",
        Action::DeleteReplicaSet { .. } => "delete ReplicaSet",
        Action::PatchService { .. } => "patch Service",
        Action::PatchRoute { .. } => "patch HTTPRoute",
        Action::EvictPod { .. } => "evict Pod",
        Action::PatchPod { .. } => "patch Pod",
    }
}

fn object(about: &About, action: &Action) -> String {
    match action {
        Action::PatchRollout { .. } => about.key.to_string(),
        Action::PatchRoute { namespace, name, .. } => format!("{namespace}/{name}"),
        Action::CreateReplicaSet { name, .. }
        | Action::PatchReplicaSet { name, .. }
        | Action::DeleteReplicaSet { name, .. }
        | Action::PatchService { name, .. }
        | Action::EvictPod { name }
        | Action::PatchPod { name, .. } => about.key.sibling(name).to_string(),
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
