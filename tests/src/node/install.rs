//! KULTA as its users install it: by the shipped manifests, unchanged, in the namespace that they create.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::{api, kinds, run_folder, wait};

/// The namespace of the manifests.
pub const NAMESPACE: &str = "kulta-system";
/// The Deployment and its container.
pub const NAME: &str = "kulta";
const SELECTOR: &str = "app.kubernetes.io/name=kulta";
/// In the order of `deploy/kustomization.yaml`.
const MANIFESTS: [&str; 5] =
    ["crds", "deploy/namespace.yaml", "deploy/rbac.yaml", "deploy/aggregated-roles.yaml", "deploy/controller.yaml"];
/// Timeout until a new pod is ready.
const READY: Duration = Duration::from_secs(120);

/// The CRDs are large and nothing deletes them: applied once.
static CRDS: OnceCell<()> = OnceCell::const_new();

/// Applies the manifests, after `change` has had its way with the Deployment, and waits until the Deployment's newest
/// pod is ready and alone. Returns the pod.
pub async fn apply(client: &Client, change: impl Fn(&mut Value)) -> Result<DynamicObject> {
    for manifest in MANIFESTS {
        let path = run_folder::repository().join(manifest);
        if path.is_dir() {
            CRDS.get_or_try_init(|| api::apply_crds(client, &path)).await?;
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for mut document in api::documents(&text)? {
            if document.get("kind").and_then(Value::as_str) == Some("Deployment") {
                change(&mut document);
            }
            api::apply(client, NAMESPACE, document).await?;
        }
    }
    until_ready(client).await
}

/// Deletes what the manifests made, except the CRDs, and with them the users' objects. Waits until the pod is gone.
pub async fn delete(client: &Client) -> Result<()> {
    for manifest in MANIFESTS.iter().rev().map(|manifest| run_folder::repository().join(manifest)) {
        if manifest.is_file() {
            let text = fs::read_to_string(&manifest).with_context(|| format!("read {}", manifest.display()))?;
            for document in api::documents(&text)? {
                api::delete(client, NAMESPACE, document).await?;
            }
        }
    }
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &kinds::namespace());
    wait::until_gone(&namespaces, NAMESPACE, READY).await
}

/// Waits until the Deployment is rolled out, as `kubectl rollout status` does, and returns its pod.
pub async fn until_ready(client: &Client) -> Result<DynamicObject> {
    let deployments: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kinds::deployment());
    wait::until(&deployments, NAME, "KULTA to be rolled out", READY, |deployment| {
        let status = |field: &str| api::number(deployment, &format!("/status/{field}"));
        let generation = deployment.metadata.generation.unwrap_or_default();
        status("observedGeneration") == generation
            && status("updatedReplicas") == 1
            && status("replicas") == 1
            && status("availableReplicas") == 1
    })
    .await?;
    wait::poll("the only pod of KULTA", READY, || async {
        let mut pods = pods(client).await?;
        Ok(if pods.len() == 1 { pods.pop() } else { None })
    })
    .await
}

/// KULTA's pods, also those that are ending.
pub async fn pods(client: &Client) -> Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kinds::pod());
    Ok(api.list(&ListParams::default().labels(SELECTOR)).await.context("list KULTA's pods")?.items)
}

/// The first container of the Deployment, for changes.
pub fn container(deployment: &mut Value) -> Option<&mut Value> {
    deployment.pointer_mut("/spec/template/spec/containers/0")
}
