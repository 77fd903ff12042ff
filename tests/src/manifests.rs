//! The manifests of a canary: a Rollout, its two Services and its HTTPRoute, with a scenario's changes.

use serde_json::{Value, json};

use crate::{backend, gateway};

/// A canary with Gateway API traffic routing unless [`Canary::without_routing`] is called.
#[derive(Debug, Clone)]
pub struct Canary {
    pub name: String,
    replicas: i32,
    version: String,
    steps: Value,
    routed: bool,
    pod_labels: Value,
    /// Merge patches, in order: they are not combined, because a null must still remove a field of an earlier one.
    strategy: Vec<Value>,
    spec: Value,
    metadata: Value,
}

impl Canary {
    /// Two replicas of version `v1`, one step: `setWeight: 50` and an indefinite pause.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            replicas: 2,
            version: "v1".to_owned(),
            steps: json!([{"setWeight": 50}, {"pause": {}}]),
            routed: true,
            pod_labels: json!({}),
            strategy: Vec::new(),
            spec: json!({}),
            metadata: json!({}),
        }
    }

    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// The pods' label `version` and the image's tag: the backend answers with it, and another one makes a new
    /// revision.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    #[must_use]
    pub fn steps(mut self, steps: Value) -> Self {
        self.steps = steps;
        self
    }

    #[must_use]
    pub fn without_routing(mut self) -> Self {
        self.routed = false;
        self
    }

    /// How kwok treats the pods: see `cluster::stages`.
    #[must_use]
    pub fn pod_label(mut self, key: &str, value: &str) -> Self {
        json_patch::merge(&mut self.pod_labels, &json!({ key: value }));
        self
    }

    /// Merged into `spec.strategy.canary`, as a JSON merge patch.
    #[must_use]
    pub fn canary(mut self, fields: Value) -> Self {
        self.strategy.push(fields);
        self
    }

    /// Merged into `spec`, as a JSON merge patch, after everything else.
    #[must_use]
    pub fn spec(mut self, fields: Value) -> Self {
        json_patch::merge(&mut self.spec, &fields);
        self
    }

    /// Merged into `metadata`, such as annotations.
    #[must_use]
    pub fn metadata(mut self, fields: Value) -> Self {
        json_patch::merge(&mut self.metadata, &fields);
        self
    }

    pub fn stable_service(&self) -> String {
        format!("{}-stable", self.name)
    }

    pub fn canary_service(&self) -> String {
        format!("{}-canary", self.name)
    }

    /// The Host header that Envoy routes to this canary.
    pub fn host(&self, namespace: &str) -> String {
        format!("{}.{namespace}.test", self.name)
    }

    pub fn rollout(&self) -> Value {
        let mut canary = json!({"steps": self.steps});
        if self.routed {
            let routing = json!({
                "stableService": self.stable_service(), "canaryService": self.canary_service(),
                "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": self.name}}},
            });
            json_patch::merge(&mut canary, &routing);
        }
        for fields in &self.strategy {
            json_patch::merge(&mut canary, fields);
        }
        let mut labels = json!({"app": self.name, "version": self.version});
        json_patch::merge(&mut labels, &self.pod_labels);
        let mut rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": self.name},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                "template": pod_template(labels, &self.version),
                "strategy": {"canary": canary},
            },
        });
        json_patch::merge(&mut rollout, &json!({"metadata": self.metadata, "spec": self.spec}));
        rollout
    }

    /// The Rollout with a plugin strategy instead of steps.
    pub fn led_by(&self, plugin: &str, config: Value) -> Value {
        let mut rollout = self.rollout();
        let canary = rollout.pointer_mut("/spec/strategy/canary").map(Value::take).unwrap_or_default();
        let mut fields = json!({"name": plugin, "config": config});
        json_patch::merge(&mut fields, &canary);
        json_patch::merge(&mut fields, &json!({"steps": null}));
        json_patch::merge(&mut rollout, &json!({"spec": {"strategy": {"canary": null}}}));
        json_patch::merge(&mut rollout, &json!({"spec": {"strategy": {"plugin": fields}}}));
        rollout
    }

    /// The Rollout with these fields of blue-green instead of a canary's: the stable Service is the active one, and the canary's the preview.
    pub fn blue_green(&self, fields: &Value) -> Value {
        let mut strategy = json!({"activeService": self.stable_service(), "previewService": self.canary_service()});
        json_patch::merge(&mut strategy, fields);
        let mut rollout = self.rollout();
        json_patch::merge(&mut rollout, &json!({"spec": {"strategy": {"canary": null, "blueGreen": strategy}}}));
        rollout
    }

    pub fn services(&self) -> Vec<Value> {
        [self.stable_service(), self.canary_service()]
            .iter()
            .map(|name| service(name, &json!({"app": self.name})))
            .collect()
    }

    /// One rule: all weight on stable, none on canary.
    pub fn route(&self, namespace: &str) -> Value {
        let backends = [(self.stable_service(), 100), (self.canary_service(), 0)];
        http_route(&self.name, &self.host(namespace), &backends)
    }

    /// All objects, in the order in which a user would apply them.
    pub fn objects(&self, namespace: &str) -> Vec<Value> {
        let mut objects = Vec::new();
        if self.routed {
            objects.extend(self.services());
            objects.push(self.route(namespace));
        }
        objects.push(self.rollout());
        objects
    }
}

/// A pod template with one container; the image's tag is the version.
pub fn pod_template(labels: Value, version: &str) -> Value {
    json!({
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [{
                "name": "app", "image": format!("example.test/app:{version}"),
                "ports": [{"name": "http", "containerPort": backend::PORT}],
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
            }],
        },
    })
}

/// A Service whose port 80 is the backend's.
pub fn service(name: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": backend::PORT}]},
    })
}

/// A route of the shared Gateway with one rule over Services and their weights.
pub fn http_route(name: &str, host: &str, backends: &[(String, i32)]) -> Value {
    let refs: Vec<Value> =
        backends.iter().map(|(service, weight)| json!({"name": service, "port": 80, "weight": weight})).collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": gateway::GATEWAY, "namespace": gateway::GATEWAY_NAMESPACE}],
            "hostnames": [host],
            "rules": [{"backendRefs": refs}],
        },
    })
}

/// A ReplicaSet without a Rollout.
pub fn replica_set(name: &str, replicas: i32, version: &str) -> Value {
    let labels = json!({"app": name, "version": version});
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod_template(labels, version)},
    })
}
