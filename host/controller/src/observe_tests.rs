use kulta_core::observed::RouteWrite;
use serde_json::json;

use super::*;
use crate::caches::{Caches, Watched};
use crate::object::Object;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn rollout(name: &str, label: &str, route: &Value) -> Object {
    Object::new(json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "1", "generation": 2 },
        "spec": {
            "selector": { "matchLabels": { "app": label } },
            "template": { "metadata": { "labels": { "app": label } } },
            "strategy": { "canary": {
                "stableService": "svc", "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": route } },
            } },
        },
    }))
}

fn world(route: &Value) -> Caches {
    let caches = Caches::default();
    caches.apply(Watched::Rollouts, rollout("a", "a", route));
    caches
}

fn look(caches: &Caches, memory: &Memory) -> Sight {
    observe(&caches.read(), &Key::new("ns", "a"), memory, true, now())
}

fn seen(caches: &Caches, memory: &Memory) -> Observed {
    match look(caches, memory) {
        Sight::Rollout(observed) => *observed,
        other => panic!("{other:?}"),
    }
}

fn route(version: &str) -> Object {
    Object::new(json!({ "metadata": { "name": "r", "namespace": "ns", "resourceVersion": version, "labels": { "team": "x" } } }))
}

#[test]
fn a_rollout_is_not_decided_while_its_routes_are_being_listed() {
    let caches = world(&json!({ "httpRoute": "r" }));

    assert!(matches!(look(&caches, &Memory::default()), Sight::NotYet));
}

#[test]
fn a_route_is_missing_forbidden_not_installed_or_found() {
    let caches = world(&json!({ "httpRoute": "r" }));
    let state = || seen(&caches, &Memory::default()).routes[0].state.clone();
    let mut states = Vec::new();

    for watch in [RouteWatch::NotInstalled, RouteWatch::Forbidden("no".into()), RouteWatch::Filled] {
        caches.set_route_watch(&Scope::Cluster, watch);
        states.push(state());
    }
    caches.apply(Watched::Routes, route("5"));

    assert_eq!(states, [RouteState::NotInstalled, RouteState::Forbidden("no".into()), RouteState::Missing]);
    assert!(matches!(state(), RouteState::Found(_)));
}

#[test]
fn selected_routes_are_found_by_their_labels() {
    let caches = world(&json!({ "httpRouteSelector": { "matchLabels": { "team": "x" } } }));
    caches.set_route_watch(&Scope::Namespace("ns".into()), RouteWatch::Filled);
    caches.apply(Watched::Routes, route("5"));

    let routes = seen(&caches, &Memory::default()).routes;

    assert_eq!(routes.iter().map(|route| route.name.as_str()).collect::<Vec<_>>(), ["r"]);
}

#[test]
fn a_selector_over_routes_that_cannot_be_seen_says_so() {
    let caches = world(&json!({ "httpRouteSelector": { "matchLabels": { "team": "x" } } }));
    caches.set_route_watch(&Scope::Cluster, RouteWatch::NotInstalled);

    assert_eq!(seen(&caches, &Memory::default()).routes[0].state, RouteState::NotInstalled);
}

#[test]
fn own_writes_of_a_route_are_remembered() {
    let caches = world(&json!({ "httpRoute": "r" }));
    caches.set_route_watch(&Scope::Cluster, RouteWatch::Filled);
    caches.apply(Watched::Routes, route("5"));
    let write = RouteWrite { weight: 10, at: now(), generation: 3, corrected_at: None };
    let mut memory = Memory::default();
    memory.routes.insert(Key::new("ns", "r"), RouteMemory { last_write: Some(write), ..RouteMemory::default() });

    let routes = seen(&caches, &memory).routes;

    let RouteState::Found(route) = &routes[0].state else { panic!("not found") };
    assert_eq!(route.last_write, Some(write));
}

#[test]
fn rivals_are_named() {
    let caches = world(&json!({}));
    caches.apply(Watched::Rollouts, rollout("b", "a", &json!({})));

    let observed = seen(&caches, &Memory::default());

    assert_eq!(observed.rival_services, [("svc".to_owned(), "b".to_owned())].into());
    assert_eq!(observed.rival_selector.as_deref(), Some("b"));
    assert_eq!(observed.services, [("svc".to_owned(), None)].into());
}

#[test]
fn a_rollout_that_is_being_deleted_is_left_alone() {
    let caches = Caches::default();
    let mut object = rollout("a", "a", &json!({}));
    object.json["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    caches.apply(Watched::Rollouts, object);

    assert!(matches!(look(&caches, &Memory::default()), Sight::Gone));
}

#[test]
fn where_the_record_is_not_kept_the_memory_stands_in() {
    let caches = world(&json!({}));
    let key = Key::new("ns", "a");
    let sequence = |memory: &Memory| {
        let Sight::Rollout(observed) = observe(&caches.read(), &key, memory, false, now()) else { panic!("gone") };
        observed.rollout.status.unwrap().kulta.unwrap().sequence
    };

    let fresh = sequence(&Memory::default());
    let known = sequence(&Memory { record: Some(json!({ "sequence": 7 })), ..Memory::default() });

    assert_eq!((fresh, known), (1_800_000_000, 7));
}
