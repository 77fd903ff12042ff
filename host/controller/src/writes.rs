//! Each action of a plan as a request.

use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kulta_core::plan::Action;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::key::Key;
use crate::kinds::{Kind, MANAGER};
use crate::object::version;
use crate::requests::{RequestError, send};

/// What an answer tells of the object that was written.
#[derive(Debug, Default, Deserialize)]
pub struct Stored {
    #[serde(default)]
    metadata: StoredMetadata,
    #[serde(default)]
    status: Option<StoredStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredMetadata {
    resource_version: String,
    generation: i64,
}

/// Of another kind this may be anything, a text as well.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StoredStatus {
    Object { kulta: Option<IgnoredAny> },
    Other(IgnoredAny),
}

impl Stored {
    #[must_use]
    pub fn version(&self) -> u64 {
        version(&self.metadata.resource_version)
    }

    #[must_use]
    pub fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    #[must_use]
    pub fn generation(&self) -> i64 {
        self.metadata.generation
    }

    /// The API server keeps `status.kulta`.
    #[must_use]
    pub fn keeps_record(&self) -> bool {
        matches!(self.status, Some(StoredStatus::Object { kulta: Some(_) }))
    }
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Merges into `status`, if the object is still at that version.
///
/// # Errors
/// As [`send`].
pub async fn patch_status(
    client: &Client,
    key: &Key,
    resource_version: &str,
    patch: &Value,
) -> Result<Stored, RequestError> {
    let body = json!({ "metadata": { "resourceVersion": resource_version }, "status": patch });
    let request = Kind::Rollout.request(&key.namespace).patch_subresource(
        "status",
        &key.name,
        &parameters(),
        &Patch::Merge(&body),
    )?;
    send(client, request).await
}

/// Carries out an action on an object that belongs to `rollout`.
///
/// # Errors
/// As [`send`].
pub async fn carry_out(client: &Client, rollout: &Key, action: &Action) -> Result<Stored, RequestError> {
    let namespace = rollout.namespace.as_str();
    let request = match action {
        Action::PatchRollout { patch } => merge(Kind::Rollout, namespace, &rollout.name, patch)?,
        Action::CreateReplicaSet { body, .. } => {
            Kind::ReplicaSet.request(namespace).create(&post_parameters(), serde_json::to_vec(body)?)?
        }
        Action::PatchReplicaSet { name, patch } => merge(Kind::ReplicaSet, namespace, name, patch)?,
        Action::DeleteReplicaSet { name, uid } => {
            let parameters = DeleteParams {
                preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }),
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            Kind::ReplicaSet.request(namespace).delete(name, &parameters)?
        }
        Action::PatchService { name, patch } => merge(Kind::Service, namespace, name, patch)?,
        Action::PatchRoute { namespace, name, patch, .. } => {
            let patch: json_patch::Patch = serde_json::from_value(patch.clone())?;
            Kind::HttpRoute.request(namespace).patch(name, &parameters(), &Patch::Json::<()>(patch))?
        }
        Action::EvictPod { name } => {
            let body = json!({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name, "namespace": namespace },
            });
            let body = serde_json::to_vec(&body)?;
            Kind::Pod.request(namespace).create_subresource("eviction", name, &post_parameters(), body)?
        }
        Action::PatchPod { name, patch } => merge(Kind::Pod, namespace, name, patch)?,
    };
    send(client, request).await
}

fn merge(kind: Kind, namespace: &str, name: &str, patch: &Value) -> Result<http::Request<Vec<u8>>, RequestError> {
    Ok(kind.request(namespace).patch(name, &parameters(), &Patch::Merge(patch))?)
}

fn post_parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}
