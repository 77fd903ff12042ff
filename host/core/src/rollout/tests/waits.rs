//! The parts of the status about traffic, the strategy and the objects that the rollout waits for.

use kulta_api::conditions::ConditionType;
use kulta_api::{ConditionStatus, RolloutPhase};
use serde_json::json;

use super::status::{condition, idle, now, reason_and_message};
use super::support::{done, stored};
use crate::observed::{Observed, ObservedRoute, RouteState};
use crate::rollout::begin;
use crate::rollout::tests::support::{route, routed, service};

fn status_of(observed: &Observed, kind: ConditionType) -> Option<ConditionStatus> {
    condition(observed, kind).map(|condition| condition.status)
}

/// A routed rollout whose only revision is stable, with all its pods. The route has this state.
fn routed_idle(state: RouteState) -> Observed {
    let mut observed = idle(2);
    observed.rollout.spec.strategy = serde_json::from_value(routed(json!([{ "setWeight": 50 }]))).unwrap();
    let hash = observed.rollout.status.as_ref().unwrap().stable_rs.clone();
    observed.services = [service("canary", &hash), service("stable", &hash)].into();
    observed.routes = vec![ObservedRoute { state, ..route(0) }];
    observed
}

#[test]
fn conditions_about_traffic_and_the_strategy_hold_when_all_is_well() {
    use ConditionStatus::True;
    let plain = idle(2);
    let behind_routes = routed_idle(route(0).state);

    let conditions = [plain, behind_routes].map(|observed| {
        let plan = done(begin(observed.clone(), now()));
        let after = stored(observed, &plan);
        [ConditionType::TrafficReady, ConditionType::StrategyReady].map(|kind| status_of(&after, kind))
    });

    assert_eq!(conditions, [[None, Some(True)], [Some(True), Some(True)]]);
}

#[test]
fn a_rollout_that_cannot_route_is_not_healthy_and_names_the_route() {
    let healthy = routed_idle(route(0).state);
    let plan = done(begin(healthy.clone(), now()));
    let mut observed = stored(healthy, &plan);
    observed.routes[0].state = RouteState::Missing;

    let plan = done(begin(observed.clone(), now()));

    let after = stored(observed, &plan);
    let status = after.rollout.status.as_ref().unwrap();
    let expected = "waiting for traffic routing: HTTPRoute \"web\" not found";
    assert_eq!((status.phase, status.message.as_str()), (Some(RolloutPhase::Progressing), expected));
    let (reason, message) = reason_and_message(&after, ConditionType::Progressing);
    assert_eq!(reason, "ReplicaSetUpdated");
    assert!(message.ends_with("is progressing: HTTPRoute \"web\" not found"), "{message}");
    assert_eq!(status_of(&after, ConditionType::Healthy), Some(ConditionStatus::False));
    assert_eq!(reason_and_message(&after, ConditionType::Available).1, "Rollout has minimum availability");
}

#[test]
fn a_promoted_rollout_stays_healthy_while_its_route_goes_back() {
    let healthy = routed_idle(route(0).state);
    let plan = done(begin(healthy.clone(), now()));
    let mut observed = stored(healthy, &plan);
    let before = condition(&observed, ConditionType::Progressing);
    observed.routes = vec![route(100)];

    let plan = done(begin(observed.clone(), now()));

    let after = stored(observed, &plan);
    assert_eq!(after.rollout.status.as_ref().unwrap().phase, Some(RolloutPhase::Healthy));
    assert_eq!(condition(&after, ConditionType::Progressing), before);
}

#[test]
fn a_first_revision_without_its_route_is_not_healthy() {
    let mut observed = routed_idle(RouteState::Missing);
    let status = observed.rollout.status.as_mut().unwrap();
    status.stable_rs.clear();

    let plan = done(begin(observed.clone(), now()));

    let after = stored(observed, &plan).rollout.status.unwrap();
    assert_eq!(after.phase, Some(RolloutPhase::Progressing));
}

#[test]
fn all_missing_references_are_named_at_once_with_the_route() {
    let mut observed = routed_idle(RouteState::Missing);
    observed.services.insert("canary".into(), None);

    let plan = done(begin(observed.clone(), now()));

    let (_, message) = reason_and_message(&stored(observed, &plan), ConditionType::InvalidSpec);
    for missing in ["service \"canary\" not found", "HTTPRoute \"web\" not found"] {
        assert!(message.contains(missing), "{message}");
    }
}

#[test]
fn the_phase_names_the_pods_that_the_rollout_waits_for() {
    let mut observed = idle(1);
    observed.rollout.status.as_mut().unwrap().available_replicas = 1;

    let plan = done(begin(observed.clone(), now()));

    let status = stored(observed.clone(), &plan).rollout.status.unwrap();
    let expected = format!(
        "updated replicas are still becoming available: ReplicaSet \"{}\" has 1 of 2 pods available",
        observed.revisions[0].name
    );
    assert_eq!(status.message, expected);
}
