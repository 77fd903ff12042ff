//! One look at a rollout: what is seen, what is to be done about it, doing it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use kube::Client;
use kulta_core::observed::LookedUp;
use kulta_core::{Observed, Plan, Turn};
use serde_json::Value;

use crate::apply::{Applied, Applier, ApplyError};
use crate::caches::Caches;
use crate::clock::Clock;
use crate::key::Key;
use crate::kube_events::About;
use crate::look_up::{LookUpError, look_up};
use crate::memory::{Memories, Memory};
use crate::object::text;
use crate::observe::{Sight, observe};
use crate::outbox::Outbox;
use crate::queue::Outcome;
use crate::strategies::Strategies;

/// Looks at one rollout in a row before what the plan says is done without another look-up: there are three kinds of fact to look up.
const MOST_LOOK_UPS: usize = 4;
/// Questions to a strategy in one look: core passes 32 steps at most, with two questions each.
const MOST_QUESTIONS: usize = 80;

#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    LookUp(#[from] LookUpError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the strategy was asked {MOST_QUESTIONS} times and led nowhere")]
    Endless,
}

pub struct Reconciler {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub memories: Memories,
    pub strategies: Arc<dyn Strategies>,
    pub applier: Applier,
    pub outbox: Arc<Outbox>,
    pub clock: Arc<dyn Clock>,
    pub record_kept: Arc<AtomicBool>,
}

impl Reconciler {
    /// Whether the CRD keeps `status.kulta`, as far as is known before the first status patch.
    pub fn learn_record_kept(&self, kept: bool) {
        self.record_kept.store(kept, Ordering::Relaxed);
        if !kept {
            crate::apply::tell_pruned();
        }
    }

    /// # Errors
    /// When something could not be asked or written; the rollout is to be looked at again after a while.
    pub async fn reconcile(&self, key: &Key) -> Result<Outcome, ReconcileError> {
        let Some(uid) = self.caches.read().rollouts.get(key).map(|cached| cached.uid.clone()) else {
            self.memories.forget(key);
            return Ok(Outcome::Done { wake_up: None });
        };
        self.outbox.look(key, &uid);
        let mut memory = self.memories.take(key, &uid);
        let outcome = self.look(key, &mut memory).await;
        self.memories.put(key.clone(), memory);
        outcome
    }

    async fn look(&self, key: &Key, memory: &mut Memory) -> Result<Outcome, ReconcileError> {
        let now = self.clock.now();
        let record_kept = self.record_kept.load(Ordering::Relaxed);
        let sight = {
            let contents = self.caches.read();
            if let Some(deadline) = memory.waits_until(&contents, now) {
                // The watch asks for a turn when it tells of the write.
                return Ok(Outcome::Done { wake_up: Some(deadline) });
            }
            observe(&contents, key, memory, record_kept, now)
        };
        match sight {
            // Whoever fills the cache asks for a turn.
            Sight::Gone | Sight::NotYet => Ok(Outcome::Done { wake_up: None }),
            Sight::Undecodable { object, error } => {
                tracing::debug!(rollout = %key, %error, "undecodable");
                let plan = kulta_core::undecodable(&object, &error, now);
                let mut about = about_undecodable(key, &object);
                self.carry_out(&mut about, 0, plan, memory).await
            }
            Sight::Rollout(mut observed) => {
                observed.delivered = self.outbox.delivered(key, &memory.uid);
                observed.strategy_errors = self.strategy_errors(&observed, memory).await;
                let metadata = &observed.rollout.metadata;
                let generation = metadata.generation.unwrap_or(0);
                let mut about = About {
                    key: key.clone(),
                    uid: memory.uid.clone(),
                    resource_version: metadata.resource_version.clone().unwrap_or_default(),
                };
                let plan = self.decide(key, *observed).await?;
                self.carry_out(&mut about, generation, plan, memory).await
            }
        }
    }

    /// Asks core, the strategy as often as core wants, and the API server for facts that the caches do not hold.
    async fn decide(&self, key: &Key, mut observed: Observed) -> Result<Plan, ReconcileError> {
        let mut answers = LookedUp::default();
        let mut look_ups = 0;
        loop {
            observed.looked_up = answers.clone();
            let plan = self.pass(observed.clone()).await?;
            match &plan.need {
                Some(need) if look_ups < MOST_LOOK_UPS => {
                    tracing::debug!(rollout = %key, ?need, "looking up");
                    look_up(&self.client, &key.namespace, need, &mut answers).await?;
                    look_ups += 1;
                }
                _ => return Ok(plan),
            }
        }
    }

    async fn pass(&self, observed: Observed) -> Result<Plan, ReconcileError> {
        let mut turn = kulta_core::begin(observed, self.clock.now());
        for _ in 0..MOST_QUESTIONS {
            match turn {
                Turn::Done(plan) => return Ok(*plan),
                Turn::Ask(ask) => {
                    let answer = self.strategies.decide(&ask.plugin, &ask.config, &ask.situation).await;
                    turn = ask.answer(answer);
                }
            }
        }
        Err(ReconcileError::Endless)
    }

    async fn carry_out(
        &self,
        about: &mut About,
        generation: i64,
        plan: Plan,
        memory: &mut Memory,
    ) -> Result<Outcome, ReconcileError> {
        tracing::debug!(rollout = %about.key, status = plan.status.is_some(), writes = plan.writes.len(), reason = plan.reason, "planned");
        let planned = plan.wake_up;
        let applied = self.applier.apply(about, generation, plan, memory).await?;
        if let Some(record) = &memory.record {
            self.outbox.remember(&about.key, &about.uid, record);
        }
        let wake_up = match applied {
            Applied::Stale => return Ok(Outcome::Failed { not_before: None }),
            Applied::Until(at) => earlier(planned, Some(at)),
            Applied::Done => planned,
        };
        // Should a watch be silent, the rollout goes on all the same.
        let wake_up = earlier(wake_up, memory.awaited_deadline());
        Ok(Outcome::Done { wake_up: earlier(wake_up, memory.forbidden_until(self.clock.now())) })
    }

    /// The plugin's own check of a plugin strategy, once for each configuration.
    async fn strategy_errors(&self, observed: &Observed, memory: &mut Memory) -> Vec<kulta_api::FieldError> {
        let Some(plugin) = &observed.rollout.spec.strategy.plugin else { return Vec::new() };
        let config = plugin.config.clone().map_or_else(|| Value::Object(serde_json::Map::new()), |config| config.0);
        if plugin.name.is_empty() {
            // Validation says so.
            return Vec::new();
        }
        match &memory.config_check {
            Some((name, checked, errors)) if *name == plugin.name && *checked == config => errors.clone(),
            _ => {
                let errors = self.strategies.check(&plugin.name, &config).await;
                memory.config_check = Some((plugin.name.clone(), config, errors.clone()));
                errors
            }
        }
    }
}

fn about_undecodable(key: &Key, object: &Value) -> About {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    About {
        key: key.clone(),
        uid: text(metadata, "uid").to_owned(),
        resource_version: text(metadata, "resourceVersion").to_owned(),
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
