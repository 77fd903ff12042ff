//! The status and events that clients of Argo expect, after user actions and changes in the cluster.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_api::conditions::{self, ConditionType};
use kulta_api::{RolloutCondition, RolloutStatus};
use serde_json::json;

use crate::fixtures;
use crate::observed::Observed;
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::LookedUp;
use crate::rollout::tests::support::{done, plan_by, stored};
use crate::workload::{Revision, WorkloadWrite};

const NOW: i64 = 1_800_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// A first revision, before any object is created.
fn first() -> Observed {
    Observed { rollout: fixtures::rollout(json!({ "canary": {} })), record_kept: true, ..Observed::default() }
}

/// A canary without steps whose only revision is stable. `available` of its 2 pods are available.
pub(crate) fn idle(available: u32) -> Observed {
    let mut observed = first();
    let hash = crate::hash::revision_hash(&observed.rollout.spec.template.0, 0);
    let mut new = fixtures::revision(&hash, 1, 2, available);
    new.annotations
        .insert("kulta.io/template-hash".into(), crate::hash::template_hash(&observed.rollout.spec.template.0));
    observed.revisions = vec![Arc::new(new)];
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

pub(crate) fn condition(observed: &Observed, kind: ConditionType) -> Option<RolloutCondition> {
    conditions::find(&observed.rollout.status.as_ref().unwrap().conditions, kind).cloned()
}

pub(crate) fn reason_and_message(observed: &Observed, kind: ConditionType) -> (String, String) {
    let found = condition(observed, kind).unwrap();
    (found.reason, found.message)
}

fn reasons(plan: &Plan) -> Vec<&'static str> {
    let mut events: Vec<_> = plan.events.iter().chain(plan.writes.iter().flat_map(|write| &write.events)).collect();
    events.sort_by_key(|event| event.at);
    assert!(events.windows(2).all(|pair| pair[0].at < pair[1].at), "two events at one time: {events:?}");
    events.into_iter().map(|event| event.reason.as_str()).collect()
}

#[test]
fn a_first_revision_has_the_events_of_argo() {
    let plan = done(begin(first(), now()));

    assert_eq!(
        reasons(&plan),
        [
            "RolloutAddedToInformer",
            "RolloutUpdated",
            "NewReplicaSetCreated",
            "RolloutNotCompleted",
            "ScalingReplicaSet"
        ]
    );
}

/// No value can satisfy a condition of its analysis.
fn with_warning() -> Observed {
    let warning = kulta_api::FieldError { path: "spec".into(), message: "odd".into() };
    Observed { template_warnings: vec![warning], ..first() }
}

#[test]
fn a_warning_follows_the_events_that_begin_a_revision() {
    let plan = done(begin(with_warning(), now()));

    assert_eq!(reasons(&plan)[..3], ["RolloutAddedToInformer", "RolloutUpdated", "NewReplicaSetCreated"]);
}

#[test]
fn a_warning_is_emitted_once_the_references_of_the_same_generation_exist() {
    let mut broken = with_warning();
    broken.strategy_errors = vec![kulta_api::FieldError { path: "spec".into(), message: "bad".into() }];
    let refused = done(begin(broken.clone(), now()));
    let repaired = Observed { strategy_errors: Vec::new(), ..stored(broken, &refused) };

    let plan = done(begin(repaired.clone(), now()));
    let again = done(begin(stored(repaired, &plan), now()));

    let warned = [refused, plan, again].map(|plan| reasons(&plan).contains(&"AnalysisWarning"));
    assert_eq!(warned, [false, true, false]);
}

#[test]
fn the_event_of_an_added_rollout_is_emitted_once_whether_its_spec_is_valid_or_not() {
    let observed = first();
    let mut invalid = first();
    invalid.strategy_errors = vec![kulta_api::FieldError { path: "spec".into(), message: "bad".into() }];

    for observed in [observed, invalid] {
        let plan = done(begin(observed.clone(), now()));
        let again = done(begin(stored(observed, &plan), now()));

        assert_eq!(reasons(&plan)[0], "RolloutAddedToInformer");
        assert!(!reasons(&again).contains(&"RolloutAddedToInformer"), "{again:?}");
    }
}

/// The pod template of an idle rollout has changed.
fn updated() -> Observed {
    let mut observed = idle(2);
    observed.rollout.spec.strategy = serde_json::from_value(
        json!({ "canary": { "steps": [{ "setWeight": 0 }, { "setWeight": 50 }, { "pause": {} }] } }),
    )
    .unwrap();
    let template = kulta_api::PodTemplate(fixtures::template("web:2"));
    observed.rollout.spec.template = template;
    observed.rollout.metadata.generation = Some(2);
    observed
}

/// The strategy completes one step per question, up to step `last`.
fn decided(observed: Observed, last: u32) -> Plan {
    plan_by(begin(observed, now()), &LookedUp::default(), |situation| {
        let step = if situation.reached { situation.step + 1 } else { situation.step };
        let weight = if step == 0 { 0 } else { 50 };
        crate::rollout::tests::support::hold(step.min(last), weight)
    })
}

#[test]
fn an_update_has_the_events_of_argo() {
    let plan = decided(updated(), 1);

    assert_eq!(
        reasons(&plan)[..4],
        ["RolloutUpdated", "NewReplicaSetCreated", "RolloutNotCompleted", "ScalingReplicaSet"]
    );
}

#[test]
fn the_event_of_a_step_that_completes_at_once_follows_the_one_of_the_replica_set() {
    let plan = decided(updated(), 1);

    let events = reasons(&plan);
    let place = |reason: &str| events.iter().position(|events| *events == reason);
    assert!(place("RolloutStepCompleted") > place("ScalingReplicaSet"), "{events:?}");
}

#[test]
fn an_update_to_an_existing_revision_has_no_event_of_a_new_replica_set() {
    let mut observed = updated();
    let hash = crate::hash::revision_hash(&observed.rollout.spec.template.0, 0);
    let mut old = fixtures::revision(&hash, 0, 0, 0);
    old.template = observed.rollout.spec.template.clone();
    old.annotations
        .insert("kulta.io/template-hash".into(), crate::hash::template_hash(&observed.rollout.spec.template.0));
    observed.revisions.push(Arc::new(old));

    let plan = decided(observed, 1);

    assert_eq!(reasons(&plan)[..2], ["RolloutUpdated", "RolloutNotCompleted"]);
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

    let (reason, message) = reason_and_message(&stored(observed, &plan), ConditionType::Progressing);

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
fn a_rollout_with_a_missing_pod_has_no_minimum_availability() {
    let observed = idle(1);
    let plan = done(begin(observed.clone(), now()));

    let (_, message) = reason_and_message(&stored(observed, &plan), ConditionType::Available);

    assert_eq!(message, "Rollout does not have minimum availability");
}

#[test]
fn a_completed_rollout_that_loses_a_pod_reports_it() {
    let healthy = idle(2);
    let plan = done(begin(healthy.clone(), now()));
    let mut observed = stored(healthy, &plan);
    let short = Revision { available_replicas: 1, ready_replicas: 1, ..Revision::clone(&observed.revisions[0]) };
    observed.revisions = vec![Arc::new(short)];

    let plan = done(begin(observed.clone(), now()));

    let (reason, _) = reason_and_message(&stored(observed, &plan), ConditionType::Progressing);
    assert_eq!(reason, "ReplicaSetNotAvailable");
}

#[test]
fn a_fully_promoted_rollout_that_a_user_pauses_keeps_its_progressing_condition() {
    let healthy = idle(2);
    let plan = done(begin(healthy.clone(), now()));
    let mut observed = stored(healthy, &plan);
    let before = condition(&observed, ConditionType::Progressing);
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed.clone(), now().checked_add(SignedDuration::from_secs(9)).unwrap()));

    assert_eq!(condition(&stored(observed, &plan), ConditionType::Progressing), before);
}

#[test]
fn a_taken_name_raises_the_collision_count_without_a_new_revision() {
    let observed = first();
    let before = done(begin(observed.clone(), now()));
    let Some(Action::Workload(WorkloadWrite::Create { name, .. })) =
        before.writes.first().map(|write| write.action.clone())
    else {
        panic!("{before:?}")
    };
    let mut observed = stored(observed, &before);
    observed.taken_names.insert(name.clone());

    let plan = done(begin(observed.clone(), now()));

    let after = stored(observed, &plan);
    let status = after.rollout.status.as_ref().unwrap();
    let other = format!("web-{}", status.current_pod_hash);
    assert_eq!((status.collision_count, other == name), (Some(1), false));
    assert!(matches!(&plan.writes[0].action, Action::Workload(WorkloadWrite::Create { name, .. }) if *name == other));
    assert!(!reasons(&plan).contains(&"RolloutUpdated"), "{plan:?}");
}

#[test]
fn a_replica_set_with_another_template_under_our_name_is_a_collision() {
    let mut observed = first();
    let hash = crate::hash::revision_hash(&observed.rollout.spec.template.0, 0);
    let other = kulta_api::PodTemplate(fixtures::template("web:9"));
    observed.revisions = vec![Arc::new(Revision { template: other, ..fixtures::revision(&hash, 1, 2, 2) })];

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
    let mut new = fixtures::revision(&hash, 1, 2, 0);
    new.annotations
        .insert("kulta.io/template-hash".into(), crate::hash::template_hash(&observed.rollout.spec.template.0));
    observed.revisions = vec![Arc::new(new)];
    let plan = done(begin(observed.clone(), now()));
    let observed = stored(observed, &plan);

    let plan = done(begin(observed.clone(), now().checked_add(SignedDuration::from_secs(6)).unwrap()));

    let name = observed.revisions[0].name.clone();
    let (reason, message) = reason_and_message(&stored(observed, &plan), ConditionType::Progressing);
    let why = format!("ReplicaSet {name:?} has timed out progressing: ReplicaSet {name:?} has 0 of 2 pods available");
    assert_eq!((reason.as_str(), message), ("ProgressDeadlineExceeded", why));
}
