//! The in-progress label of a route. GitOps tools ignore the weights of a route that has it (`reference/argo-rollouts.md` section
//! 3, "In-progress label"). Several rollouts may share a route. The label stays while any of their canaries has weight.

use serde_json::{Value, json};

use super::managed;
use super::route::{Backends, DEFAULT_BACKEND_WEIGHT, SharedRules, backend_refs, is_service};
use crate::observed::{OtherRollout, Route};

/// The write that sets or removes the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelPatch {
    pub operations: Vec<Value>,
    /// The label's value after the write.
    pub value: Option<String>,
}

/// `namespace` is the route's namespace. The rollout adds the label while its own canary gets requests, and removes it once no
/// canary of the route gets any. `test` operations guard the patch with the observed values, so that it fails if another writer
/// has changed the label.
#[must_use]
pub fn patch(route: &Route, namespace: &str, label: Option<(&str, &str)>, in_progress: bool) -> LabelPatch {
    let Some((key, value)) = label else { return LabelPatch::default() };
    let path = format!("/metadata/labels/{}", key.replace('~', "~0").replace('/', "~1"));
    let present = route.labels.get(key).map(String::as_str);
    let others =
        || route.other_rollouts.iter().filter(|other| uses_key(other, key) && has_weight(other, route, namespace));
    let operations = match (in_progress, present) {
        (true, Some(present)) if present == value || others().any(|other| uses_value(other, present)) => Vec::new(),
        (true, None) if route.labels.is_empty() => vec![
            test("/metadata/labels", &Value::Null),
            json!({ "op": "add", "path": "/metadata/labels", "value": { key: value } }),
        ],
        (true, present) => vec![test(&path, &json!(present)), json!({ "op": "add", "path": path, "value": value })],
        // Another rollout writes its label and its weight together, so these tests fail if one has begun since.
        (false, Some(present)) if others().next().is_none() && !route.foreign_split => {
            let mut operations = vec![test(&path, &json!(present))];
            let idle = route.other_rollouts.iter().filter(|other| uses_key(other, key));
            operations.extend(
                idle.clone()
                    .filter_map(|other| rules_of(other, route, namespace))
                    .flat_map(|rules| rules.canary_tests()),
            );
            // A managed route that another rollout adds stands before all rules.
            if idle.clone().any(|other| !other.managed.is_empty()) {
                let first = route.spec.pointer("/rules/0/name").unwrap_or(&Value::Null);
                operations.push(test("/spec/rules/0/name", first));
            }
            operations.push(json!({ "op": "remove", "path": path }));
            operations
        }
        (false, _) => Vec::new(),
    };
    let after = if operations.is_empty() { present } else { in_progress.then_some(value) };
    LabelPatch { operations, value: after.map(str::to_owned) }
}

fn test(path: &str, value: &Value) -> Value {
    json!({ "op": "test", "path": path, "value": value })
}

fn uses_key(other: &OtherRollout, key: &str) -> bool {
    other.label.as_ref().is_some_and(|(own, _)| own == key)
}

fn uses_value(other: &OtherRollout, value: &str) -> bool {
    other.label.as_ref().is_some_and(|(_, own)| own == value)
}

fn has_weight(other: &OtherRollout, route: &Route, namespace: &str) -> bool {
    rules_of(other, route, namespace).is_some_and(|rules| rules.canary_has_weight())
        || managed::has_own(&route.spec, namespace, backends_of(other))
}

fn rules_of(other: &OtherRollout, route: &Route, namespace: &str) -> Option<SharedRules> {
    SharedRules::find("", namespace, route, backends_of(other)).ok()
}

fn backends_of(other: &OtherRollout) -> Backends<'_> {
    let OtherRollout { namespace, canary, stable, managed, .. } = other;
    Backends { namespace, canary, stable, max_weight: kulta_api::strategy::DEFAULT_MAX_WEIGHT, managed }
}

/// The Services of each rule in which at least two backends have weight, by namespace and name.
#[must_use]
pub fn splits(spec: &Value, namespace: &str) -> Vec<Vec<(String, String)>> {
    let weight = |reference: &Value| reference.get("weight").and_then(Value::as_u64).unwrap_or(DEFAULT_BACKEND_WEIGHT);
    let rules = spec.get("rules").and_then(Value::as_array).into_iter().flatten();
    let weighted = rules
        .map(|rule| backend_refs(rule).filter(|reference| weight(reference) > 0).collect::<Vec<_>>())
        .filter(|references| references.len() > 1);
    let services = |references: Vec<&Value>| {
        let services = references.into_iter().filter(|reference| is_service(reference)).map(|reference| {
            let text =
                |key: &str, default: &str| reference.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
            (text("namespace", namespace), text("name", ""))
        });
        services.collect()
    };
    weighted.map(services).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const LABEL: Option<(&str, &str)> = Some(("a/b", "on"));

    /// Rules of two rollouts: this one, and one with the Services `other-stable` and `other-canary`.
    fn route(label: Option<&str>, other_weight: u64) -> Route {
        Route {
            labels: label.map(|value| ("a/b".to_owned(), value.to_owned())).into_iter().collect(),
            spec: json!({ "rules": [
                { "backendRefs": [{ "name": "stable", "weight": 100 }, { "name": "canary", "weight": 0 }] },
                { "backendRefs": [
                    { "name": "other-stable", "weight": 100 - other_weight }, { "name": "other-canary", "weight": other_weight }
                ] },
            ] }),
            ..Route::default()
        }
    }

    fn other(key: &str, value: &str) -> OtherRollout {
        OtherRollout {
            name: "other".into(),
            managed: Vec::new(),
            namespace: "shop".into(),
            canary: "other-canary".into(),
            stable: "other-stable".into(),
            label: Some((key.into(), value.into())),
        }
    }

    fn with_other(route: Route, other: OtherRollout) -> Route {
        Route { other_rollouts: vec![other], ..route }
    }

    fn operations(route: &Route, in_progress: bool) -> Vec<Value> {
        patch(route, "shop", LABEL, in_progress).operations
    }

    #[test]
    fn a_route_without_labels_gets_its_first_one_only_if_it_still_has_none() {
        assert_eq!(
            operations(&route(None, 0), true),
            [
                json!({ "op": "test", "path": "/metadata/labels", "value": null }),
                json!({ "op": "add", "path": "/metadata/labels", "value": { "a/b": "on" } }),
            ]
        );
    }

    #[test]
    fn a_label_beside_others_is_added_only_if_it_is_still_absent() {
        let labelled = Route { labels: BTreeMap::from([("team".into(), "x".into())]), ..Route::default() };

        assert_eq!(
            operations(&labelled, true),
            [
                json!({ "op": "test", "path": "/metadata/labels/a~1b", "value": null }),
                json!({ "op": "add", "path": "/metadata/labels/a~1b", "value": "on" }),
            ]
        );
    }

    #[test]
    fn a_label_is_removed_only_if_it_is_unchanged() {
        assert_eq!(
            operations(&route(Some("on"), 0), false),
            [
                json!({ "op": "test", "path": "/metadata/labels/a~1b", "value": "on" }),
                json!({ "op": "remove", "path": "/metadata/labels/a~1b" }),
            ]
        );
    }

    #[test]
    fn a_label_is_removed_only_if_no_other_rollout_of_the_route_has_begun() {
        let shared = with_other(route(Some("on"), 0), other("a/b", "on"));

        let guard = json!({ "op": "test", "path": "/spec/rules/1/backendRefs/1/weight", "value": 0 });
        assert!(operations(&shared, false).contains(&guard));
    }

    #[test]
    fn a_label_with_the_wanted_value_is_not_written() {
        let none: [Vec<Value>; 2] = [Vec::new(), Vec::new()];
        assert_eq!([operations(&route(Some("on"), 0), true), operations(&route(None, 0), false)], none);
    }

    #[test]
    fn the_label_stays_while_another_rollout_of_the_route_has_weight_on_its_canary() {
        let shared = with_other(route(Some("on"), 30), other("a/b", "on"));

        assert_eq!(patch(&shared, "shop", LABEL, false), LabelPatch { operations: vec![], value: Some("on".into()) });
    }

    #[test]
    fn the_label_is_removed_when_the_other_rollout_has_no_weight_on_its_canary() {
        assert!(!operations(&with_other(route(Some("on"), 0), other("a/b", "on")), false).is_empty());
    }

    #[test]
    fn a_rollout_without_weight_does_not_add_the_label_for_another_one() {
        assert!(operations(&with_other(route(None, 30), other("a/b", "on")), false).is_empty());
    }

    #[test]
    fn a_rollout_with_another_label_does_not_keep_ours() {
        assert!(!operations(&with_other(route(Some("on"), 30), other("c/d", "on")), false).is_empty());
    }

    #[test]
    fn two_rollouts_that_want_different_values_keep_the_present_one() {
        assert!(operations(&with_other(route(Some("yes"), 30), other("a/b", "yes")), true).is_empty());
    }

    #[test]
    fn the_label_stays_while_a_rollout_that_this_controller_does_not_serve_splits_traffic() {
        assert!(operations(&Route { foreign_split: true, ..route(Some("on"), 30) }, false).is_empty());
    }

    #[test]
    fn without_a_label_nothing_is_written() {
        assert_eq!(patch(&route(None, 0), "shop", None, true), LabelPatch::default());
    }

    #[test]
    fn a_rule_is_split_when_two_of_its_backends_have_weight() {
        let spec = json!({ "rules": [
            { "backendRefs": [{ "name": "a", "weight": 1 }, { "name": "b", "namespace": "edge" }] },
            { "backendRefs": [{ "name": "a", "weight": 1 }, { "name": "b", "weight": 0 }] },
            { "backendRefs": [{ "name": "a" }] },
        ] });

        let service = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        assert_eq!(splits(&spec, "shop"), [vec![service("shop", "a"), service("edge", "b")]]);
    }

    #[test]
    fn a_backend_that_is_no_service_belongs_to_no_rollout() {
        let import = json!({ "group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "b" });
        let spec = json!({ "rules": [{ "backendRefs": [{ "name": "a", "kind": "Service", "group": "" }, import] }] });

        assert_eq!(splits(&spec, "shop"), [vec![("shop".to_owned(), "a".to_owned())]]);
    }
}
