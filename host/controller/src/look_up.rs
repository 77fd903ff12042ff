//! Facts that no cache holds, asked of the API server only when a plan needs them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::Client;
use kube::api::{GetParams, ListParams, PostParams};
use kulta_api::PodTemplate;
use kulta_api::annotations::POD_TEMPLATE_HASH;
use kulta_core::observed::{LookedUp, Pod};
use kulta_core::plan::Need;
use serde::Deserialize;
use serde_json::Value;

use crate::decode::texts;
use crate::kinds::{Kind, MANAGER};
use crate::object::text;
use crate::requests::{RequestError, send};

/// Ties an EndpointSlice to its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    #[error("let the API server fill in a template's defaults")]
    Template(#[source] RequestError),
    #[error("list the EndpointSlices of Service {service}")]
    Endpoints { service: String, source: RequestError },
    #[error("list pods")]
    Pods(#[source] RequestError),
    #[error("read ReplicaSet {name}")]
    ReplicaSet { name: String, source: RequestError },
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Value>,
}

/// Answers `need` into `answers`.
///
/// # Errors
/// When the API server cannot be asked. That it refuses a template is an answer.
pub async fn look_up(client: &Client, namespace: &str, need: &Need, answers: &mut LookedUp) -> Result<(), LookUpError> {
    match need {
        Need::DefaultedTemplate { body } => {
            answers.defaulted_template = Some(defaulted_template(client, namespace, body).await?);
        }
        Need::Endpoints { services } => {
            let mut endpoints = BTreeMap::new();
            for service in services {
                endpoints.insert(service.clone(), listed_pods(client, namespace, service).await?);
            }
            answers.endpoints = Some(endpoints);
        }
        Need::Pods { labels } => answers.pods = Some(pods(client, namespace, labels).await?),
    }
    Ok(())
}

async fn defaulted_template(
    client: &Client,
    namespace: &str,
    body: &Value,
) -> Result<Result<PodTemplate, String>, LookUpError> {
    let parameters = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
    let stored = async {
        let request = Kind::ReplicaSet.request(namespace).create(&parameters, serde_json::to_vec(body)?)?;
        send::<Value>(client, request).await
    };
    match stored.await {
        Ok(mut stored) => {
            Ok(Ok(PodTemplate(stored.pointer_mut("/spec/template").map(Value::take).unwrap_or_default())))
        }
        Err(RequestError::Refused { code: 400 | 403 | 422, message, .. }) => Ok(Err(message)),
        Err(error) => Err(LookUpError::Template(error)),
    }
}

async fn listed_pods(client: &Client, namespace: &str, service: &str) -> Result<BTreeSet<String>, LookUpError> {
    let wrap = |source| LookUpError::Endpoints { service: service.to_owned(), source };
    let parameters = ListParams::default().labels(&format!("{SERVICE_NAME}={service}"));
    let request = Kind::EndpointSlice.request(namespace).list(&parameters).map_err(|error| wrap(error.into()))?;
    let slices: List = send(client, request).await.map_err(wrap)?;
    Ok(slices
        .items
        .iter()
        .filter_map(|slice| slice.get("endpoints")?.as_array())
        .flatten()
        .filter_map(|endpoint| endpoint.get("targetRef"))
        .filter(|target| text(target, "kind") == "Pod")
        .map(|target| text(target, "name").to_owned())
        .collect())
}

async fn pods(client: &Client, namespace: &str, labels: &BTreeMap<String, String>) -> Result<Vec<Pod>, LookUpError> {
    let selector: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = Kind::Pod.request(namespace).list(&ListParams::default().labels(&selector.join(",")));
    let request = request.map_err(|error| LookUpError::Pods(error.into()))?;
    let list: List = send(client, request).await.map_err(LookUpError::Pods)?;
    Ok(list.items.iter().map(pod).collect())
}

fn pod(json: &Value) -> Pod {
    let metadata = json.get("metadata").unwrap_or(&Value::Null);
    let labels = texts(json, "/metadata/labels");
    Pod {
        name: text(metadata, "name").to_owned(),
        hash: labels.get(POD_TEMPLATE_HASH).cloned().unwrap_or_default(),
        created: text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH),
        ready: is_ready(json),
        terminating: metadata.get("deletionTimestamp").is_some(),
        labels,
        annotations: texts(json, "/metadata/annotations"),
    }
}

fn is_ready(pod: &Value) -> bool {
    pod.pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|condition| text(condition, "type") == "Ready" && text(condition, "status") == "True")
}

/// `imageID` of the first container of a pod of that revision; `None` when there is no pod that has begun.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn image_id(client: &Client, namespace: &str, hash: &str) -> Result<Option<String>, LookUpError> {
    let parameters = ListParams::default().labels(&format!("{POD_TEMPLATE_HASH}={hash}")).limit(1);
    let request = Kind::Pod.request(namespace).list(&parameters).map_err(|error| LookUpError::Pods(error.into()))?;
    let list: List = send(client, request).await.map_err(LookUpError::Pods)?;
    let status = list.items.first().and_then(|pod| pod.pointer("/status/containerStatuses/0"));
    Ok(status.map(|status| text(status, "imageID").to_owned()).filter(|id| !id.is_empty()))
}

/// The metadata of a ReplicaSet that the caches do not hold; `None` when there is none.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn replica_set(client: &Client, namespace: &str, name: &str) -> Result<Option<Value>, LookUpError> {
    let wrap = |source| LookUpError::ReplicaSet { name: name.to_owned(), source };
    let request = Kind::ReplicaSet.request(namespace).get(name, &GetParams::default());
    match send::<Value>(client, request.map_err(|error| wrap(error.into()))?).await {
        Ok(mut object) => Ok(object.get_mut("metadata").map(Value::take)),
        Err(error) if error.code() == 404 => Ok(None),
        Err(error) => Err(wrap(error)),
    }
}

/// Whether a Rollout of that uid still exists.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn rollout_exists(client: &Client, namespace: &str, name: &str, uid: &str) -> Result<bool, RequestError> {
    let request = Kind::Rollout.request(namespace).get(name, &GetParams::default())?;
    match send::<Value>(client, request).await {
        Ok(object) => Ok(object.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid)),
        Err(error) if error.code() == 404 => Ok(false),
        Err(error) => Err(error),
    }
}
