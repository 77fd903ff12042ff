use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn rollout(name: &str, label: &str, service: &str, route: &Value) -> Object {
    Object::new(json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "1" },
        "spec": {
            "selector": { "matchLabels": { "app": label } },
            "template": { "metadata": { "labels": { "app": label } } },
            "strategy": { "canary": {
                "stableService": service,
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": route } },
            } },
        },
    }))
}

fn named(kind: &str, name: &str, metadata: &Value) -> Object {
    let mut json = json!({ "kind": kind, "metadata": { "name": name, "namespace": "ns", "resourceVersion": "2" } });
    json_patch::merge(&mut json["metadata"], metadata);
    Object::new(json)
}

fn two_rollouts() -> Caches {
    let caches = Caches::default();
    caches.apply::<Rollouts>(rollout("a", "a", "svc-a", &json!({ "httpRoute": "route-a" })));
    caches.apply::<Rollouts>(rollout(
        "b",
        "b",
        "svc-b",
        &json!({ "httpRouteSelector": { "matchLabels": { "team": "b" } } }),
    ));
    caches
}

fn names(touched: &ChangeSet) -> Vec<&str> {
    touched.rollouts.iter().map(|key| key.name.as_str()).collect()
}

fn led_by(name: &str, plugin: &str, version: &str) -> Object {
    Object::new(json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": version },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } } },
            "strategy": { "plugin": { "name": plugin } },
        },
    }))
}

#[test]
fn a_rollout_that_names_another_plugin_touches_that_plugin_and_the_one_before() {
    let caches = Caches::default();
    caches.apply::<Rollouts>(led_by("a", "one", "1"));

    let touched = caches.apply::<Rollouts>(led_by("a", "two", "2"));

    assert_eq!(touched.plugin_references, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
}

#[test]
fn a_rollout_that_changes_but_names_the_same_plugin_touches_no_plugin() {
    let caches = Caches::default();
    caches.apply::<Rollouts>(led_by("a", "one", "1"));

    let touched = caches.apply::<Rollouts>(led_by("a", "one", "2"));

    assert_eq!(touched.plugin_references, BTreeSet::new());
}

#[test]
fn a_run_that_ends_touches_the_plugins_whose_components_it_kept() {
    let caches = Caches::default();
    let run = |phase: &str| {
        let annotations = json!({ "kulta.io/plugins": json!({ "judge": "sha256:a" }).to_string() });
        let mut run = named("AnalysisRun", "run", &json!({ "uid": "u", "annotations": annotations }));
        run.json["status"] = json!({ "phase": phase });
        run
    };
    caches.apply::<AnalysisRuns>(run("Running"));

    let touched = caches.apply::<AnalysisRuns>(run("Successful"));

    assert_eq!(touched.plugin_references, BTreeSet::from(["judge".to_owned()]));
}

#[test]
fn a_replica_set_touches_the_rollout_that_controls_it() {
    let caches = two_rollouts();

    let touched = caches.apply::<ReplicaSets>(named(
            "ReplicaSet",
            "a-1",
            &json!({ "ownerReferences": [{ "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1", "uid": "uid-a", "controller": true }] }),
        ),
    );

    assert_eq!(names(&touched), ["a"]);
}

#[test]
fn a_service_touches_the_rollouts_that_name_it() {
    let caches = two_rollouts();

    let touched = caches.apply::<Services>(named("Service", "svc-b", &json!({})));

    assert_eq!(names(&touched), ["b"]);
}

#[test]
fn a_service_that_is_reported_again_unchanged_touches_no_rollout() {
    let caches = two_rollouts();
    caches.apply::<Services>(named("Service", "svc-b", &json!({})));

    let touched = caches.apply::<Services>(named("Service", "svc-b", &json!({})));

    assert_eq!(touched, ChangeSet::default());
}

#[test]
fn a_route_touches_who_names_it_and_who_selects_it() {
    let caches = two_rollouts();

    let by_name = caches.apply::<HttpRoutes>(named("HTTPRoute", "route-a", &json!({})));
    let by_label = caches.apply::<HttpRoutes>(named("HTTPRoute", "other", &json!({ "labels": { "team": "b" } })));

    assert_eq!((names(&by_name), names(&by_label)), (vec!["a"], vec!["b"]));
}

#[test]
fn a_route_that_loses_its_label_touches_who_selected_it() {
    let caches = two_rollouts();
    caches.apply::<HttpRoutes>(named("HTTPRoute", "other", &json!({ "labels": { "team": "b" } })));

    let touched = caches.apply::<HttpRoutes>(named("HTTPRoute", "other", &json!({})));

    assert_eq!(names(&touched), ["b"]);
}

#[test]
fn a_rollout_on_anothers_service_touches_both_and_so_does_its_removal() {
    let caches = two_rollouts();

    let came = caches.apply::<Rollouts>(rollout("c", "c", "svc-a", &json!({})));
    let left = caches.delete::<Rollouts>(&Key::new("ns", "c"));

    assert_eq!((names(&came), names(&left)), (vec!["a", "c"], vec!["a", "c"]));
    assert_eq!(left.removed_rollout, Some((Key::new("ns", "c"), "uid-c".into())));
}

#[test]
fn a_rollout_whose_selector_reaches_anothers_pods_touches_both() {
    let caches = two_rollouts();

    let touched = caches.apply::<Rollouts>(rollout("c", "b", "svc-c", &json!({})));

    assert_eq!(names(&touched), ["b", "c"]);
}

#[test]
fn a_rollout_that_was_replaced_by_one_of_the_same_name_counts_as_removed() {
    let caches = two_rollouts();
    let mut fresh = rollout("a", "a", "svc-a", &json!({}));
    fresh.json["metadata"]["uid"] = json!("uid-new");

    let touched = caches.apply::<Rollouts>(fresh);

    assert_eq!(touched.removed_rollout, Some((Key::new("ns", "a"), "uid-a".into())));
}

#[test]
fn a_lost_watch_that_comes_back_without_an_object_touches_its_rollout() {
    let caches = two_rollouts();
    caches.apply::<Services>(named("Service", "svc-a", &json!({})));
    let scope = Scope::Namespace("ns".into());

    caches.begin_list::<Services>(&scope);
    let touched = caches.end_list::<Services>(&scope);

    assert_eq!(touched.iter().map(names).collect::<Vec<_>>(), [vec!["a"]]);
}

#[test]
fn routes_are_looked_for_where_rollouts_name_them() {
    let caches = two_rollouts();
    caches.apply::<Rollouts>(rollout("c", "c", "svc-c", &json!({ "httpRoute": "x", "namespace": "edge" })));

    let places = ["edge", "ns"].map(|namespace| (RouteKind::Http, namespace.to_owned()));
    assert_eq!(caches.route_places(), places.into());
}

#[test]
fn rollouts_with_routes_in_a_scope_are_touched_when_it_can_no_longer_be_watched() {
    let caches = two_rollouts();
    caches.set_watch::<HttpRoutes>(&Scope::Cluster, WatchState::Filled);

    let first = caches.set_watch::<HttpRoutes>(&Scope::Cluster, WatchState::Forbidden("no".into()));
    let again = caches.set_watch::<HttpRoutes>(&Scope::Cluster, WatchState::Forbidden("no".into()));

    assert_eq!((first.len(), again.len()), (2, 0));
}

fn marked(caches: &Caches, service: &str, manager: &str) -> ChangeSet {
    let annotations = json!({ "annotations": { "argo-rollouts.argoproj.io/managed-by-rollouts": manager } });
    caches.apply::<Services>(named("Service", service, &annotations))
}

#[test]
fn a_service_whose_rollout_is_gone_is_an_orphan() {
    let caches = two_rollouts();
    let before = marked(&caches, "svc-a", "a");

    let touched = caches.delete::<Rollouts>(&Key::new("ns", "a"));

    assert!(before.orphans.is_empty());
    assert_eq!(touched.orphans, BTreeSet::from([Key::new("ns", "svc-a")]));
    let orphan = caches.read().orphan(&Key::new("ns", "svc-a")).unwrap();
    assert_eq!((orphan.manager.as_str(), orphan.known), ("a", false));
}

#[test]
fn a_service_that_its_rollout_no_longer_names_is_an_orphan() {
    let caches = two_rollouts();
    marked(&caches, "svc-a", "a");

    let touched = caches.apply::<Rollouts>(rollout("a", "a", "svc-new", &json!({ "httpRoute": "route-a" })));

    assert_eq!(touched.orphans, BTreeSet::from([Key::new("ns", "svc-a")]));
    assert!(caches.read().orphan(&Key::new("ns", "svc-a")).unwrap().known);
}

#[test]
fn a_service_that_some_rollout_names_is_no_orphan_whoever_is_written_on_it() {
    let caches = two_rollouts();

    let touched = marked(&caches, "svc-b", "another");

    assert!(touched.orphans.is_empty());
}

#[test]
fn a_service_of_a_rollout_that_cannot_be_read_is_left_alone() {
    let caches = two_rollouts();
    marked(&caches, "svc-a", "a");
    let mut broken = rollout("a", "a", "svc-a", &json!({ "httpRoute": "route-a" }));
    broken.json["spec"]["strategy"]["canary"]["steps"] = json!(5);

    let touched = caches.apply::<Rollouts>(broken);

    assert!(touched.orphans.is_empty());
}

/// A rollout with these labels and selector, made at that second of the minute.
fn made_at(second: u32, name: &str, label: &str) -> Object {
    let mut object = rollout(name, label, &format!("svc-{name}"), &json!({ "httpRoute": "route" }));
    object.json["metadata"]["creationTimestamp"] = json!(format!("2026-01-01T00:00:{second:02}Z"));
    object
}

#[test]
fn of_two_whose_selectors_overlap_the_newer_one_has_a_conflict() {
    let caches = Caches::default();
    caches.apply::<Rollouts>(made_at(2, "a-newcomer", "shop"));

    let touched = caches.apply::<Rollouts>(made_at(1, "first", "shop"));

    assert_eq!(names(&touched), ["a-newcomer", "first"]);
    let contents = caches.read();
    let conflicting = |name: &str| contents.older_conflicting(&Key::new("ns", name)).map(|other| other.name.clone());
    assert_eq!((conflicting("a-newcomer").as_deref(), conflicting("first")), (Some("first"), None));
}

#[test]
fn a_rollout_that_is_gone_is_no_conflict() {
    let caches = Caches::default();
    caches.apply::<Rollouts>(made_at(1, "first", "shop"));
    caches.apply::<Rollouts>(made_at(2, "second", "shop"));

    let touched = caches.delete::<Rollouts>(&Key::new("ns", "first"));

    assert_eq!(names(&touched), ["first", "second"]);
    assert_eq!(caches.read().older_conflicting(&Key::new("ns", "second")), None);
}
