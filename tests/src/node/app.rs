//! Pods of the test application, as templates of Rollouts.

use serde_json::{Value, json};

use crate::{backend, node::images::APP};

/// What a version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Serves, and ends 3 s after SIGTERM, when no request comes any more.
    Serves,
    /// Serves until it is killed.
    IgnoresTermination,
    NeverReady,
    Crashes,
    /// Takes more memory than its limit.
    OutOfMemory,
    /// Its image does not exist.
    NoImage,
}

/// The pod template of a version, with a readiness probe, to be merged into a Rollout's `spec`.
pub fn template(app: &str, version: &str, behaviour: Behaviour) -> Value {
    let image = if behaviour == Behaviour::NoImage { "missing" } else { version };
    let command = match behaviour {
        Behaviour::Serves => {
            json!(["/bin/sh", "-c", "trap 'sleep 3; exit 0' TERM; /bin/kulta-app serve & wait $!"])
        }
        Behaviour::IgnoresTermination | Behaviour::NoImage => json!(["/bin/kulta-app", "serve"]),
        Behaviour::NeverReady => json!(["/bin/kulta-app", "never-ready"]),
        Behaviour::Crashes => json!(["/bin/kulta-app", "crash"]),
        Behaviour::OutOfMemory => json!(["/bin/kulta-app", "out-of-memory"]),
    };
    let version_label = json!({"fieldRef": {"fieldPath": "metadata.labels['version']"}});
    json!({
        "metadata": {"labels": {"app": app, "version": version}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{
                "name": "app", "image": format!("{APP}:{image}"), "command": command,
                "env": [{"name": "VERSION", "valueFrom": version_label}],
                "ports": [{"name": "http", "containerPort": backend::PORT}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}, "limits": {"memory": "32Mi"}},
            }],
        },
    })
}
