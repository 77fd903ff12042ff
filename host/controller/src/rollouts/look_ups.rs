//! What core wants to know that no cache holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kulta_core::observed::{Endpoints, Pod};
use kulta_core::workload::PodController;
use kulta_core::{LookedUp, Need};
use serde_json::Value;

use super::workload;
use crate::cluster::Cluster;
use crate::key::Key;
use crate::object::{Object, text, texts};

/// # Errors
/// When the API server does not answer.
pub async fn look_up(cluster: &Cluster, key: &Key, need: &Need) -> Result<LookedUp, kube::Error> {
    let mut looked_up = LookedUp::default();
    match need {
        Need::DefaultedTemplate { body } => {
            looked_up.defaulted_template = Some(workload::defaulted_template(cluster, &key.namespace, body).await?);
        }
        Need::Endpoints { services, workloads } => {
            let mut endpoints = Endpoints::default();
            for service in services {
                endpoints.listed.insert(service.clone(), cluster.endpoints(&key.namespace, service).await?);
            }
            for PodController { uid, hash } in workloads {
                let labels = BTreeMap::from([(kulta_api::annotations::POD_TEMPLATE_HASH.to_owned(), hash.clone())]);
                let pods = cluster.pods(&key.namespace, &labels, None).await?;
                let own = pods.iter().filter(|pod| pod.controlled_by(uid)).map(|pod| pod.key().name);
                endpoints.controlled.insert(uid.clone(), own.collect());
            }
            looked_up.endpoints = Some(endpoints);
        }
        Need::Pods { selector } => {
            let pods = cluster.selected_pods(&key.namespace, selector).await?;
            looked_up.pods = Some(pods.iter().map(pod).collect());
        }
    }
    Ok(looked_up)
}

fn controller_uid(metadata: &Value) -> String {
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    let controls = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    owners.into_iter().flatten().find(controls).map(|owner| text(owner, "uid").to_owned()).unwrap_or_default()
}

fn pod(object: &Object) -> Pod {
    let json = &object.json;
    let metadata = json.get("metadata").unwrap_or(&Value::Null);
    let labels = texts(json, "/metadata/labels");
    let conditions = json.pointer("/status/conditions").and_then(Value::as_array);
    Pod {
        name: text(metadata, "name").to_owned(),
        owner: controller_uid(metadata),
        hash: labels.get(kulta_api::annotations::POD_TEMPLATE_HASH).cloned().unwrap_or_default(),
        created: text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH),
        ready: conditions
            .into_iter()
            .flatten()
            .any(|condition| text(condition, "type") == "Ready" && text(condition, "status") == "True"),
        terminating: metadata.get("deletionTimestamp").is_some(),
        annotations: texts(json, "/metadata/annotations"),
        labels,
    }
}
