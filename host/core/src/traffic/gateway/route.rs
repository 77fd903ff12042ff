//! The weights of a route: the rules that contain both Services, and the JSON Patch that changes their weights.

use kulta_api::ConditionReason;
use serde_json::{Value, json};

use super::managed;
use crate::observed::Route;
use crate::traffic::Blocked;

/// Weight of a backendRef without a weight (Gateway API).
pub(super) const DEFAULT_BACKEND_WEIGHT: u64 = 1;

/// The two Services, their namespace, and the sum of their weights.
#[derive(Clone, Copy, Debug)]
pub struct Backends<'a> {
    /// Namespace of the rollout and both Services. A route in another namespace has to name it.
    pub namespace: &'a str,
    pub canary: &'a str,
    pub stable: &'a str,
    pub max_weight: u32,
    /// Names of the rollout's managed routes. Their rules are no part of the split.
    pub managed: &'a [String],
}

/// A rule that splits traffic between the two Services. Rules with only one of them belong to the user, because a weight of 0 on
/// a single backend would reject its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SharedRule {
    rule: usize,
    canary: Backend,
    stable: Backend,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Backend {
    position: usize,
    /// Namespace in the reference; `None` if the reference has none.
    namespace: Option<String>,
    weight: Option<u64>,
}

/// The rules of a route that split this rollout's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRules {
    /// The user's rules. The list is never empty.
    split: Vec<SharedRule>,
    /// The rules of mirror routes. They have the same weights.
    mirrors: Vec<SharedRule>,
}

impl SharedRules {
    /// `shown` is the route as messages name it, `namespace` is its namespace.
    ///
    /// # Errors
    /// No rule contains both Services. The error names the route and the missing Service.
    pub fn find(shown: &str, namespace: &str, route: &Route, backends: Backends<'_>) -> Result<Self, Blocked> {
        let elsewhere = namespace != backends.namespace;
        let backend = |rule, service| backend(rule, service, namespace, backends.namespace);
        let rules = route.spec.get("rules").and_then(Value::as_array);
        let mut found = (false, false);
        let (mut split, mut mirrors) = (Vec::new(), Vec::new());
        for (position, rule) in rules.into_iter().flatten().enumerate() {
            let canary = backend(rule, backends.canary);
            let stable = backend(rule, backends.stable);
            let is_managed = managed::is_own(rule, namespace, backends);
            if !is_managed {
                found = (found.0 || canary.is_some(), found.1 || stable.is_some());
            }
            if let (Some(canary), Some(stable)) = (canary, stable) {
                let list = if is_managed { &mut mirrors } else { &mut split };
                list.push(SharedRule { rule: position, canary, stable });
            }
        }
        if !split.is_empty() {
            return Ok(Self { split, mirrors });
        }
        let [canary, stable] = [backends.canary, backends.stable].map(|service| {
            if elsewhere {
                format!("{:?}", format!("{}/{service}", backends.namespace))
            } else {
                format!("{service:?}")
            }
        });
        let missing = match found {
            (false, false) => format!("no rule has a backendRef to Service {canary} or {stable}"),
            (false, true) => format!("no rule has a backendRef to Service {canary}"),
            (true, false) => format!("no rule has a backendRef to Service {stable}"),
            (true, true) => format!("no rule has backendRefs to both Service {canary} and {stable}"),
        };
        Err(Blocked { reason: ConditionReason::BackendRefNotFound, message: format!("{shown}: spec.rules: {missing}") })
    }

    /// The least and the greatest share that any rule gives the canary, in parts of the maximum weight, rounded outwards.
    #[must_use]
    pub fn canary_share(&self, max_weight: u32) -> (u32, u32) {
        let mut min = max_weight;
        let mut max = 0;
        for rule in self.all() {
            let canary = rule.canary.weight.unwrap_or(DEFAULT_BACKEND_WEIGHT);
            let total = canary + rule.stable.weight.unwrap_or(DEFAULT_BACKEND_WEIGHT);
            let parts = canary * u64::from(max_weight);
            let floor = parts.checked_div(total).unwrap_or(0);
            // The share is rounded up; it stays 0 if both weights are 0.
            let ceil = floor + u64::from(floor * total < parts);
            min = min.min(u32::try_from(floor).unwrap_or(max_weight));
            max = max.max(u32::try_from(ceil).unwrap_or(max_weight));
        }
        (min, max)
    }

    /// At least one rule sends requests to the canary.
    #[must_use]
    pub fn canary_has_weight(&self) -> bool {
        self.all().any(|rule| rule.canary.weight.unwrap_or(DEFAULT_BACKEND_WEIGHT) > 0)
    }

    /// `test` operations that fail if the canary's weight has changed in any rule.
    #[must_use]
    pub fn canary_tests(&self) -> Vec<Value> {
        let test = |SharedRule { rule, canary, .. }: &SharedRule| {
            let path = format!("/spec/rules/{rule}/backendRefs/{}/weight", canary.position);
            json!({ "op": "test", "path": path, "value": canary.weight })
        };
        self.all().map(test).collect()
    }

    /// Every rule has exactly this weight.
    #[must_use]
    pub fn have_weight(&self, weight: u32, max_weight: u32) -> bool {
        self.all().all(|rule| {
            rule.canary.weight == Some(u64::from(weight))
                && rule.stable.weight == Some(u64::from(max_weight.saturating_sub(weight)))
        })
    }

    /// The operations that give the canary `weight`; empty if all rules have it. `test` operations on the backend's name and old
    /// weight guard each change, so that the API server refuses the patch (422) if a user has reordered the route.
    #[must_use]
    pub fn patch(&self, weight: u32, backends: Backends<'_>) -> Vec<Value> {
        patch(&self.split, weight, backends)
    }

    /// Like [`Self::patch`], for the rules of mirror routes.
    #[must_use]
    pub fn patch_mirrors(&self, weight: u32, backends: Backends<'_>) -> Vec<Value> {
        patch(&self.mirrors, weight, backends)
    }

    /// Positions of the user's rules in the route, and of the canary's Service in each.
    pub fn sources(&self) -> impl Iterator<Item = Source> + '_ {
        self.split.iter().map(|rule| Source {
            rule: rule.rule,
            canary: rule.canary.position,
            stable: rule.stable.position,
        })
    }

    fn all(&self) -> impl Iterator<Item = &SharedRule> {
        self.split.iter().chain(&self.mirrors)
    }
}

/// The positions of a rule that splits traffic, and of its two backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub rule: usize,
    pub canary: usize,
    pub stable: usize,
}

fn patch(rules: &[SharedRule], weight: u32, backends: Backends<'_>) -> Vec<Value> {
    let mut operations = Vec::new();
    for rule in rules {
        for (backend, name, wanted) in [
            (&rule.canary, backends.canary, weight),
            (&rule.stable, backends.stable, backends.max_weight.saturating_sub(weight)),
        ] {
            if backend.weight == Some(u64::from(wanted)) {
                continue;
            }
            let path = format!("/spec/rules/{}/backendRefs/{}", rule.rule, backend.position);
            operations.push(json!({ "op": "test", "path": format!("{path}/name"), "value": name }));
            if let Some(namespace) = &backend.namespace {
                operations.push(json!({ "op": "test", "path": format!("{path}/namespace"), "value": namespace }));
            }
            // A test for null succeeds if there is no weight.
            operations.push(json!({ "op": "test", "path": format!("{path}/weight"), "value": backend.weight }));
            // "add" replaces a member that exists, and creates one that does not.
            operations.push(json!({ "op": "add", "path": format!("{path}/weight"), "value": wanted }));
        }
    }
    operations
}

pub(super) fn backend_refs(rule: &Value) -> impl Iterator<Item = &Value> {
    rule.get("backendRefs").and_then(Value::as_array).into_iter().flatten()
}

/// The reference is to a Service, which is the default.
pub(super) fn is_service(reference: &Value) -> bool {
    let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
    matches!(text("kind"), "" | "Service") && text("group").is_empty()
}

/// The reference is to this Service in the namespace `home`. `here` is the route's own namespace, which applies if the reference
/// has none.
pub(super) fn names_service(reference: &Value, service: &str, here: &str, home: &str) -> bool {
    let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
    let namespace = Some(text("namespace")).filter(|namespace| !namespace.is_empty());
    is_service(reference) && text("name") == service && namespace.unwrap_or(here) == home
}

/// The rule's reference to that Service.
fn backend(rule: &Value, service: &str, here: &str, home: &str) -> Option<Backend> {
    backend_refs(rule).enumerate().find_map(|(position, reference)| {
        let namespace = reference.get("namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
        names_service(reference, service, here, home).then(|| Backend {
            position,
            namespace: namespace.map(str::to_owned),
            weight: reference.get("weight").and_then(Value::as_u64),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKENDS: Backends<'_> =
        Backends { namespace: "shop", canary: "canary", stable: "stable", max_weight: 100, managed: &[] };

    fn route(rules: Value) -> Route {
        Route { spec: json!({ "rules": rules }), ..Route::default() }
    }

    fn shared(rules: Value) -> SharedRules {
        SharedRules::find("HTTPRoute \"web\"", "shop", &route(rules), BACKENDS).unwrap()
    }

    fn pair(canary: u64, stable: u64) -> Value {
        json!({ "backendRefs": [{ "name": "stable", "weight": stable }, { "name": "canary", "weight": canary }] })
    }

    #[test]
    fn a_patch_is_guarded_by_name_and_old_weight() {
        let patch = shared(json!([pair(0, 100)])).patch(10, BACKENDS);

        assert_eq!(
            patch,
            [
                json!({ "op": "test", "path": "/spec/rules/0/backendRefs/1/name", "value": "canary" }),
                json!({ "op": "test", "path": "/spec/rules/0/backendRefs/1/weight", "value": 0 }),
                json!({ "op": "add", "path": "/spec/rules/0/backendRefs/1/weight", "value": 10 }),
                json!({ "op": "test", "path": "/spec/rules/0/backendRefs/0/name", "value": "stable" }),
                json!({ "op": "test", "path": "/spec/rules/0/backendRefs/0/weight", "value": 100 }),
                json!({ "op": "add", "path": "/spec/rules/0/backendRefs/0/weight", "value": 90 }),
            ]
        );
    }

    #[test]
    fn a_weight_is_added_only_if_there_is_still_none() {
        let rules = json!([{ "backendRefs": [{ "name": "stable", "weight": 90 }, { "name": "canary" }] }]);

        let guard = json!({ "op": "test", "path": "/spec/rules/0/backendRefs/1/weight", "value": null });
        assert!(shared(rules).patch(10, BACKENDS).contains(&guard));
    }

    #[test]
    fn nothing_is_written_when_the_route_has_the_weight() {
        assert!(shared(json!([pair(10, 90)])).patch(10, BACKENDS).is_empty());
    }

    #[test]
    fn foreign_backends_and_rules_with_one_of_our_services_are_not_changed() {
        let rules = json!([
            { "backendRefs": [{ "name": "stable" }] },
            { "backendRefs": [{ "name": "other", "weight": 5 }, { "name": "canary", "weight": 0 }, { "name": "stable", "weight": 100 }] }
        ]);

        let patch = shared(rules).patch(20, BACKENDS);

        let paths: Vec<_> = patch.iter().filter(|op| op["op"] == "add").map(|op| op["path"].clone()).collect();
        assert_eq!(paths, ["/spec/rules/1/backendRefs/1/weight", "/spec/rules/1/backendRefs/2/weight"]);
    }

    #[test]
    fn every_rule_that_shares_traffic_is_moved() {
        let patch = shared(json!([pair(0, 100), pair(0, 100)])).patch(20, BACKENDS);

        assert_eq!(patch.iter().filter(|op| op["op"] == "add").count(), 4);
    }

    #[test]
    fn a_backend_without_a_weight_counts_one() {
        let rules = shared(json!([{ "backendRefs": [{ "name": "stable" }, { "name": "canary" }] }]));

        assert_eq!((rules.canary_share(100), rules.have_weight(50, 100)), ((50, 50), false));
    }

    #[test]
    fn rules_that_disagree_give_a_range() {
        assert_eq!(shared(json!([pair(10, 90), pair(50, 50)])).canary_share(100), (10, 50));
    }

    #[test]
    fn a_missing_backend_is_named() {
        let error = SharedRules::find(
            "HTTPRoute \"web\"",
            "shop",
            &route(json!([{ "backendRefs": [{ "name": "stable" }] }])),
            BACKENDS,
        )
        .unwrap_err();

        assert_eq!(error.message, "HTTPRoute \"web\": spec.rules: no rule has a backendRef to Service \"canary\"");
    }

    #[test]
    fn a_backend_of_another_kind_is_not_ours() {
        let rules =
            json!([{ "backendRefs": [{ "name": "stable" }, { "name": "canary", "kind": "Bucket", "group": "x" }] }]);

        assert!(SharedRules::find("HTTPRoute \"web\"", "shop", &route(rules), BACKENDS).is_err());
    }

    #[test]
    fn a_backend_of_the_same_name_in_another_namespace_is_not_ours() {
        let foreign = json!([{ "backendRefs": [
            { "name": "stable", "namespace": "other" }, { "name": "canary" }, { "name": "stable" }
        ] }]);

        let patch = shared(foreign).patch(20, BACKENDS);

        let paths: Vec<_> = patch.iter().filter(|op| op["op"] == "add").map(|op| op["path"].clone()).collect();
        assert_eq!(paths, ["/spec/rules/0/backendRefs/1/weight", "/spec/rules/0/backendRefs/2/weight"]);
    }

    #[test]
    fn a_route_elsewhere_must_name_the_namespace_of_the_services() {
        let refs = |extra: Value| {
            let reference = |name: &str| {
                let mut reference = json!({ "name": name, "weight": 1 });
                reference.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
                reference
            };
            route(json!([{ "backendRefs": [reference("stable"), reference("canary")] }]))
        };

        let found =
            SharedRules::find("HTTPRoute \"edge/web\"", "edge", &refs(json!({ "namespace": "shop" })), BACKENDS)
                .unwrap();
        let lost = SharedRules::find("HTTPRoute \"edge/web\"", "edge", &refs(json!({})), BACKENDS).unwrap_err();

        let guard = json!({ "op": "test", "path": "/spec/rules/0/backendRefs/1/namespace", "value": "shop" });
        assert!(found.patch(20, BACKENDS).contains(&guard));
        assert_eq!(
            lost.message,
            "HTTPRoute \"edge/web\": spec.rules: no rule has a backendRef to Service \"shop/canary\" or \"shop/stable\""
        );
    }
}
