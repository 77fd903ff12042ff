use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    clock::Clock,
    store::{DeleteOptions, ListOptions, Patch, Selection, Settings as StoreSettings, Store, WriteOptions},
    world::{Settings, Tallies, World},
};

pub const NAMESPACE: &str = "default";
/// Labels of the pods of [`set`].
pub const IMAGE: &str = "example.test/app:v1";

/// A store with a running simulation.
pub struct Stage {
    pub store: Store,
    pub metrics: crate::metrics::http::Shared,
    pub tallies: Tallies,
    task: JoinHandle<()>,
}

impl Stage {
    pub fn new(settings: Settings) -> Self {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        let store = Store::new(StoreSettings::new(clock, 1));
        for (kind, plural, scope) in [
            ("HTTPRoute", "httproutes", "Namespaced"),
            ("GRPCRoute", "grpcroutes", "Namespaced"),
            ("TCPRoute", "tcproutes", "Namespaced"),
            ("TLSRoute", "tlsroutes", "Namespaced"),
            ("Gateway", "gateways", "Namespaced"),
            ("GatewayClass", "gatewayclasses", "Cluster"),
        ] {
            apply(&store, definition(kind, plural, scope));
        }
        Self::over(store, settings)
    }

    fn over(store: Store, settings: Settings) -> Self {
        let world = World::new(&store, settings);
        let (metrics, tallies) = (world.metrics(), world.tallies());
        let task = tokio::spawn(world.run());
        Self { store, metrics, tallies, task }
    }

    /// The store with a new simulation.
    pub fn start_over(self) -> Self {
        self.task.abort();
        Self::over(self.store, Settings::default())
    }

    pub async fn create(&self, object: Value) {
        apply(&self.store, object);
        settle().await;
    }

    /// A JSON merge patch.
    pub async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let kind = self.kind(kind);
        self.store.patch(&kind, NAMESPACE, name, &Patch::Merge(patch), &WriteOptions::by("test")).unwrap();
        settle().await;
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        let kind = self.kind(kind);
        self.store.delete(&kind, NAMESPACE, name, &DeleteOptions::default()).unwrap();
        settle().await;
    }

    pub fn get(&self, kind: &str, name: &str) -> Value {
        let kind = self.kind(kind);
        let namespace = if kind.namespaced { NAMESPACE } else { "" };
        Value::clone(&self.store.get(&kind, namespace, name).unwrap())
    }

    pub fn list(&self, kind: &str) -> Vec<Arc<Value>> {
        let kind = self.kind(kind);
        self.store.list(&kind, NAMESPACE, &Selection::default(), &ListOptions::default()).unwrap().items
    }

    fn kind(&self, kind: &str) -> Arc<crate::kind::Kind> {
        self.store.kinds().into_iter().find(|found| found.kind == kind).unwrap()
    }
}

fn apply(store: &Store, object: Value) {
    let text = |field: &str| object[field].as_str().unwrap().to_owned();
    let kind = store.kind(&text("apiVersion"), &text("kind")).unwrap();
    let namespace = if kind.namespaced { NAMESPACE } else { "" };
    store.create(&kind, namespace, object, &WriteOptions::by("test")).unwrap();
}

/// Runs what is due now.
pub async fn settle() {
    pass(1).await;
}

/// Advances the clock by this number of milliseconds.
pub async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn definition(kind: &str, plural: &str, scope: &str) -> Value {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.gateway.networking.k8s.io")},
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": any, "status": any}}},
            }],
        },
    })
}

pub fn set(name: &str, replicas: i32, labels: &[(&str, &str)]) -> Value {
    let mut all = json!({"app": name, "version": "v1"});
    for (label, value) in labels {
        all[*label] = json!(value);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": all},
                "spec": {"containers": [{"name": "app", "image": IMAGE, "ports": [{"name": "http", "containerPort": 8080}]}]},
            },
        },
    })
}

pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

pub fn class() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "toy"},
        "spec": {"controllerName": Settings::default().controller_name},
    })
}

pub fn gateway() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "gw"},
        "spec": {"gatewayClassName": "toy", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
    })
}

pub fn route(backends: &[(&str, u32)]) -> Value {
    let references = backends.iter().map(|(name, weight)| json!({"name": name, "port": 80, "weight": weight}));
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "app"},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": references.collect::<Vec<Value>>()}]},
    })
}
