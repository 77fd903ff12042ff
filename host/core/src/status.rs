//! The status that a pass leaves behind, and the patch that stores it.

use kulta_api::conditions::{self, ConditionType};
use kulta_api::status::{TrafficWeights, WeightDestination};
use kulta_api::validation::FieldError;
use kulta_api::{ConditionReason, ConditionStatus, KultaPhase, Rollout, RolloutCondition, RolloutPhase, RolloutStatus};
use serde_json::{Value, json};

use crate::autoscaling;
use crate::observed::{Observed, ReplicaSet};
use crate::pass::Pass;
use crate::patch;
use crate::phase;
use crate::plan::{EventKind, EventReason, KubeEvent, Plan, StatusPatch};
use crate::progress;
use crate::selector;
use crate::tell;
use crate::time;

/// Seconds until references that could not be resolved are looked at again, should no watch tell of them.
const INVALID_RETRY_SECONDS: u32 = 20;
/// Status members that only count pods, and what is derived from them.
const COUNTS: [&str; 9] = [
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "HPAReplicas",
    "conditions",
    "message",
    "phase",
    // Without a transition: the decision log and delivered entries.
    "kulta",
];

/// Brings a pass to its plan.
pub(crate) fn conclude(mut pass: Pass) -> Plan {
    count(&mut pass);
    if !pass.blocked.as_ref().is_some_and(|blocked| blocked.traffic_unknown) {
        weigh(&mut pass);
    }
    pass.settle_runs();
    let refused = std::mem::take(&mut pass.refused);
    pass.writes.extend(refused);
    progress::judge(&mut pass);
    pass.settle_step_plugins();
    report_faults(&mut pass);
    let spec = &pass.scene.observed.rollout.spec;
    let generation = pass.scene.observed.rollout.metadata.generation.unwrap_or(0);
    pass.status.observed_generation = generation.to_string();
    let (phase, message) = match conditions::find(&pass.status.conditions, ConditionType::InvalidSpec) {
        Some(invalid) => (RolloutPhase::Degraded, format!("InvalidSpec: {}", invalid.message)),
        None => phase::of(spec, &pass.status, pass.waits_for().as_ref()),
    };
    pass.status.phase = Some(phase);
    pass.status.message = message;
    pass.kulta.phase = Some(kulta_phase(&pass));
    let delivered = pass.scene.observed.delivered;
    let before = pass.before.kulta.clone().unwrap_or_default();
    // Delivered entries leave with a patch that is written anyway, or with one of their own once none is left to deliver.
    let stores = pass.kulta.sequence > before.sequence;
    let other_change = {
        let mut unchanged = pass.status.clone();
        unchanged.kulta = Some(pass.kulta.clone());
        unchanged != pass.before
    };
    let settled = matches!(pass.kulta.phase, Some(KultaPhase::Completed | KultaPhase::Failed));
    if other_change || (settled && pass.kulta.outbox.iter().all(|entry| entry.seq <= delivered)) {
        pass.kulta.outbox.retain(|entry| entry.seq > delivered);
    }
    let first_call_may_wait = pass.first_call_may_wait();
    pass.status.kulta = Some(pass.kulta);
    let (wake_up, now) = (pass.wake_up, pass.scene.now);
    let accepted_routes = pass.scene.traffic.map(|traffic| traffic.accepted).unwrap_or_default();
    let mut plan = Plan {
        accepted_routes,
        status: status_patch(&pass.before, &pass.status, stores),
        writes: pass.writes,
        events: pass.events,
        transitions: pass.transitions,
        step_call: pass.step_call,
        first_call_may_wait,
        step_answers_taken: !pass.step_answer_kept,
        wake_up,
        need: pass.need,
        reason: pass.reason,
    };
    plan.order_events(now);
    plan
}

fn status_patch(before: &RolloutStatus, after: &RolloutStatus, stores_transitions: bool) -> Option<StatusPatch> {
    // As in most looks: no need to write both down.
    if before == after {
        return None;
    }
    let value = |status: &RolloutStatus| serde_json::to_value(status).unwrap_or_default();
    let patch = patch::diff(&value(before), &value(after))?;
    let counts = |(key, change): (&String, &Value)| {
        COUNTS.contains(&key.as_str()) || (key == "canary" && only_selected_revisions(change))
    };
    let only_counts = patch.as_object().is_some_and(|members| members.iter().all(counts));
    let settled = |status: &RolloutStatus| status.phase != Some(RolloutPhase::Progressing);
    let gather = only_counts && !stores_transitions && !(before.phase != after.phase && settled(after));
    Some(StatusPatch { patch, gather, stores_transitions })
}

/// Below `status.canary` nothing changed but which revision a Service with a weight selects: the weights follow soon.
fn only_selected_revisions(change: &Value) -> bool {
    change.as_object().is_some_and(|members| {
        members.iter().all(|(key, change)| key == "podTemplateHash" || only_selected_revisions(change))
    })
}

fn count(pass: &mut Pass) {
    let counted_for_autoscaler = autoscaling::hpa_replicas(&pass.scene, &pass.status);
    let all = &pass.scene.observed.replica_sets;
    let sum = |of: fn(&ReplicaSet) -> u32| {
        i32::try_from(all.iter().map(|replica_set| of(replica_set)).sum::<u32>()).unwrap_or(i32::MAX)
    };
    let status = &mut pass.status;
    status.replicas = sum(|replica_set| replica_set.created_replicas);
    status.hpa_replicas = i32::try_from(counted_for_autoscaler).unwrap_or(i32::MAX);
    status.ready_replicas = sum(|replica_set| replica_set.ready_replicas);
    status.available_replicas = sum(|replica_set| replica_set.available_replicas);
    let updated = pass.scene.new.as_ref().map_or(0, |new| new.created_replicas);
    status.updated_replicas = i32::try_from(updated).unwrap_or(i32::MAX);
    status.selector = pass.scene.observed.rollout.spec.selector.as_ref().map(selector::format).unwrap_or_default();
}

/// Records the weights that the data plane has confirmed; while it has not, the last confirmed ones stay, marked as unverified.
fn weigh(pass: &mut Pass) {
    let Some(traffic) = &pass.scene.traffic else {
        pass.status.canary.weights = None;
        return;
    };
    if let Some(at) = traffic.wake_up {
        pass.wake_up = time::earlier(pass.wake_up, Some(at));
    }
    let Some(confirmed) = traffic.confirmed else {
        // On its way is no news; refused is.
        let refused = traffic.obstacle.is_some();
        if let Some(weights) = &mut pass.status.canary.weights
            && refused
        {
            weights.verified = Some(false);
        }
        return;
    };
    let part = |weight: u32, service: &str, hash: &str| WeightDestination {
        weight: i32::try_from(weight).unwrap_or(i32::MAX),
        service_name: service.to_owned(),
        pod_template_hash: hash.to_owned(),
    };
    let selected = |name: &String| {
        pass.scene.service(Some(name)).and_then(|service| service.hash()).unwrap_or_default().to_owned()
    };
    pass.status.canary.weights = Some(TrafficWeights {
        canary: part(confirmed, &traffic.canary_service, &selected(&traffic.canary_service)),
        stable: part(
            traffic.shape.max_weight.saturating_sub(confirmed),
            &traffic.stable_service,
            &selected(&traffic.stable_service),
        ),
        additional: Vec::new(),
        verified: Some(true),
    });
}

fn kulta_phase(pass: &Pass) -> KultaPhase {
    if pass.status.stable_rs.is_empty() {
        return KultaPhase::Initializing;
    }
    if pass.status.abort && pass.kulta.restoring.is_none() {
        return KultaPhase::Failed;
    }
    match pass.status.phase {
        Some(RolloutPhase::Paused) => KultaPhase::Paused,
        _ if pass.scene.is_stable(&pass.status) && pass.kulta.restoring.is_none() => KultaPhase::Completed,
        _ => KultaPhase::Progressing,
    }
}

fn invalid_message(rollout: &Rollout, errors: &[FieldError]) -> String {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    format!("The Rollout {name:?} is invalid: {}", kulta_api::validation::joined(errors))
}

/// The condition and the event of a rollout whose spec cannot be followed while it is under way.
fn report_faults(pass: &mut Pass) {
    let Some(blocked) = &pass.blocked else { return };
    let rollout = &pass.scene.observed.rollout;
    let message = invalid_message(rollout, &blocked.errors);
    let generation = rollout.metadata.generation.unwrap_or(0).to_string();
    let uid = rollout.metadata.uid.clone().unwrap_or_default();
    let event = set_invalid(&mut pass.status.conditions, &message, &generation, &uid, pass.scene.now);
    pass.events.extend(event);
    pass.reason = message;
    pass.wake(time::after(pass.scene.now, INVALID_RETRY_SECONDS));
}

/// Sets the condition; answers the event that tells of it, unless it has said the same before.
fn set_invalid(
    all: &mut Vec<RolloutCondition>,
    message: &str,
    generation: &str,
    uid: &str,
    now: jiff::Timestamp,
) -> Option<KubeEvent> {
    let known = conditions::find(all, ConditionType::InvalidSpec).is_some_and(|old| old.message == message);
    let (kind, reason) = (ConditionType::InvalidSpec, ConditionReason::InvalidSpec);
    conditions::set(all, kind, ConditionStatus::True, reason, message, &time::floor(now));
    let short_uid: String = uid.chars().take(8).collect();
    (!known).then(|| KubeEvent {
        name: format!("{short_uid}.invalidspec.{}", crate::hash::steps_hash(&json!([generation, message]))),
        kind: EventKind::Warning,
        reason: EventReason::InvalidSpec,
        message: message.to_owned(),
        at: now,
    })
}

/// The plan for a rollout without a stable revision whose spec cannot be followed: the condition lists every error, and nothing is made.
pub(crate) fn invalid(observed: &Observed, errors: &[FieldError], now: jiff::Timestamp) -> Plan {
    let before = observed.rollout.status.clone().unwrap_or_default();
    let message = invalid_message(&observed.rollout, errors);
    let generation = observed.rollout.metadata.generation.unwrap_or(0).to_string();
    let uid = observed.rollout.metadata.uid.as_deref().unwrap_or_default();
    let metadata = &observed.rollout.metadata;
    let name = tell::full_name(metadata.namespace.as_deref(), metadata.name.as_deref());
    let mut plan = refused(before, message, &generation, &name, uid, now);
    plan.wake_up = Some(time::after(now, INVALID_RETRY_SECONDS));
    plan
}

/// The plan for an object that cannot be decoded.
pub(crate) fn undecodable(object: &Value, error: &FieldError, now: jiff::Timestamp) -> Plan {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let before = object
        .get("status")
        .and_then(|status| serde_json::from_value::<RolloutStatus>(status.clone()).ok())
        .unwrap_or_default();
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0).to_string();
    let message = format!("The Rollout {:?} is invalid: {error}", text("/metadata/name"));
    let name = tell::full_name(Some(text("/metadata/namespace")), Some(text("/metadata/name")));
    refused(before, message, &generation, &name, text("/metadata/uid"), now)
}

fn refused(
    before: RolloutStatus,
    message: String,
    generation: &str,
    name: &str,
    uid: &str,
    now: jiff::Timestamp,
) -> Plan {
    let mut after = before.clone();
    let event = set_invalid(&mut after.conditions, &message, generation, uid, now);
    generation.clone_into(&mut after.observed_generation);
    after.phase = Some(RolloutPhase::Degraded);
    after.message = format!("InvalidSpec: {message}");
    let added = tell::added_event(&before, name, uid, now);
    let mut plan = Plan {
        status: status_patch(&before, &after, false),
        events: added.into_iter().chain(event).collect(),
        reason: message,
        ..Plan::default()
    };
    plan.order_events(now);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(before: &Value, after: &Value) -> StatusPatch {
        let status = |weights: &Value| RolloutStatus {
            canary: serde_json::from_value(json!({ "weights": weights })).unwrap(),
            ..RolloutStatus::default()
        };
        status_patch(&status(before), &status(after), false).unwrap()
    }

    fn weights(canary: i32, hash: &str) -> Value {
        json!({
            "canary": { "weight": canary, "serviceName": "canary", "podTemplateHash": hash },
            "stable": { "weight": 100 - canary, "serviceName": "stable", "podTemplateHash": "old" },
        })
    }

    #[test]
    fn a_status_that_is_what_it_was_is_not_written() {
        let status = RolloutStatus { replicas: 2, ..RolloutStatus::default() };

        assert!(status_patch(&status, &status.clone(), true).is_none());
    }

    #[test]
    fn a_service_that_selects_another_revision_under_the_same_weight_may_wait() {
        assert!(patch(&weights(0, "old"), &weights(0, "new")).gather);
    }

    #[test]
    fn a_weight_that_moved_may_not_wait() {
        assert!(!patch(&weights(0, "old"), &weights(10, "new")).gather);
    }
}
