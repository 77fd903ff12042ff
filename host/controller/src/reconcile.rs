//! One look at one rollout: caches → core → strategy → core → cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_core::observed::{Endpoints, Observed, Pod};
use kulta_core::plan::{FIRST_CALL_MILLIS, GATHER_MILLIS, Need, Plan, PodController};
use kulta_core::reference::configurations;
use kulta_core::step_plugins::StepAnswer;
use kulta_core::{Turn, begin, undecodable};
use serde_json::Value;

use crate::apply::Target;
use crate::cluster::{Refusal, refusal, words};
use crate::controller::Controller;
use crate::decode::texts;
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text};
use crate::observe::{Seen, View};
use crate::queue::Outcome;
use crate::steps::Allowed;

/// Look-ups in one look: a template, endpoints and pods each once, with one to spare.
const LOOK_UPS: usize = 4;
/// How soon to look again when the cache has not caught up with what the API server knows.
const STALE_MILLIS: i64 = 100;

pub async fn look(controller: &Controller, key: &Key) -> Outcome {
    let now = controller.clock.now();
    let seen = {
        let caches = controller.caches.read();
        let Some(uid) = caches.rollouts.get(key).map(|cached| cached.uid.as_str()) else {
            return Outcome::Done { wake_up: None };
        };
        controller.memory.remember(uid);
        let lagging = controller.memory.note(uid, |notes| notes.lagging(&caches, now)).flatten();
        if lagging.is_some() {
            return Outcome::Done { wake_up: lagging };
        }
        let notes = controller.memory.of(uid);
        View {
            caches: &caches,
            notes: &notes,
            clock: controller.clock.as_ref(),
            record_kept: controller.record_kept.get(),
            analyzers: &controller.served_analyzers(),
            catalog: &controller.catalog,
        }
        .see(key)
    };
    let mut answers = Vec::new();
    let (target, plan) = match seen {
        Seen::Gone | Seen::Filling => return Outcome::Done { wake_up: None },
        Seen::Unreadable(error) => {
            tracing::error!(rollout = %key, "read a ReplicaSet: {error}");
            return Outcome::Failed { not_before: None };
        }
        Seen::Undecodable { object, error } => (target_of(key, &object), undecodable(&object, &error, now)),
        Seen::Rollout(observed) => {
            controller.outbox.offer(key, &observed, &controller.cluster);
            answers.clone_from(&observed.step_answers);
            let metadata = &observed.rollout.metadata;
            let target = Target {
                key: key.clone(),
                uid: metadata.uid.clone().unwrap_or_default(),
                generation: metadata.generation.unwrap_or(0),
                resource_version: metadata.resource_version.clone().unwrap_or_default(),
            };
            match decide(controller, key, *observed).await {
                Ok(plan) => (target, plan),
                Err(outcome) => return outcome,
            }
        }
    };
    carry_out(controller, &target, plan, &answers).await
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

async fn decide(controller: &Controller, key: &Key, mut observed: Observed) -> Result<Plan, Outcome> {
    if let Some(plugin) = &observed.rollout.spec.strategy.plugin
        && !plugin.name.is_empty()
    {
        let config = plugin.config.as_ref().map_or_else(|| serde_json::json!({}), |config| config.0.clone());
        match controller.strategies.check(&plugin.name, &config, "spec.strategy.plugin").await {
            Ok(errors) => observed.strategy_errors = errors,
            Err(failure) => observed.strategy_failure = Some(failure),
        }
    }
    observed.step_errors = controller.steps.check(&observed.rollout).await;
    let configurations = configurations(&observed);
    observed.analyzer_errors = controller.analyzers.check_templates(&configurations).await;
    observed.condition_errors = controller.analyzers.check_conditions(&configurations).await;
    let warnings = controller.analyzers.template_warnings(&observed, &configurations).await;
    observed.condition_errors.extend(warnings);
    let mut observed = Arc::new(observed);
    for _ in 0..LOOK_UPS {
        let mut turn = begin(Arc::clone(&observed), controller.clock.now());
        let plan = loop {
            match turn {
                Turn::Ask(ask) => {
                    let answer = controller.strategies.decide(&ask).await;
                    turn = ask.answer(answer);
                }
                Turn::Done(plan) => break *plan,
            }
        };
        let Some(need) = &plan.need else { return Ok(plan) };
        // The pass is over: nobody else holds what was observed, and it is not copied.
        if let Err(error) = look_up(controller, key, need, Arc::make_mut(&mut observed)).await {
            tracing::warn!(rollout = %key, "look up {need:?}: {}", words(&error));
            return Err(Outcome::Failed { not_before: None });
        }
    }
    tracing::error!(rollout = %key, "more look-ups than a look has reason for");
    Err(Outcome::Failed { not_before: None })
}

async fn look_up(controller: &Controller, key: &Key, need: &Need, observed: &mut Observed) -> Result<(), kube::Error> {
    let cluster = &controller.cluster;
    match need {
        Need::DefaultedTemplate { body } => {
            let answer = cluster.create::<Object>(Kind::ReplicaSet, &key.namespace, body, true).await;
            observed.looked_up.defaulted_template = Some(match answer {
                Ok(stored) => {
                    Ok(kulta_api::PodTemplate(stored.json.pointer("/spec/template").cloned().unwrap_or_default()))
                }
                Err(error) if refusal(&error) == Refusal::Trouble => return Err(error),
                Err(error) => Err(words(&error)),
            });
        }
        Need::Endpoints { services, replica_sets } => {
            let mut endpoints = Endpoints::default();
            for service in services {
                endpoints.listed.insert(service.clone(), cluster.endpoints(&key.namespace, service).await?);
            }
            for PodController { uid, hash } in replica_sets {
                let labels = BTreeMap::from([(kulta_api::annotations::POD_TEMPLATE_HASH.to_owned(), hash.clone())]);
                let pods = cluster.pods(&key.namespace, &labels, None).await?;
                let own = pods.iter().filter(|pod| pod.controlled_by(uid)).map(|pod| pod.key().name);
                endpoints.controlled.insert(uid.clone(), own.collect());
            }
            observed.looked_up.endpoints = Some(endpoints);
        }
        Need::Pods { selector } => {
            let pods = cluster.selected_pods(&key.namespace, selector).await?;
            observed.looked_up.pods = Some(pods.iter().map(pod).collect());
        }
    }
    Ok(())
}

fn controller_uid(metadata: &Value) -> String {
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    let controls = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    owners.into_iter().flatten().find(controls).map(|owner| text(owner, "uid").to_owned()).unwrap_or_default()
}

fn pod(object: &Object) -> Pod {
    let json = &object.json;
    let metadata = json.get("metadata").unwrap_or(&Value::Null);
    let labels = texts(json, "/metadata/labels");
    let conditions = json.pointer("/status/conditions").and_then(Value::as_array);
    Pod {
        name: text(metadata, "name").to_owned(),
        owner: controller_uid(metadata),
        hash: labels.get(kulta_api::annotations::POD_TEMPLATE_HASH).cloned().unwrap_or_default(),
        created: text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH),
        ready: conditions
            .into_iter()
            .flatten()
            .any(|condition| text(condition, "type") == "Ready" && text(condition, "status") == "True"),
        terminating: metadata.get("deletionTimestamp").is_some(),
        annotations: texts(json, "/metadata/annotations"),
        labels,
    }
}

/// Leaves out what a plan stores and tells while that may wait for what a step plugin's first call comes to: answers until when.
fn hold(controller: &Controller, target: &Target, plan: &mut Plan, now: Timestamp) -> Option<Timestamp> {
    let call = plan.step_call.as_ref().filter(|_| plan.first_call_may_wait)?;
    let since = controller.memory.note(&target.uid, |notes| notes.steps.hold(call, now))?;
    let end = since.checked_add(SignedDuration::from_millis(FIRST_CALL_MILLIS)).ok()?;
    if end <= now {
        return None;
    }
    plan.status = None;
    plan.events.clear();
    plan.transitions.clear();
    Some(end)
}

/// `answers` are those of step plugins that the plan has seen.
async fn carry_out(controller: &Controller, target: &Target, mut plan: Plan, answers: &[StepAnswer]) -> Outcome {
    let key = &target.key;
    let now = controller.clock.now();
    let mut wake_up = plan.wake_up;
    let held = hold(controller, target, &mut plan, now);
    wake_up = kulta_core::time::earlier(wake_up, held);
    // Counts alone wait for more of the same, unless a transition is stored before.
    let gather = plan.status.as_ref().is_some_and(|status| status.gather) && plan.events.is_empty();
    if gather {
        let since = controller.memory.note(&target.uid, |notes| *notes.gathering.get_or_insert(now)).unwrap_or(now);
        let due = since.checked_add(SignedDuration::from_millis(GATHER_MILLIS)).unwrap_or(since);
        if due > now {
            plan.status = None;
            wake_up = kulta_core::time::earlier(wake_up, Some(due));
        }
    }
    if plan.status.is_some() {
        controller.memory.note(&target.uid, |notes| notes.gathering = None);
    }
    if plan.status.is_some() || !plan.writes.is_empty() {
        tracing::debug!(rollout = %key, writes = plan.writes.len(), status = plan.status.is_some(), "{}", plan.reason);
    }
    let accepted = std::mem::take(&mut plan.accepted_routes);
    controller.memory.note(&target.uid, |notes| {
        for (namespace, name, accepted) in accepted {
            notes.routes.entry(Key::new(namespace, name)).or_default().accepted = accepted;
        }
    });
    let (step_call, answers_taken) = (plan.step_call.take(), plan.step_answers_taken);
    match controller.applier.apply(target, plan).await {
        Ok(()) => {
            if answers_taken && !answers.is_empty() {
                controller.memory.note(&target.uid, |notes| notes.steps.stored(answers));
            }
            if held.is_none() {
                controller.memory.note(&target.uid, |notes| notes.steps.settle(step_call.as_ref()));
            }
            if let Some(call) = step_call {
                let allowed = if held.is_some() { Allowed::Safe } else { Allowed::All };
                controller.steps.make(&controller.queue, target, call, allowed);
            }
            Outcome::Done { wake_up }
        }
        Err(error) => {
            let stale = now.checked_add(SignedDuration::from_millis(STALE_MILLIS)).unwrap_or(now);
            match error.refusal() {
                // The cache is behind: a newer object will wake the key; should none come, look again soon.
                Refusal::Conflict | Refusal::Gone | Refusal::Invalid => {
                    tracing::debug!(rollout = %key, "{error}");
                    Outcome::Failed { not_before: Some(stale) }
                }
                Refusal::Forbidden | Refusal::TooMany | Refusal::Trouble => {
                    tracing::warn!(rollout = %key, "{error}");
                    Outcome::Failed { not_before: None }
                }
            }
        }
    }
}
