//! Status and events as Argo's readers expect them, and what a pass makes of people's and the cluster's doings.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_api::conditions::{self, ConditionType};
use kulta_api::{RolloutCondition, RolloutStatus};
use serde_json::{Value, json};

use crate::fixtures;
use crate::observed::{Observed, ReplicaSet};
use crate::pass::{Turn, begin};
use crate::plan::{Action, Plan};

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn done(turn: Turn) -> Plan {
    match turn {
        Turn::Done(plan) => *plan,
        Turn::Ask(ask) => panic!("asked: {ask:?}"),
    }
}

/// A first revision: nothing is there yet.
fn first() -> Observed {
    Observed { rollout: fixtures::rollout(json!({ "canary": {} })), record_kept: true, ..Observed::default() }
}

/// A canary without steps whose only revision is stable, with so many of its 2 pods available.
fn at_rest(available: u32) -> Observed {
    let mut observed = first();
    let hash = crate::hash::revision_hash(&observed.rollout.spec.template.0, 0);
    let mut new = fixtures::replica_set(&hash, 1, 2, available);
    new.annotations
        .insert("kulta.io/template-hash".into(), crate::hash::template_hash(&observed.rollout.spec.template.0));
    observed.replica_sets = vec![Arc::new(new)];
    observed.rollout.status = Some(RolloutStatus {
        current_pod_hash: hash.clone(),
        stable_rs: hash,
        observed_generation: "1".into(),
        available_replicas: 2,
        updated_replicas: 2,
        replicas: 2,
        ready_replicas: 2,
        ..RolloutStatus::default()
    });
    observed
}

/// The observation after the plan's status was stored.
fn stored(mut observed: Observed, plan: &Plan) -> Observed {
    let mut status = serde_json::to_value(observed.rollout.status.clone().unwrap_or_default()).unwrap();
    if let Some(patch) = &plan.status {
        merge(&mut status, &patch.patch);
    }
    observed.rollout.status = Some(serde_json::from_value(status).unwrap());
    observed
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(target.as_object_mut().unwrap().entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

fn condition(observed: &Observed, kind: ConditionType) -> Option<RolloutCondition> {
    conditions::find(&observed.rollout.status.as_ref().unwrap().conditions, kind).cloned()
}

fn said(observed: &Observed, kind: ConditionType) -> (String, String) {
    let found = condition(observed, kind).unwrap();
    (found.reason, found.message)
}

fn reasons(plan: &Plan) -> Vec<&'static str> {
    let told = plan.events.iter().chain(plan.writes.iter().flat_map(|write| &write.events));
    told.map(|event| event.reason.as_str()).collect()
}

#[test]
fn a_first_revision_is_told_as_argo_tells_it() {
    let plan = done(begin(first(), now()));

    assert_eq!(reasons(&plan), ["RolloutNotCompleted", "RolloutUpdated", "NewReplicaSetCreated", "ScalingReplicaSet"]);
}

#[test]
fn a_revision_without_pods_is_created_and_not_scaled() {
    let mut observed = first();
    observed.rollout.spec.replicas = Some(0);

    let plan = done(begin(observed, now()));

    assert!(!reasons(&plan).contains(&"ScalingReplicaSet"), "{plan:?}");
}

#[test]
fn a_new_replica_set_is_named_in_the_condition() {
    let observed = first();
    let plan = done(begin(observed.clone(), now()));

    let (reason, message) = said(&stored(observed, &plan), ConditionType::Progressing);

    assert_eq!(reason, "NewReplicaSetCreated");
    assert!(message.starts_with("Created new replica set \"web-"), "{message}");
}

#[test]
fn there_is_no_healthy_condition_before_it_has_been_healthy() {
    let observed = first();
    let plan = done(begin(observed.clone(), now()));

    assert_eq!(condition(&stored(observed, &plan), ConditionType::Healthy), None);
}

#[test]
fn a_missing_pod_is_no_minimum_availability() {
    let observed = at_rest(1);
    let plan = done(begin(observed.clone(), now()));

    let (_, message) = said(&stored(observed, &plan), ConditionType::Available);

    assert_eq!(message, "Rollout does not have minimum availability");
}

#[test]
fn a_completed_rollout_that_loses_a_pod_says_so() {
    let healthy = at_rest(2);
    let plan = done(begin(healthy.clone(), now()));
    let mut observed = stored(healthy, &plan);
    let short = ReplicaSet { available_replicas: 1, ready_replicas: 1, ..ReplicaSet::clone(&observed.replica_sets[0]) };
    observed.replica_sets = vec![Arc::new(short)];

    let plan = done(begin(observed.clone(), now()));

    let (reason, _) = said(&stored(observed, &plan), ConditionType::Progressing);
    assert_eq!(reason, "ReplicaSetNotAvailable");
}

#[test]
fn a_taken_name_raises_the_collision_count_and_begins_nothing_anew() {
    let observed = first();
    let before = done(begin(observed.clone(), now()));
    let Some(Action::CreateReplicaSet { name, .. }) = before.writes.first().map(|write| write.action.clone()) else {
        panic!("{before:?}")
    };
    let mut observed = stored(observed, &before);
    observed.taken_names.insert(name.clone());

    let plan = done(begin(observed.clone(), now()));

    let after = stored(observed, &plan);
    let status = after.rollout.status.as_ref().unwrap();
    let other = format!("web-{}", status.current_pod_hash);
    assert_eq!((status.collision_count, other == name), (Some(1), false));
    assert!(matches!(&plan.writes[0].action, Action::CreateReplicaSet { name, .. } if *name == other));
    assert!(!reasons(&plan).contains(&"RolloutUpdated"), "{plan:?}");
}

#[test]
fn a_replica_set_of_another_meaning_under_our_own_name_is_a_collision() {
    let mut observed = first();
    let hash = crate::hash::revision_hash(&observed.rollout.spec.template.0, 0);
    let other = kulta_api::PodTemplate(fixtures::template("web:9"));
    observed.replica_sets = vec![Arc::new(ReplicaSet { template: other, ..fixtures::replica_set(&hash, 1, 2, 2) })];

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(stored(observed, &plan).rollout.status.unwrap().collision_count, Some(1));
}

#[test]
fn a_first_revision_that_makes_no_progress_exceeds_its_deadline() {
    let mut observed = first();
    observed.rollout.spec.progress_deadline_seconds = Some(5);
    let plan = done(begin(observed.clone(), now()));
    let mut observed = stored(observed, &plan);
    let hash = observed.rollout.status.as_ref().unwrap().current_pod_hash.clone();
    let mut new = fixtures::replica_set(&hash, 1, 2, 0);
    new.annotations
        .insert("kulta.io/template-hash".into(), crate::hash::template_hash(&observed.rollout.spec.template.0));
    observed.replica_sets = vec![Arc::new(new)];
    let plan = done(begin(observed.clone(), now()));
    let observed = stored(observed, &plan);

    let plan = done(begin(observed.clone(), now().checked_add(SignedDuration::from_secs(6)).unwrap()));

    let (reason, _) = said(&stored(observed, &plan), ConditionType::Progressing);
    assert_eq!(reason, "ProgressDeadlineExceeded");
}
