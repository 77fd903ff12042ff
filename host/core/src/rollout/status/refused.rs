//! The condition, the event and the plan for a spec that cannot be followed.

use jiff::Timestamp;
use kulta_api::conditions::{self, ConditionType};
use kulta_api::validation::{FieldError, joined};
use kulta_api::{ConditionReason, ConditionStatus, Rollout, RolloutCondition, RolloutPhase, RolloutStatus};
use serde_json::{Value, json};

use super::patch::status_patch;
use crate::observed::Observed;
use crate::plan::{EventKind, EventReason, KubeEvent, Plan};
use crate::rollout::record;
use crate::{hash, time};

/// Seconds until references that could not be resolved are looked up again if no watch reports a change.
pub(super) const RETRY_SECONDS: u32 = 20;

pub(super) fn invalid_message(rollout: &Rollout, errors: &[FieldError]) -> String {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    format!("The Rollout {name:?} is invalid: {}", joined(errors))
}

/// Sets the condition. Returns its event, unless the condition had the same message before.
pub(super) fn set_invalid(
    all: &mut Vec<RolloutCondition>,
    message: &str,
    generation: &str,
    uid: &str,
    now: Timestamp,
) -> Option<KubeEvent> {
    let known = conditions::find(all, ConditionType::InvalidSpec).is_some_and(|old| old.message == message);
    let (kind, reason) = (ConditionType::InvalidSpec, ConditionReason::InvalidSpec);
    conditions::set(all, kind, ConditionStatus::True, reason, message, &time::floor(now));
    let mark = hash::steps_hash(&json!([generation, message]));
    (!known).then(|| KubeEvent {
        name: record::event_name(uid, &format!("invalidspec.{mark}"), EventReason::InvalidSpec),
        kind: EventKind::Warning,
        reason: EventReason::InvalidSpec,
        message: message.to_owned(),
        at: now,
    })
}

/// The plan for a rollout with errors and without a stable revision: the condition lists every error, and nothing is created.
pub(crate) fn invalid(observed: &Observed, errors: &[FieldError], now: Timestamp) -> Plan {
    let before = observed.rollout.status.clone().unwrap_or_default();
    let message = invalid_message(&observed.rollout, errors);
    let generation = observed.rollout.metadata.generation.unwrap_or(0).to_string();
    let uid = observed.rollout.metadata.uid.as_deref().unwrap_or_default();
    let metadata = &observed.rollout.metadata;
    let name = record::full_name(metadata.namespace.as_deref(), metadata.name.as_deref());
    let mut plan = refused(before, message, &generation, &name, uid, now);
    plan.wake_up = Some(time::after(now, RETRY_SECONDS));
    plan
}

/// The plan for an object that cannot be decoded.
pub(crate) fn undecodable(object: &Value, error: &FieldError, now: Timestamp) -> Plan {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let before = object
        .get("status")
        .and_then(|status| serde_json::from_value::<RolloutStatus>(status.clone()).ok())
        .unwrap_or_default();
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0).to_string();
    let message = format!("The Rollout {:?} is invalid: {error}", text("/metadata/name"));
    let name = record::full_name(Some(text("/metadata/namespace")), Some(text("/metadata/name")));
    refused(before, message, &generation, &name, text("/metadata/uid"), now)
}

fn refused(before: RolloutStatus, message: String, generation: &str, name: &str, uid: &str, now: Timestamp) -> Plan {
    let mut after = before.clone();
    let event = set_invalid(&mut after.conditions, &message, generation, uid, now);
    generation.clone_into(&mut after.observed_generation);
    after.phase = Some(RolloutPhase::Degraded);
    after.message = format!("InvalidSpec: {message}");
    let added = record::added_event(&before, name, uid, now);
    let mut plan = Plan {
        status: status_patch(&before, &after, false),
        events: added.into_iter().chain(event).collect(),
        reason: message,
        ..Plan::default()
    };
    plan.order_events(now);
    plan
}
