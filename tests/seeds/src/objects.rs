//! Objects for tests and scenarios: the gateway, and Rollouts with their routes and Services.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, ObjectKind, ROLLOUT};

/// How a version's pods behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Good,
    Slow,
    Never,
}

/// Creates the Gateway that the routes name, and its class.
///
/// # Errors
/// If the server refuses one of them.
pub fn create_gateway(cluster: &Cluster) -> Result<()> {
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "embedded" },
        "spec": { "controllerName": "kulta.io/embedded-gateway" },
    });
    cluster.create_any("gateway.networking.k8s.io/v1", "GatewayClass", "", class)?;
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "gateway" },
        "spec": { "gatewayClassName": "embedded", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] },
    });
    cluster.create_any("gateway.networking.k8s.io/v1", "Gateway", NAMESPACE, gateway)
}

/// Creates Rollouts on one route, each with the Services that [`services`] names.
///
/// # Errors
/// If the server refuses one of them.
pub fn deploy(cluster: &Cluster, route: Value, rollouts: Vec<Value>) -> Result<()> {
    for rollout in rollouts {
        let name = rollout.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for service in services(name) {
            cluster.create(ObjectKind::Service, service)?;
        }
        cluster.create(ObjectKind::Rollout, rollout)?;
    }
    cluster.create(ObjectKind::HttpRoute, route)
}

/// A Rollout of two pods on a route, with the Services `<name>-stable` and `<name>-canary`.
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

/// The pod template of a good version of a Rollout.
#[must_use]
pub fn template(rollout: &str, version: &str) -> Value {
    pod_template(rollout, version, Health::Good)
}

/// The pod template of a version of a Rollout.
#[must_use]
pub fn pod_template(rollout: &str, version: &str, health: Health) -> Value {
    let mut labels = json!({ "app": rollout, "version": version });
    match health {
        Health::Good => {}
        Health::Slow => json_patch::merge(&mut labels, &json!({ "kulta.test/ready-after": "20s" })),
        Health::Never => json_patch::merge(&mut labels, &json!({ "kulta.test/ready": "never" })),
    }
    json!({
        "metadata": { "labels": labels },
        "spec": { "containers": [{ "name": "app", "image": format!("example.test/app:{version}"), "ports": [{ "containerPort": 8080 }] }] },
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

/// An HTTPRoute with one rule for each Rollout, which matches the path `/<rollout>`.
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
