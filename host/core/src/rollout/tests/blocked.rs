//! Rollouts whose references are broken or whose spec is invalid during an update.

use std::sync::Arc;

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionStatus, FieldError, RolloutStatus};
use serde_json::json;

use crate::fixtures;
use crate::observed::Observed;
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::tests::support::{
    done, now, route, route_writes, routed, scales, service, status, steps, stored, under_way,
};
use crate::workload::{Revision, WorkloadWrite};

/// A canary with 1 pod and 50 % of the traffic, paused by its step. A user aborts the update.
fn aborted() -> Observed {
    let mut observed = under_way(steps(), 1, 1, 50);
    status(&mut observed).abort = true;
    observed
}

fn broken() -> Vec<FieldError> {
    vec![FieldError { path: "spec.strategy.canary.analysis".to_owned(), message: "template not found".to_owned() }]
}

fn message(plan: &Plan, observed: Observed) -> String {
    let status = stored(observed, plan).rollout.status.unwrap();
    assert!(conditions::find(&status.conditions, ConditionType::InvalidSpec).is_some(), "{:?}", status.conditions);
    status.message
}

#[test]
fn an_abort_restores_stable_while_a_reference_is_broken_and_the_status_still_reports_it() {
    let mut observed = aborted();
    observed.analyzer_errors = broken();

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(route_writes(&plan), [0]);
    let message = message(&plan, observed);
    assert!(message.starts_with("InvalidSpec: ") && message.contains("template not found"), "{message}");
}

#[test]
fn an_abort_ends_with_the_canary_without_pods_while_a_reference_is_broken() {
    let mut observed = aborted();
    observed.analyzer_errors = broken();
    observed.rollout.spec.strategy = fixtures::rollout(json!({ "canary": { "steps": steps() } })).spec.strategy;

    let plan = done(begin(observed, now()));

    assert_eq!(scales(&plan).into_iter().map(|(_, pods)| pods).collect::<Vec<_>>(), [0]);
}

#[test]
fn an_abort_restores_stable_while_the_spec_is_invalid() {
    let mut observed = aborted();
    observed.rollout.spec.min_ready_seconds = Some(-1);

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(route_writes(&plan), [0]);
    assert!(message(&plan, observed).contains("minReadySeconds"));
}

#[test]
fn an_abort_restores_stable_while_an_invalid_template_waits_for_its_correction() {
    let mut observed = aborted();
    observed.rollout.spec.template = kulta_api::PodTemplate(fixtures::template("web:3"));
    observed.rollout.spec.min_ready_seconds = Some(-1);
    observed.rollout.metadata.generation = Some(2);

    let plan = done(begin(observed.clone(), now()));

    assert_eq!(route_writes(&plan), [0]);
    let created =
        plan.writes.iter().any(|write| matches!(write.action, Action::Workload(WorkloadWrite::Create { .. })));
    let before = observed.rollout.status.as_ref().unwrap().current_pod_hash.clone();
    let after: RolloutStatus = stored(observed, &plan).rollout.status.unwrap();
    assert_eq!((created, after.abort, after.current_pod_hash), (false, true, before));
}

#[test]
fn a_canary_that_cannot_serve_loses_its_traffic_while_a_reference_is_broken() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.analyzer_errors = broken();
    observed.revisions[0] = Arc::new(Revision { available_replicas: 0, ..Revision::clone(&observed.revisions[0]) });

    assert_eq!(route_writes(&done(begin(observed, now()))), [0]);
}

#[test]
fn a_canary_whose_service_is_deleted_loses_its_traffic() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.services.insert("canary".to_owned(), None);

    assert_eq!(route_writes(&done(begin(observed, now()))), [0]);
}

#[test]
fn an_abort_gives_no_traffic_to_a_stable_service_that_is_deleted() {
    let mut observed = aborted();
    observed.services.insert("stable".to_owned(), None);

    let plan = done(begin(observed.clone(), now()));

    assert_eq!((route_writes(&plan), scales(&plan)), (vec![], vec![]));
    assert!(stored(observed, &plan).rollout.status.unwrap().aborted_at.is_some());
}

#[test]
fn an_update_goes_no_step_further_while_a_reference_is_broken() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.analyzer_errors = broken();

    let plan = done(begin(observed, now()));

    assert_eq!((plan.writes, plan.step_call), (vec![], None));
}

#[test]
fn an_update_whose_reference_is_broken_is_reported_once_and_then_writes_nothing() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.analyzer_errors = broken();
    let first = done(begin(observed.clone(), now()));
    let observed = stored(observed, &first);

    let later = now().checked_add(jiff::SignedDuration::from_secs(20)).unwrap();
    let second = done(begin(observed, later));

    assert_eq!((first.events.len(), second.events.len(), second.status.is_none()), (1, 0, true), "{second:?}");
}

#[test]
fn a_failed_background_analysis_aborts_while_another_reference_is_broken() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.analyzer_errors = broken();
    let hash = status(&mut observed).current_pod_hash.clone();
    status(&mut observed).canary = serde_json::from_value(json!({
        "currentBackgroundAnalysisRunStatus": { "name": format!("web-{hash}-2"), "status": "Failed", "message": "errors" }
    }))
    .unwrap();

    let plan = done(begin(observed.clone(), now()));

    assert_eq!((route_writes(&plan), stored(observed, &plan).rollout.status.unwrap().abort), (vec![0], true));
}

#[test]
fn a_rollback_by_the_template_restores_stable_while_a_reference_is_broken() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.analyzer_errors = broken();
    let template = fixtures::template("web:0");
    let old =
        Revision { template: kulta_api::PodTemplate(template.clone()), ..Revision::clone(&observed.revisions[1]) };
    observed.revisions[1] = Arc::new(old);
    observed.rollout.spec.template = kulta_api::PodTemplate(template);
    observed.rollout.metadata.generation = Some(2);

    assert_eq!(route_writes(&done(begin(observed, now()))), [0]);
}

#[test]
fn a_canary_keeps_its_pods_when_an_aborted_rollouts_routing_cannot_be_read() {
    let mut observed = aborted();
    let mut strategy = routed(steps());
    strategy["canary"]["trafficRouting"] = json!({ "istio": {} });
    observed.rollout.spec.strategy = fixtures::rollout(strategy).spec.strategy;

    let plan = done(begin(observed, now()));

    assert_eq!((route_writes(&plan), scales(&plan)), (vec![], vec![]));
}

#[test]
fn a_service_of_another_rollout_is_not_changed() {
    let mut observed = aborted();
    let (name, theirs) = service("stable", "theirs");
    let theirs = crate::observed::Service { managed_by: Some("shop".to_owned()), ..(*theirs.unwrap()).clone() };
    observed.services.insert(name.clone(), Some(Arc::new(theirs)));
    observed.conflicting_services.insert(name, "shop".to_owned());

    let plan = done(begin(observed, now()));

    assert_eq!((route_writes(&plan), scales(&plan)), (vec![], vec![]));
    let patched = plan.writes.iter().any(|write| matches!(write.action, Action::PatchService { .. }));
    assert!(!patched, "{:?}", plan.writes);
}

#[test]
fn a_stable_rollout_is_scaled_while_a_reference_is_broken() {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services.extend([service("canary", &hash), service("stable", &hash)]);
    observed.routes = vec![route(0)];
    observed.revisions.truncate(1);
    status(&mut observed).stable_rs = hash;
    observed.rollout.spec.replicas = Some(5);
    observed.analyzer_errors = broken();

    assert_eq!(scales(&done(begin(observed, now()))).into_iter().map(|(_, pods)| pods).collect::<Vec<_>>(), [5]);
}

#[test]
fn a_number_of_replicas_that_is_invalid_scales_nothing() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.spec.replicas = Some(-1);

    let plan = done(begin(observed, now()));

    assert_eq!((scales(&plan), route_writes(&plan)), (vec![], vec![]));
}

#[test]
fn a_first_deployment_waits_for_its_references() {
    let mut observed = under_way(steps(), 0, 0, 0);
    observed.rollout.status = None;
    observed.revisions.clear();
    observed.analyzer_errors = broken();

    assert_eq!(done(begin(observed, now())).writes, vec![]);
}

#[test]
fn a_strategy_that_the_spec_does_not_name_is_not_reported_as_ready() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.spec.strategy = kulta_api::RolloutStrategy::default();

    let plan = done(begin(observed.clone(), now()));

    let conditions = stored(observed, &plan).rollout.status.unwrap().conditions;
    assert_eq!(conditions::find(&conditions, ConditionType::StrategyReady), None);
}

#[test]
fn a_rollout_that_is_aborted_in_a_pause_is_not_reported_as_paused() {
    let time = "2026-01-01T00:00:00Z";
    let mut observed = aborted();
    status(&mut observed).pause_conditions =
        serde_json::from_value(json!([{ "reason": "CanaryPauseStep", "startTime": time }])).unwrap();
    status(&mut observed).conditions = serde_json::from_value(json!([{
        "type": "Paused", "status": "True", "reason": "RolloutPaused", "message": "Rollout is paused",
        "lastUpdateTime": time, "lastTransitionTime": time,
    }]))
    .unwrap();
    observed.analyzer_errors = broken();

    let plan = done(begin(observed.clone(), now()));

    let conditions = stored(observed, &plan).rollout.status.unwrap().conditions;
    let paused = conditions::find(&conditions, ConditionType::Paused).map(|paused| paused.status);
    assert_eq!(paused, Some(ConditionStatus::False));
}

#[test]
fn a_stable_rollout_is_not_reported_as_aborted() {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    status(&mut observed).stable_rs = hash;
    status(&mut observed).abort = true;
    observed.analyzer_errors = broken();

    let plan = done(begin(observed.clone(), now()));

    let status = stored(observed, &plan).rollout.status.unwrap();
    assert_eq!((status.abort, conditions::find(&status.conditions, ConditionType::Progressing)), (false, None));
}

#[test]
fn the_time_in_which_a_rollout_was_blocked_does_not_count_against_its_deadline() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.spec.progress_deadline_abort = Some(true);
    // The stable ReplicaSet is deleted, so the canary waits for pods.
    observed.revisions.truncate(1);
    for _ in 0..2 {
        let waiting = done(begin(observed.clone(), now()));
        observed = stored(observed, &waiting);
    }
    let broken = Observed { analyzer_errors: broken(), ..observed.clone() };
    let blocked = done(begin(broken.clone(), now()));
    let repaired = Observed { analyzer_errors: vec![], ..stored(broken, &blocked) };
    let later = now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();

    let plan = done(begin(repaired.clone(), later));

    assert!(!stored(repaired, &plan).rollout.status.unwrap().abort, "{:?}", plan.events);
}
