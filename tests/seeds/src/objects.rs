//! Objects of a test's own, for a cluster that has nothing but a gateway.

use serde_json::{Value, json};

use crate::cluster::{NAMESPACE, ROLLOUT};

/// A Rollout of two pods on a route, with Services of its own: `<name>-stable` and `<name>-canary`.
#[must_use]
pub fn rollout(name: &str, route: &str, steps: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name, "v1"),
            "strategy": { "canary": {
                "stableService": format!("{name}-stable"), "canaryService": format!("{name}-canary"),
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": route } } },
                "steps": steps,
            } },
        },
    })
}

#[must_use]
pub fn template(name: &str, version: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": name, "version": version } },
        "spec": { "containers": [{
            "name": "app", "image": format!("example.test/app:{version}"), "ports": [{ "containerPort": 8080 }],
        }] },
    })
}

/// The two Services of a Rollout.
#[must_use]
pub fn services(rollout: &str) -> [Value; 2] {
    ["stable", "canary"].map(|side| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": format!("{rollout}-{side}"), "namespace": NAMESPACE },
            "spec": { "selector": { "app": rollout }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
        })
    })
}

/// An HTTPRoute with one rule for each Rollout, under a path of its own.
#[must_use]
pub fn route(name: &str, rollouts: &[&str]) -> Value {
    let backend = |name: String, weight: u32| json!({ "name": name, "port": 80, "weight": weight });
    let rules: Vec<Value> = rollouts
        .iter()
        .map(|rollout| {
            json!({
                "matches": [{ "path": { "type": "PathPrefix", "value": format!("/{rollout}") } }],
                "backendRefs": [backend(format!("{rollout}-stable"), 100), backend(format!("{rollout}-canary"), 0)],
            })
        })
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "parentRefs": [{ "name": "gateway" }], "hostnames": ["web.example.test"], "rules": rules },
    })
}

/// A Rollout of one pod without a route.
#[must_use]
pub fn unrouted(template: &Value, steps: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": ROLLOUT, "namespace": NAMESPACE },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": template, "strategy": { "canary": { "steps": steps } },
        },
    })
}
