//! Rollouts that share a route: each leaves the in-progress label to the others ([`kulta_core::traffic::gateway::label`]).

use std::collections::{BTreeMap, BTreeSet};

use kulta_api::RouteKey;
use kulta_core::observed::{OtherRollout, Route};
use kulta_core::traffic::gateway::label;

use super::{CachedRollout, Contents};
use crate::key::Key;

impl Contents {
    /// Other rollouts that name or select one of the same routes.
    pub fn sharing_routes(&self, key: &Key, rollout: &CachedRollout) -> BTreeSet<Key> {
        let references = &rollout.references.routes;
        let selected = references.selected.iter().flat_map(|routes| self.routes.selected(routes));
        let users = references.named.iter().cloned().chain(selected).flat_map(|route| {
            let labels = self.routes.get(&route).map(|cached| cached.labels.clone()).unwrap_or_default();
            self.index.rollouts_of_route(&route, &labels).cloned().collect::<Vec<_>>()
        });
        users.filter(|other| other != key).collect()
    }

    /// What the rollouts of the route beside this one write on it.
    #[must_use]
    pub fn other_rollouts_of_route(
        &self,
        rollout: &Key,
        route: &RouteKey,
        labels: &BTreeMap<String, String>,
    ) -> Vec<OtherRollout> {
        let others = self.index.rollouts_of_route(route, labels).filter(|other| *other != rollout);
        others.filter_map(|other| self.rollouts.get(other)?.references.routes.user.clone()).collect()
    }

    /// A rule of the route splits traffic between Services of a rollout that another controller serves. A Service in a namespace that is
    /// not watched may be one of these; Services that do not exist, or that no rollout manages, are split by a user.
    #[must_use]
    pub fn has_foreign_split(&self, route: &Route, namespace: &str) -> bool {
        label::splits(&route.spec, namespace).into_iter().any(|services| {
            let services: Vec<Key> = services.into_iter().map(|(namespace, name)| Key::new(namespace, name)).collect();
            let served = services.iter().any(|service| self.index.rollouts_of_service(service).next().is_some());
            !served && services.iter().any(|service| self.is_of_foreign_rollout(service))
        })
    }

    fn is_of_foreign_rollout(&self, service: &Key) -> bool {
        let Some(cached) = self.services.get(service) else {
            return !self.services.is_listed(&service.namespace);
        };
        let Some(manager) = cached.service.managed_by.as_deref().filter(|manager| !manager.is_empty()) else {
            return false;
        };
        self.rollouts.get(&service.sibling(manager)).is_none_or(|rollout| !rollout.decodable)
    }
}

#[cfg(test)]
mod tests {
    use kulta_api::{RouteKind, annotations};
    use serde_json::{Value, json};

    use super::super::{Caches, ChangeSet, Rollouts, Scope, Services};
    use super::*;
    use crate::object::Object;

    fn rollout(name: &str, uid: &str, routing: &Value) -> Object {
        Object::new(json!({
            "metadata": { "name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1" },
            "spec": {
                "selector": { "matchLabels": { "app": name } },
                "template": { "metadata": { "labels": { "app": name } } },
                "strategy": { "canary": {
                    "stableService": format!("{name}-stable"), "canaryService": format!("{name}-canary"),
                    "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": routing } },
                } },
            },
        }))
    }

    fn service(name: &str, managed_by: Option<&str>) -> Object {
        let mut object = json!({ "metadata": { "name": name, "namespace": "ns", "resourceVersion": "1" }, "spec": { "selector": {} } });
        if let Some(manager) = managed_by {
            object["metadata"]["annotations"] = json!({ annotations::MANAGED_BY: manager });
        }
        Object::new(object)
    }

    /// One rule that splits traffic between Services of this prefix.
    fn split(prefix: &str) -> Route {
        let backends = json!([{ "name": format!("{prefix}-stable"), "weight": 70 }, { "name": format!("{prefix}-canary"), "weight": 30 }]);
        Route { spec: json!({ "rules": [{ "backendRefs": backends }] }), ..Route::default() }
    }

    fn caches(services: &[Object]) -> Caches {
        let caches = Caches::default();
        caches.apply::<Rollouts>(rollout("a", "uid-a", &json!({ "httpRoute": "shared" })));
        for service in services {
            caches.apply::<Services>(service.clone());
        }
        caches
    }

    fn names(touched: &ChangeSet) -> Vec<&str> {
        touched.rollouts.iter().map(|key| key.name.as_str()).collect()
    }

    #[test]
    fn a_rollout_that_joins_or_leaves_a_route_touches_those_that_use_it() {
        let caches = caches(&[]);

        let joins = caches.apply::<Rollouts>(rollout("b", "uid-b", &json!({ "httpRoute": "shared" })));
        let leaves = caches.delete::<Rollouts>(&Key::new("ns", "b"));

        assert_eq!((names(&joins), names(&leaves)), (vec!["a", "b"], vec!["a", "b"]));
    }

    #[test]
    fn a_rollout_knows_what_the_others_on_its_route_write() {
        let caches = caches(&[]);
        caches.apply::<Rollouts>(rollout(
            "b",
            "uid-b",
            &json!({ "httpRouteSelector": { "matchLabels": { "team": "x" } } }),
        ));
        let labels = BTreeMap::from([("team".to_owned(), "x".to_owned())]);

        let contents = caches.read();
        let shared = RouteKey::new(RouteKind::Http, "ns", "shared");
        let others = contents.other_rollouts_of_route(&Key::new("ns", "a"), &shared, &labels);

        let written: Vec<_> = others.iter().map(|other| (other.canary.as_str(), other.label.is_some())).collect();
        assert_eq!(written, [("b-canary", true)]);
    }

    #[test]
    fn a_split_of_a_rollout_that_another_controller_serves_is_foreign() {
        let services = [service("far-stable", Some("far")), service("far-canary", Some("far"))];

        assert!(caches(&services).read().has_foreign_split(&split("far"), "ns"));
    }

    #[test]
    fn a_split_of_services_in_a_namespace_that_is_not_watched_may_be_foreign() {
        assert!(caches(&[]).read().has_foreign_split(&split("hidden"), "ns"));
    }

    #[test]
    fn a_split_of_services_that_do_not_exist_is_not_foreign() {
        let caches = caches(&[]);
        let (watched, other) = (Scope::Namespace("ns".to_owned()), Scope::Namespace("edge".to_owned()));
        for scope in [&other, &watched] {
            caches.begin_list::<Services>(scope);
        }

        caches.end_list::<Services>(&other);
        let before = caches.read().has_foreign_split(&split("gone"), "ns");
        caches.end_list::<Services>(&watched);

        assert_eq!((before, caches.read().has_foreign_split(&split("gone"), "ns")), (true, false));
    }

    #[test]
    fn a_split_that_a_user_made_is_not_foreign() {
        let services = [service("mine-stable", None), service("mine-canary", None)];

        assert!(!caches(&services).read().has_foreign_split(&split("mine"), "ns"));
    }

    #[test]
    fn a_split_of_a_rollout_that_this_controller_serves_is_not_foreign() {
        assert!(!caches(&[]).read().has_foreign_split(&split("a"), "ns"));
    }
}
