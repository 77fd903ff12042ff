//! The rollout of a case, and the cluster that it begins in.

use std::collections::BTreeMap;
use std::sync::Arc;

use kulta_api::{RouteKey, RouteKind};
use kulta_core::observed::{Observed, ObservedRoute, Route, RouteState, Service};
use serde_json::{Value, json};

pub const STABLE: &str = "stable";
pub const CANARY: &str = "canary";
pub const NAMESPACE: &str = "shop";
/// Steps of the canary; the strategy's arbitrary answers go by none of them.
pub const STEPS: u32 = 4;

/// `strategy.blueGreen`: the stable Service is the active one, and the canary Service the preview.
#[derive(Clone, Copy, Debug)]
pub struct BlueGreen {
    /// The spec names a preview Service.
    pub preview: bool,
    /// `previewReplicaCount`.
    pub preview_pods: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub replicas: u32,
    /// In place of a canary.
    pub blue_green: Option<BlueGreen>,
    /// The spec has `trafficRouting`.
    pub routed: bool,
    /// `trafficRouting` names a router.
    pub router: bool,
    pub dynamic_stable: bool,
    pub max_weight: u32,
    pub max_surge: Option<u32>,
    pub max_unavailable: Option<u32>,
    pub min_pods: Option<u32>,
    /// `replicaProgressThreshold` in percent.
    pub threshold: Option<u32>,
    /// `abortScaleDownDelaySeconds`.
    pub abort_delay: Option<u32>,
    /// `scaleDownDelaySeconds`.
    pub delay: Option<u32>,
    /// Rules that share traffic, of each route.
    pub routes: Vec<usize>,
    /// Names of `managedRoutes`.
    pub managed: &'static [&'static str],
}

/// Names of the managed routes of rollouts that have some.
pub const MANAGED: &[&str] = &["beta", "copy"];

impl Config {
    pub fn observed(&self) -> Observed {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {
                "name": "web", "namespace": NAMESPACE, "uid": "6f1f3c1e-5a0e-4c55-9e0c-6f3f4a1b2c3d",
                "generation": 1, "resourceVersion": "100"
            },
            "spec": {
                "replicas": self.replicas,
                "selector": { "matchLabels": { "app": "web" } },
                "template": template(1),
                "strategy": self.strategy(),
            }
        });
        let services = [STABLE, CANARY].map(|name| (name.to_owned(), Some(Arc::new(unmanaged(name)))));
        Observed {
            rollout: serde_json::from_value(rollout).unwrap(),
            services: if self.routed || self.blue_green.is_some() { BTreeMap::from(services) } else { BTreeMap::new() },
            routes: self.routes(),
            record_kept: true,
            ..Observed::default()
        }
    }

    fn strategy(&self) -> Value {
        without_nulls(match self.blue_green {
            Some(blue_green) => json!({ "blueGreen": self.blue_green(blue_green) }),
            None => json!({ "canary": self.canary() }),
        })
    }

    fn blue_green(&self, strategy: BlueGreen) -> Value {
        json!({
            "activeService": STABLE,
            "previewService": strategy.preview.then_some(CANARY),
            "previewReplicaCount": strategy.preview_pods,
            "autoPromotionEnabled": false,
            "abortScaleDownDelaySeconds": self.abort_delay,
            "scaleDownDelaySeconds": self.delay,
        })
    }

    fn canary(&self) -> Value {
        let steps = json!([{ "setWeight": 20 }, { "pause": {} }, { "setWeight": 60 }, { "pause": {} }]);
        let mut strategy = json!({
            "steps": steps,
            "maxSurge": self.max_surge,
            "maxUnavailable": self.max_unavailable,
            "replicaProgressThreshold": self.threshold.map(|value| json!({ "type": "Percent", "value": value })),
        });
        if self.routed {
            let names: Vec<Value> = (0..self.routes.len())
                .map(|number| json!({ "name": format!("route-{number}"), "useHeaderRoutes": true }))
                .collect();
            let by_routes = json!({
                "plugins": { "argoproj-labs/gatewayAPI": { "httpRoutes": names } },
                "managedRoutes": self.managed.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
                "maxTrafficWeight": (self.max_weight != 100).then_some(self.max_weight),
            });
            let routed = json!({
                "stableService": STABLE,
                "canaryService": CANARY,
                "trafficRouting": if self.router { by_routes } else { json!({}) },
                "dynamicStableScale": self.dynamic_stable.then_some(true),
                "minPodsPerReplicaSet": self.min_pods,
                "abortScaleDownDelaySeconds": self.abort_delay,
                "scaleDownDelaySeconds": self.delay.filter(|_| !self.dynamic_stable),
            });
            json_patch::merge(&mut strategy, &routed);
        }
        strategy
    }

    fn routes(&self) -> Vec<ObservedRoute> {
        let routed = self.routes.iter().filter(|_| self.routed && self.router);
        let route = |(number, rules): (usize, &usize)| ObservedRoute {
            key: RouteKey::new(RouteKind::Http, NAMESPACE, format!("route-{number}")),
            state: RouteState::Found(Arc::new(self.route(*rules))),
        };
        routed.enumerate().map(route).collect()
    }

    pub fn route(&self, rules: usize) -> Route {
        let backend = |name: &str, weight: u32| json!({ "name": name, "weight": weight });
        let rule = json!({ "backendRefs": [backend(STABLE, self.max_weight), backend(CANARY, 0)] });
        Route {
            generation: 1,
            resource_version: "1".to_owned(),
            spec: json!({ "parentRefs": [{ "name": "gateway" }], "rules": vec![rule; rules] }),
            ..Route::default()
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

pub fn image(version: u32) -> String {
    format!("web:{version}")
}

pub fn template(version: u32) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": image(version) }] }
    })
}

/// A Service that selects all pods of the rollout.
pub fn unmanaged(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        resource_version: "1".to_owned(),
        selector: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        ..Service::default()
    }
}
