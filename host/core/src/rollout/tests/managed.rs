//! Whole reconciliations of rollouts with managed routes: when their rules are written, kept and removed.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::decision::{Decision, HeaderMatch, ManagedRoute, ManagedRouteKind, Next, PauseCause, Scale, TextMatch};
use crate::observed::{Endpoints, Observed, Route, RouteState, RouteWrite};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::LookedUp;
use crate::rollout::tests::support::{
    asked, done, hold, now, plan_by, plan_with, route_writes, scales, service, status, under_way,
};

fn steps() -> Value {
    let header = json!({ "headerName": "team", "headerValue": { "exact": "qa" } });
    json!([{ "setCanaryScale": { "replicas": 1 } }, { "setHeaderRoute": { "name": "beta", "match": [header] } }, { "pause": {} }])
}

/// A canary with this number of pods, which are behind its Service. The spec names a managed route.
fn managed(index: i32, pods: u32) -> Observed {
    let mut observed = under_way(steps(), index, pods, 0);
    let canary = observed.rollout.spec.strategy.canary.as_mut().unwrap();
    let routing = canary.fields.traffic_routing.as_mut().unwrap();
    routing.managed_routes = vec![kulta_api::strategy::ManagedRoute { name: "beta".to_owned() }];
    observed
}

fn rule() -> Value {
    json!({
        "name": "beta",
        "matches": [{
            "path": { "type": "PathPrefix", "value": "/" },
            "headers": [{ "type": "Exact", "name": "team", "value": "qa" }],
        }],
        "backendRefs": [{ "name": "canary", "weight": 1 }],
    })
}

fn change(mut observed: Observed, change: impl FnOnce(&mut Route)) -> Observed {
    let RouteState::Found(found) = &observed.routes[0].state else { panic!("no route") };
    let mut route = Route::clone(found);
    change(&mut route);
    observed.routes[0].state = RouteState::Found(Arc::new(route));
    observed
}

/// The route has the rule, and the label.
fn with_rule(observed: Observed) -> Observed {
    change(observed, |route| {
        route.spec["rules"].as_array_mut().unwrap().insert(0, rule());
        route.labels.insert("rollouts.argoproj.io/gatewayapi-canary".to_owned(), "in-progress".to_owned());
    })
}

fn wants(step: u32) -> Decision {
    let header = HeaderMatch { name: "team".to_owned(), value: TextMatch::Exact("qa".to_owned()) };
    let beta = ManagedRoute { name: "beta".to_owned(), kind: ManagedRouteKind::Headers(vec![header]) };
    Decision { routes: vec![beta], canary: Scale::Replicas(1), ..hold(step, 0) }
}

/// The rules of managed routes after the writes of the plan, if it writes the route.
fn written(plan: &Plan) -> Option<Vec<Value>> {
    plan.writes.iter().find_map(|write| match &write.action {
        Action::PatchRoute { managed, .. } => Some(managed.clone()),
        _ => None,
    })
}

fn traffic_ready(plan: &Plan) -> Value {
    let patch = plan.status.as_ref().map(|status| status.patch.clone()).unwrap_or_default();
    let all = patch["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == "TrafficReady").unwrap_or_default()
}

#[test]
fn the_rule_is_written_once_the_canary_has_its_pod() {
    let plan = plan_with(managed(1, 1), &wants(1));

    assert_eq!(written(&plan), Some(vec![rule()]));
}

#[test]
fn no_rule_is_written_while_the_canary_has_no_available_pod() {
    let mut observed = managed(1, 1);
    let mut new = crate::workload::Revision::clone(&observed.revisions[0]);
    (new.available_replicas, new.ready_replicas) = (0, 0);
    observed.revisions[0] = Arc::new(new);

    assert_eq!(written(&plan_with(observed, &wants(1))), None);
}

#[test]
fn no_rule_is_written_while_the_canary_service_selects_another_revision() {
    let mut observed = managed(1, 1);
    observed.services.extend([service("canary", "old")]);

    assert_eq!(written(&plan_with(observed, &wants(1))), None);
}

#[test]
fn a_canary_that_is_to_have_no_pods_needs_no_rule_for_its_step_to_be_completed() {
    let without_pods = Decision { canary: Scale::FollowWeight, ..wants(1) };
    let mut reached = false;

    plan_by(begin(managed(1, 0), now()), &LookedUp::default(), |situation| {
        reached |= situation.reached;
        without_pods.clone()
    });

    assert!(reached);
}

#[test]
fn the_step_is_completed_when_the_gateway_has_accepted_the_rule() {
    let reached = |observed: Observed| {
        let mut reached = false;
        plan_by(begin(observed, now()), &LookedUp::default(), |situation| {
            reached |= situation.reached;
            wants(1)
        });
        reached
    };
    let unaccepted = change(with_rule(managed(1, 1)), |route| route.generation = 2);

    assert_eq!([reached(managed(1, 1)), reached(with_rule(managed(1, 1))), reached(unaccepted)], [false, true, false]);
}

#[test]
fn a_rule_that_was_deleted_is_put_back_during_a_pause() {
    let pause = Decision { next: Next::Pause { cause: PauseCause::Step, until: None }, ..wants(2) };

    assert_eq!(written(&plan_with(managed(2, 1), &pause)), Some(vec![rule()]));
}

#[test]
fn a_rule_that_the_step_does_not_want_is_removed() {
    let plan = plan_with(with_rule(managed(2, 1)), &Decision { routes: Vec::new(), ..wants(2) });

    assert_eq!(written(&plan), Some(Vec::new()));
}

#[test]
fn spec_paused_keeps_the_rule_and_puts_it_back() {
    let mut kept = with_rule(managed(2, 1));
    kept.rollout.spec.paused = Some(true);
    let mut gone = change(managed(2, 1), |route| {
        route.generation = 2;
        route.last_write =
            Some(RouteWrite { managed: vec![rule()], at: now(), generation: 1, ..RouteWrite::default() });
    });
    gone.rollout.spec.paused = Some(true);

    assert_eq!(written(&done(begin(kept, now()))), None);
    assert_eq!(written(&done(begin(gone, now()))), Some(vec![rule()]));
}

#[test]
fn an_abort_removes_the_rule_and_is_not_completed_before() {
    let mut observed = with_rule(managed(2, 1));
    let hash = status(&mut observed).current_pod_hash.clone();
    let changed = status(&mut observed);
    changed.abort = true;
    changed.kulta = Some(kulta_api::KultaStatus { restoring: Some(hash), ..kulta_api::KultaStatus::default() });

    let plan = done(begin(observed, now()));

    assert_eq!(written(&plan), Some(Vec::new()));
    assert!(!plan.transitions.iter().any(|one| format!("{one:?}").contains("Finished")), "{:?}", plan.transitions);
}

#[test]
fn a_promotion_removes_the_rule() {
    let mut observed = with_rule(managed(3, 2));
    status(&mut observed).promote_full = true;

    assert_eq!(written(&done(begin(observed, now()))), Some(Vec::new()));
}

#[test]
fn the_canary_keeps_its_pods_until_the_rule_is_gone() {
    let none = Decision { routes: Vec::new(), canary: Scale::Replicas(0), ..wants(2) };
    let known = LookedUp { endpoints: Some(Endpoints::default()), ..LookedUp::default() };

    let with = plan_by(begin(with_rule(managed(2, 1)), now()), &known, |_| none.clone());
    let without = plan_by(begin(managed(2, 1), now()), &known, |_| none.clone());

    let canary_goes = |plan: &Plan| scales(plan).iter().any(|(name, pods)| !name.ends_with("old") && *pods == 0);
    assert_eq!([canary_goes(&with), canary_goes(&without)], [false, true]);
}

#[test]
fn a_canary_without_an_available_pod_loses_the_rule() {
    let mut observed = with_rule(managed(2, 1));
    let mut new = crate::workload::Revision::clone(&observed.revisions[0]);
    (new.available_replicas, new.ready_replicas) = (0, 0);
    observed.revisions[0] = Arc::new(new);

    assert_eq!(written(&plan_with(observed, &wants(2))), Some(Vec::new()));
}

#[test]
fn the_rule_stays_while_only_the_canary_can_answer() {
    let mut observed = with_rule(managed(2, 1));
    let mut stable = crate::workload::Revision::clone(&observed.revisions[1]);
    (stable.available_replicas, stable.ready_replicas) = (0, 0);
    observed.revisions[1] = Arc::new(stable);

    assert_eq!(written(&plan_with(observed, &Decision { routes: Vec::new(), ..wants(2) })), None);
}

#[test]
fn the_label_says_that_an_update_is_in_progress_while_there_is_a_rule() {
    let labels = |plan: &Plan| {
        plan.writes.iter().find_map(|write| match &write.action {
            Action::PatchRoute { label, .. } => Some(label.clone()),
            _ => None,
        })
    };
    let removed = plan_with(with_rule(managed(2, 1)), &Decision { routes: Vec::new(), ..wants(2) });

    assert_eq!(labels(&plan_with(managed(1, 1), &wants(1))), Some(Some("in-progress".to_owned())));
    assert_eq!(labels(&removed), Some(None));
}

#[test]
fn a_managed_route_that_the_spec_does_not_name_is_a_failure_of_the_strategy() {
    let mut decision = wants(1);
    decision.routes[0].name = "other".to_owned();

    let plan = plan_with(managed(1, 1), &decision);

    assert!(plan.reason.contains("managedRoutes does not name \"other\""), "{}", plan.reason);
}

#[test]
fn a_route_that_cannot_have_the_rule_is_reported_and_keeps_its_weight() {
    let full = change(managed(1, 1), |route| {
        let more: Vec<Value> = (0..15).map(|_| json!({ "backendRefs": [{ "name": "x" }] })).collect();
        route.spec["rules"].as_array_mut().unwrap().extend(more);
    });

    let plan = plan_with(full, &Decision { weight: 50, ..wants(1) });

    assert_eq!(route_writes(&plan), Vec::<u32>::new());
    let condition = traffic_ready(&plan);
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("ManagedRouteLimit")));
}

#[test]
fn a_rule_that_the_api_server_stores_differently_is_reported_and_not_written_again() {
    let mut stored = rule();
    stored.as_object_mut().unwrap().remove("matches");
    let observed = change(managed(1, 1), |route| {
        route.spec["rules"].as_array_mut().unwrap().insert(0, stored);
        route.labels.insert("rollouts.argoproj.io/gatewayapi-canary".to_owned(), "in-progress".to_owned());
        route.last_write =
            Some(RouteWrite { managed: vec![rule()], at: now(), generation: 1, ..RouteWrite::default() });
    });

    let plan = plan_with(observed, &wants(1));

    assert_eq!((written(&plan), &traffic_ready(&plan)["reason"]), (None, &json!("ManagedRouteNotStored")));
}

#[test]
fn a_cluster_whose_routes_have_no_names_of_rules_is_reported_with_the_field() {
    let message = "HTTPRoute is invalid: patch: strict decoding error: unknown field \"spec.rules[0].name\"";
    let observed = change(managed(1, 1), |route| route.refused = Some(message.to_owned()));

    let condition = traffic_ready(&plan_with(observed, &wants(1)));

    assert_eq!(condition["reason"], "ManagedRouteNotStored");
    assert!(condition["message"].as_str().unwrap().contains("spec.rules[0].name"), "{condition}");
}

#[test]
fn a_foreign_change_of_the_rule_is_reported_with_its_writer() {
    let observed = change(managed(2, 1), |route| {
        route.generation = 2;
        route.foreign_managers = vec!["meddler".to_owned()];
        route.last_write =
            Some(RouteWrite { managed: vec![rule()], at: now(), generation: 1, ..RouteWrite::default() });
    });

    let plan = plan_with(observed, &wants(2));

    let condition = traffic_ready(&plan);
    assert_eq!((written(&plan), &condition["reason"]), (Some(vec![rule()]), &json!("ForeignWeight")));
    assert!(condition["message"].as_str().unwrap().contains("meddler"), "{condition}");
}

#[test]
fn pods_that_the_canary_service_lists_are_kept_until_the_gateway_has_confirmed_the_removal() {
    let mut observed = change(managed(2, 1), |route| route.generation = 2);
    let hash = status(&mut observed).current_pod_hash.clone();
    let none = Decision { routes: Vec::new(), canary: Scale::Replicas(0), ..wants(2) };

    let plan = plan_by(begin(observed, now()), &LookedUp::default(), |_| none.clone());

    let canary = scales(&plan).into_iter().find(|(name, _)| name.contains(&hash));
    assert_eq!(canary, None);
}

#[test]
fn the_strategy_is_asked_again_when_the_rule_is_in_place() {
    let ask = asked(begin(with_rule(managed(1, 1)), now()));

    assert!(asked(ask.answer(Ok(wants(1)))).situation.reached);
}
