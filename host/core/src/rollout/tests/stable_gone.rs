//! Rollouts whose stable ReplicaSet is deleted during an update.

use kulta_api::{PauseCondition, PauseReason, RolloutPhase, RolloutStatus};
use serde_json::json;

use crate::fixtures;
use crate::observed::Observed;
use crate::plan::{Action, EventReason, Plan};
use crate::rollout::begin;
use crate::rollout::tests::support::{done, now, route_writes, scales, service, status, steps, stored, under_way};

/// The canary has 1 available pod and 50 % of the traffic. Stable has no pods left.
fn without_stable() -> Observed {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.revisions.truncate(1);
    observed
}

fn pods(plan: &Plan) -> Vec<u64> {
    scales(plan).into_iter().map(|(_, pods)| pods).collect()
}

fn after(observed: Observed, plan: &Plan) -> RolloutStatus {
    stored(observed, plan).rollout.status.unwrap()
}

#[test]
fn a_canary_takes_all_traffic_and_all_pods_when_stable_is_gone() {
    let plan = done(begin(without_stable(), now()));

    assert_eq!((route_writes(&plan), pods(&plan)), (vec![100], vec![2]));
}

#[test]
fn a_canary_without_an_available_pod_gets_no_traffic_when_stable_is_gone() {
    let mut observed = without_stable();
    let bad = fixtures::revision(&status(&mut observed).current_pod_hash.clone(), 2, 1, 0);
    let bad = crate::workload::Revision { annotations: observed.revisions[0].annotations.clone(), ..bad };
    observed.revisions = vec![std::sync::Arc::new(bad)];

    let plan = done(begin(observed, now()));

    assert!(!route_writes(&plan).contains(&100), "{:?}", plan.writes);
}

#[test]
fn a_canary_with_all_its_pods_becomes_stable_when_stable_is_gone() {
    let mut observed = under_way(steps(), 1, 2, 100);
    observed.revisions.truncate(1);

    let plan = done(begin(observed.clone(), now()));

    let status = after(observed, &plan);
    assert_eq!(status.stable_rs, status.current_pod_hash);
    let completed = plan.events.iter().find(|event| event.reason == EventReason::RolloutCompleted).unwrap();
    assert!(completed.message.ends_with(": Stable ReplicaSet is gone"), "{}", completed.message);
}

#[test]
fn traffic_leaves_the_canary_service_only_for_a_stable_service_that_selects_its_pods() {
    let mut observed = under_way(steps(), 4, 2, 100);
    observed.revisions.truncate(1);
    let hash = status(&mut observed).current_pod_hash.clone();
    status(&mut observed).stable_rs.clone_from(&hash);

    let unswitched = route_writes(&done(begin(observed.clone(), now())));
    observed.services.extend([service("stable", &hash)]);
    let switched = route_writes(&done(begin(observed, now())));

    assert_eq!((unswitched, switched), (vec![], vec![0]));
}

#[test]
fn an_aborted_canary_keeps_the_traffic_when_there_is_no_stable_to_restore() {
    let mut observed = without_stable();
    status(&mut observed).abort = true;

    let plan = done(begin(observed.clone(), now()));

    let status = after(observed, &plan);
    assert_eq!((route_writes(&plan), status.abort, status.stable_rs.as_str()), (vec![100], true, "old"));
}

#[test]
fn a_paused_canary_keeps_its_pods_and_takes_the_traffic_when_stable_is_gone() {
    let mut observed = without_stable();
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed, now()));

    assert_eq!((route_writes(&plan), pods(&plan)), (vec![100], vec![]));
}

#[test]
fn a_rollout_whose_references_are_broken_keeps_the_traffic_at_its_pods_when_stable_is_gone() {
    let mut observed = without_stable();
    observed.analyzer_errors = vec![kulta_api::FieldError { path: "spec".into(), message: "bad".into() }];

    let plan = done(begin(observed.clone(), now()));

    assert_eq!((route_writes(&plan), after(observed, &plan).stable_rs.as_str()), (vec![100], "old"));
}

#[test]
fn a_canary_without_routes_takes_over_when_stable_is_gone() {
    let mut observed = without_stable();
    observed.rollout.spec.strategy = fixtures::rollout(json!({ "canary": { "steps": steps() } })).spec.strategy;

    assert_eq!(pods(&done(begin(observed, now()))), [2]);
}

#[test]
fn a_pause_ends_when_the_new_revision_takes_over() {
    let mut observed = without_stable();
    for reason in [PauseReason::CanaryPauseStep, PauseReason::InconclusiveAnalysisRun] {
        status(&mut observed).pause_conditions.push(PauseCondition { reason, start_time: kulta_api::Time(now()) });
    }

    let plan = done(begin(observed.clone(), now()));

    let status = after(observed, &plan);
    assert_eq!((status.pause_conditions, status.phase), (vec![], Some(RolloutPhase::Progressing)));
}

#[test]
fn an_aborted_canary_gets_its_service_back_when_stable_is_deleted_after_the_restore() {
    let mut observed = under_way(steps(), 0, 2, 0);
    observed.revisions.truncate(1);
    observed.services.extend([service("canary", "old")]);
    let hash = status(&mut observed).current_pod_hash.clone();
    status(&mut observed).abort = true;
    status(&mut observed).aborted_at = Some(kulta_api::Time(now()));

    let switched = done(begin(observed.clone(), now()));
    observed.services.extend([service("canary", &hash)]);
    let routed = done(begin(observed, now()));

    let selected: Vec<_> = switched
        .writes
        .iter()
        .filter_map(|write| match &write.action {
            Action::PatchService { name, patch } => Some((name.as_str(), patch.pointer("/spec/selector")?.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(selected, [("canary", json!({ "rollouts-pod-template-hash": hash }))]);
    assert_eq!(route_writes(&routed), [100]);
}
