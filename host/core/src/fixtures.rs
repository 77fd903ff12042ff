//! Objects for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kulta_api::{PodTemplate, Rollout, annotations};
use serde_json::{Value, json};

use crate::workload::Revision;

/// A Rollout `web` with 2 replicas and this strategy.
pub fn rollout(strategy: Value) -> Rollout {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "6f1f3c1e-5a0e-4c55-9e0c-6f3f4a1b2c3d",
            "generation": 1, "resourceVersion": "100"
        },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web:1"),
            "strategy": strategy
        }
    }))
    .unwrap()
}

pub fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": image }] }
    })
}

/// A ReplicaSet that KULTA created.
pub fn revision(hash: &str, revision: u64, replicas: u32, available: u32) -> Revision {
    Revision {
        name: format!("web-{hash}"),
        uid: format!("uid-{hash}"),
        created: Timestamp::from_second(1_000 + i64::try_from(revision).unwrap()).unwrap(),
        generation: 1,
        labels: BTreeMap::from([(annotations::POD_TEMPLATE_HASH.to_owned(), hash.to_owned())]),
        annotations: BTreeMap::from([
            (annotations::REVISION.to_owned(), revision.to_string()),
            (annotations::DESIRED_REPLICAS.to_owned(), "2".to_owned()),
            (annotations::TEMPLATE_HASH.to_owned(), format!("canonical-{hash}")),
        ]),
        replicas,
        template: PodTemplate(template("web:1")),
        created_replicas: replicas,
        ready_replicas: available,
        available_replicas: available,
        ..Revision::default()
    }
}
