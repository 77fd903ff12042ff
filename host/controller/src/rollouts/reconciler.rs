//! Reconciles rollouts: caches → core → strategy → core → cluster.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_core::observed::Observed;
use kulta_core::plan::{FIRST_CALL_MILLIS, GATHER_MILLIS, Plan};
use kulta_core::reference::{are_warnings_due, configurations};
use kulta_core::step_plugins::StepAnswer;
use kulta_core::{Turn, begin, undecodable};
use serde_json::Value;

use super::apply::{Applier, Target};
use super::look_ups::look_up;
use super::observe::{Observation, View};
use super::step_calls::{Allowed, StepCalls};
use super::strategies::Strategies;
use crate::analysis_runs::Analyzers;
use crate::api_error::{ApiErrorClass, error_message};
use crate::cache::Caches;
use crate::cdevents::Outbox;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;
use crate::local_state::LocalStates;
use crate::object::text;
use crate::plugins::PluginRegistry;
use crate::queue::Outcome;
use crate::record_support::RecordSupport;
use crate::worker::Reconciler;

/// Look-ups in one reconciliation: a template, endpoints and pods each once, with one to spare.
const LOOK_UPS: usize = 4;
/// How soon to reconcile again when the cache has not caught up with what the API server knows.
const STALE_MILLIS: i64 = 100;

pub struct RolloutReconciler {
    pub caches: Arc<Caches>,
    pub local: Arc<LocalStates>,
    pub cluster: Cluster,
    pub clock: Arc<dyn Clock>,
    pub record_support: Arc<RecordSupport>,
    pub registry: Arc<PluginRegistry>,
    pub analyzers: Arc<Analyzers>,
    pub strategies: Strategies,
    pub step_calls: Arc<StepCalls>,
    pub applier: Applier,
    pub outbox: Arc<Outbox>,
}

impl Reconciler for RolloutReconciler {
    const KIND: Kind = Kind::Rollout;

    async fn reconcile(&self, key: &Key) -> Outcome {
        let now = self.clock.now();
        let observation = {
            let caches = self.caches.read();
            let Some(uid) = caches.rollouts.get(key).map(|cached| cached.uid.as_str()) else {
                return Outcome::DONE;
            };
            self.local.remember(uid);
            let lagging = self.local.change(uid, |state| state.lagging(&caches, now)).flatten();
            if lagging.is_some() {
                return Outcome::Done { wake_up: lagging };
            }
            let local = self.local.of(uid);
            View {
                caches: &caches,
                local: &local,
                clock: self.clock.as_ref(),
                record_kept: self.record_support.get(),
                analyzers: &self.analyzers.served(),
                registry: &self.registry,
            }
            .observe(key)
        };
        let mut answers = Vec::new();
        let (target, plan) = match observation {
            Observation::Gone | Observation::Filling => return Outcome::DONE,
            Observation::Unreadable(error) => {
                tracing::error!(rollout = %key, "read a ReplicaSet: {error}");
                return Outcome::RETRY;
            }
            Observation::Undecodable { object, error } => (target_of(key, &object), undecodable(&object, &error, now)),
            Observation::Rollout(observed) => {
                self.outbox.offer(key, &observed);
                answers.clone_from(&observed.step_answers);
                let metadata = &observed.rollout.metadata;
                let target = Target {
                    key: key.clone(),
                    uid: metadata.uid.clone().unwrap_or_default(),
                    generation: metadata.generation.unwrap_or(0),
                    resource_version: metadata.resource_version.clone().unwrap_or_default(),
                };
                match self.decide(key, *observed).await {
                    Ok(plan) => (target, plan),
                    Err(outcome) => return outcome,
                }
            }
        };
        self.apply(&target, plan, &answers).await
    }
}

impl RolloutReconciler {
    async fn decide(&self, key: &Key, mut observed: Observed) -> Result<Plan, Outcome> {
        if let Some(plugin) = &observed.rollout.spec.strategy.plugin
            && !plugin.name.is_empty()
        {
            let config = plugin.config.as_ref().map_or_else(|| serde_json::json!({}), |config| config.0.clone());
            match self.strategies.check(&plugin.name, &config, "spec.strategy.plugin").await {
                Ok(errors) => observed.strategy_errors = errors,
                Err(failure) => observed.strategy_failure = Some(failure),
            }
        }
        observed.step_errors = self.step_calls.check(&observed.rollout).await;
        let configurations = configurations(&observed);
        observed.analyzer_errors = self.analyzers.check_templates(&configurations).await;
        if are_warnings_due(&observed.rollout) {
            observed.template_warnings = self.analyzers.template_warnings(&observed, &configurations).await;
        }
        let mut turn = begin(observed, self.clock.now());
        let mut look_ups = 0;
        loop {
            turn = match turn {
                Turn::Done(plan) => return Ok(*plan),
                Turn::LookUp(_) if look_ups == LOOK_UPS => break,
                Turn::Ask(ask) => {
                    let answer = self.strategies.decide(&ask).await;
                    ask.answer(answer)
                }
                Turn::LookUp(question) => {
                    look_ups += 1;
                    match look_up(&self.cluster, key, &question.need).await {
                        Ok(answer) => question.answer(answer),
                        Err(error) => {
                            tracing::warn!(rollout = %key, "look up {:?}: {}", question.need, error_message(&error));
                            return Err(Outcome::RETRY);
                        }
                    }
                }
            };
        }
        tracing::error!(rollout = %key, "a reconciliation asks for more look-ups than it can need");
        Err(Outcome::RETRY)
    }

    /// Leaves out what a plan stores and reports while that may wait for the answer to a step plugin's first call: answers until when.
    fn hold(&self, target: &Target, plan: &mut Plan, now: Timestamp) -> Option<Timestamp> {
        let call = plan.step_call.as_ref().filter(|_| plan.first_call_may_wait)?;
        let since = self.local.change(&target.uid, |state| state.step_calls.hold(call, now))?;
        let end = since.checked_add(SignedDuration::from_millis(FIRST_CALL_MILLIS)).ok()?;
        if end <= now {
            return None;
        }
        plan.status = None;
        plan.events.clear();
        plan.transitions.clear();
        Some(end)
    }

    /// `answers` are those of step plugins that the plan takes into account.
    async fn apply(&self, target: &Target, mut plan: Plan, answers: &[StepAnswer]) -> Outcome {
        let key = &target.key;
        let now = self.clock.now();
        let mut wake_up = plan.wake_up;
        let held = self.hold(target, &mut plan, now);
        wake_up = kulta_core::time::earlier(wake_up, held);
        // Counts alone wait for more of the same, unless a transition is stored before.
        let gather = plan.status.as_ref().is_some_and(|status| status.gather) && plan.events.is_empty();
        if gather {
            let since = self.local.change(&target.uid, |state| *state.gathering.get_or_insert(now)).unwrap_or(now);
            let due = since.checked_add(SignedDuration::from_millis(GATHER_MILLIS)).unwrap_or(since);
            if due > now {
                plan.status = None;
                wake_up = kulta_core::time::earlier(wake_up, Some(due));
            }
        }
        if plan.status.is_some() {
            self.local.change(&target.uid, |state| state.gathering = None);
        }
        if plan.status.is_some() || !plan.writes.is_empty() {
            tracing::debug!(rollout = %key, writes = plan.writes.len(), status = plan.status.is_some(), "{}", plan.reason);
        }
        let accepted = std::mem::take(&mut plan.accepted_routes);
        self.local.change(&target.uid, |state| {
            for (route, accepted) in accepted {
                state.routes.entry(route).or_default().accepted = accepted;
            }
        });
        let (step_call, answers_taken) = (plan.step_call.take(), plan.step_answers_taken);
        match self.applier.apply(target, plan).await {
            Ok(()) => {
                if answers_taken && !answers.is_empty() {
                    self.local.change(&target.uid, |state| state.step_calls.stored(answers));
                }
                if held.is_none() {
                    self.local.change(&target.uid, |state| state.step_calls.stored_plan(step_call.as_ref()));
                }
                if let Some(call) = step_call {
                    let allowed = if held.is_some() { Allowed::Safe } else { Allowed::All };
                    self.step_calls.make(&target.key, &target.uid, call, allowed);
                }
                Outcome::Done { wake_up }
            }
            Err(error) => {
                let stale = now.checked_add(SignedDuration::from_millis(STALE_MILLIS)).unwrap_or(now);
                match error.class() {
                    // The cache is behind: a newer object makes the key due; if none comes, it is due soon all the same.
                    ApiErrorClass::Conflict | ApiErrorClass::Gone | ApiErrorClass::Invalid => {
                        tracing::debug!(rollout = %key, "{error}");
                        Outcome::Failed { not_before: Some(stale) }
                    }
                    ApiErrorClass::Forbidden | ApiErrorClass::TooMany | ApiErrorClass::Transient => {
                        tracing::warn!(rollout = %key, "{error}");
                        Outcome::RETRY
                    }
                }
            }
        }
    }
}

fn target_of(key: &Key, object: &Value) -> Target {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    Target {
        key: key.clone(),
        uid: text(metadata, "uid").to_owned(),
        generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
        resource_version: text(metadata, "resourceVersion").to_owned(),
    }
}
