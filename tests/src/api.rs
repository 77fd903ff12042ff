//! Applies manifests and reads objects as JSON, without types that would drop unknown fields.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
    discovery::{self, Scope},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{kinds, wait};

/// The field manager of all writes of tests.
pub const FIELD_MANAGER: &str = "kulta-tests";

/// The documents of a YAML text, without empty ones.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let value = Value::deserialize(document).context("read a YAML document")?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

/// Applies every document of a YAML text by server-side apply; `namespace` is for documents that name none.
pub async fn apply_yaml(client: &Client, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for document in documents(yaml)? {
        applied.push(apply(client, namespace, document).await?);
    }
    Ok(applied)
}

/// Applies one object by server-side apply, and takes over fields of other managers.
pub async fn apply(client: &Client, namespace: &str, object: Value) -> Result<DynamicObject> {
    apply_with(client, namespace, object, &PatchParams::apply(FIELD_MANAGER).force()).await
}

/// Dry run: validates the object on the server and changes nothing.
pub async fn dry_run(client: &Client, namespace: &str, object: Value) -> Result<DynamicObject> {
    apply_with(client, namespace, object, &PatchParams::apply(FIELD_MANAGER).force().dry_run()).await
}

async fn apply_with(client: &Client, namespace: &str, object: Value, params: &PatchParams) -> Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).context("the manifest is no Kubernetes object")?;
    let name = object.metadata.name.clone().context("the manifest has no name")?;
    let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
    let api = of(client, namespace, &object).await?;
    api.patch(&name, params, &Patch::Apply(&object)).await.with_context(|| format!("apply {kind} {name}"))
}

/// Deletes the object that a manifest names, if it exists, without waiting.
pub async fn delete(client: &Client, namespace: &str, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object).context("the manifest is no Kubernetes object")?;
    let name = object.metadata.name.clone().context("the manifest has no name")?;
    match of(client, namespace, &object).await?.delete(&name, &DeleteParams::background()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop).with_context(|| format!("delete {name}")),
    }
}

/// The API of the object's kind and namespace.
async fn of(client: &Client, namespace: &str, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object.types.clone().context("the manifest has no apiVersion and kind")?;
    let (resource, scope) = resolve(client, &types.api_version, &types.kind).await?;
    Ok(match scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    })
}

async fn resolve(client: &Client, api_version: &str, kind: &str) -> Result<(ApiResource, Scope)> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let wanted = GroupVersionKind::gvk(group, version, kind);
    let (resource, capabilities) =
        discovery::pinned_kind(client, &wanted).await.with_context(|| format!("find the kind {api_version} {kind}"))?;
    Ok((resource, capabilities.scope))
}

/// Applies every CRD in a folder (or file) and waits until the API server serves them.
pub async fn apply_crds(client: &Client, path: &Path) -> Result<()> {
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
            files.push(entry?.path());
        }
        files.sort();
    } else {
        files.push(path.to_path_buf());
    }
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        for document in documents(&text)? {
            if document.get("kind").and_then(Value::as_str) != Some("CustomResourceDefinition") {
                continue;
            }
            found.push(document);
        }
    }
    let mut names = Vec::new();
    for crd in found {
        names.push(put_crd(client, crd).await?);
    }
    for name in names {
        until_served(client, &name).await?;
    }
    Ok(())
}

/// Applies a CRD and waits until the API server serves it.
pub async fn apply_crd(client: &Client, crd: Value) -> Result<()> {
    let name = put_crd(client, crd).await?;
    until_served(client, &name).await
}

async fn put_crd(client: &Client, crd: Value) -> Result<String> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kinds::crd());
    let object: DynamicObject = serde_json::from_value(crd).context("read a CRD")?;
    let name = object.metadata.name.clone().context("a CRD without a name")?;
    api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .with_context(|| format!("apply the CRD {name}"))?;
    Ok(name)
}

async fn until_served(client: &Client, name: &str) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kinds::crd());
    wait::until(&api, name, "the API server to serve it", Duration::from_secs(20), |crd| {
        condition(crd, "Established").is_some_and(|found| found.0 == "True")
    })
    .await
    .map(drop)
}

/// Status and reason of a condition in `status.conditions`.
pub fn condition(object: &DynamicObject, kind: &str) -> Option<(String, String)> {
    let all = object.data.pointer("/status/conditions")?.as_array()?;
    let found = all.iter().find(|entry| entry.get("type").and_then(Value::as_str) == Some(kind))?;
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

/// A string in an object by JSON pointer; "" if it is missing.
pub fn text<'a>(object: &'a DynamicObject, pointer: &str) -> &'a str {
    object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// An integer in an object by JSON pointer; 0 if it is missing (Kubernetes omits zeros).
pub fn number(object: &DynamicObject, pointer: &str) -> i64 {
    object.data.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}
