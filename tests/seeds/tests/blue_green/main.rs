//! Whole blue-green updates: the active and the preview Service, both versions' pods, verbs, analyses and delays.

mod analyses;
mod ends;
mod updates;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{NAMESPACE, ObjectKind};
use kulta_seeds::harness::Harness;
use kulta_seeds::objects::{Health, pod_template, services};
use serde_json::{Value, json};

const WEB: &str = "web";
const ACTIVE: &str = "web-stable";
const PREVIEW: &str = "web-canary";
const REPLICAS: i64 = 3;
/// Longer than pods take to become ready.
const A_WHILE: Duration = Duration::from_secs(20);

/// A rollout of version 1 with these fields of blue-green.
fn rollout(fields: &Value) -> Value {
    let mut strategy = json!({ "activeService": ACTIVE, "previewService": PREVIEW, "scaleDownDelaySeconds": 5 });
    json_patch::merge(&mut strategy, fields);
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": WEB, "namespace": NAMESPACE },
        "spec": {
            "replicas": REPLICAS,
            "selector": { "matchLabels": { "app": WEB } },
            "template": pod_template(WEB, "v1", Health::Good),
            "strategy": { "blueGreen": strategy },
        },
    })
}

async fn deployed(fields: &Value) -> Result<Harness> {
    let harness = Harness::start()?;
    for service in services(WEB) {
        harness.cluster.create(ObjectKind::Service, service)?;
    }
    harness.cluster.create(ObjectKind::Rollout, rollout(fields))?;
    harness.wait_for_phase(WEB, "Healthy").await?;
    tokio::time::sleep(A_WHILE).await;
    Ok(harness)
}

fn update(harness: &Harness, version: &str, health: Health) -> Result<()> {
    // A replacement, because a merge would keep labels of the version before.
    let template = pod_template(WEB, version, health);
    harness.cluster.replace(ObjectKind::Rollout, WEB, "/spec/template", template)
}

fn spec(harness: &Harness, patch: &Value) -> Result<()> {
    harness.cluster.patch(ObjectKind::Rollout, WEB, false, json!({ "spec": patch }))
}

fn status(harness: &Harness, patch: &Value) -> Result<()> {
    harness.cluster.patch(ObjectKind::Rollout, WEB, true, json!({ "status": patch }))
}

fn promote(harness: &Harness) -> Result<()> {
    status(harness, &json!({ "pauseConditions": null }))
}

/// Waits until the rollout is paused before its promotion.
async fn until_paused(harness: &Harness) -> Result<()> {
    harness.wait_for_phase(WEB, "Paused").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rollout = harness.get(ObjectKind::Rollout, WEB)?;
    let reason = rollout.pointer("/status/pauseConditions/0/reason").cloned().unwrap_or_default();
    ensure!(reason == "BlueGreenPause", "{reason}");
    Ok(())
}

/// Each version's wanted pods.
fn pods(harness: &Harness) -> Result<BTreeMap<String, i64>> {
    let sets = harness.cluster.list(ObjectKind::ReplicaSet)?;
    let pods = |set: &Value| Some((version_of(set)?, set.pointer("/spec/replicas")?.as_i64()?));
    sets.iter().map(|set| pods(set).context("a ReplicaSet without version or replicas")).collect()
}

fn version_of(set: &Value) -> Option<String> {
    set.pointer("/spec/template/metadata/labels/version")?.as_str().map(str::to_owned)
}

/// The version that a Service selects; `None` if it selects the pods of each.
fn selected(harness: &Harness, service: &str) -> Result<Option<String>> {
    let object = harness.get(ObjectKind::Service, service)?;
    let Some(hash) = object.pointer("/spec/selector/rollouts-pod-template-hash") else { return Ok(None) };
    let sets = harness.cluster.list(ObjectKind::ReplicaSet)?;
    let set = sets.iter().find(|set| set.pointer("/metadata/labels/rollouts-pod-template-hash") == Some(hash));
    Ok(Some(set.and_then(|set| version_of(set)).context("no ReplicaSet is selected")?))
}

/// Fails unless the Services select these versions and the versions have these pods.
fn ensure_state(harness: &Harness, active: &str, preview: &str, expected: &[(&str, i64)]) -> Result<()> {
    let services = (selected(harness, ACTIVE)?, selected(harness, PREVIEW)?);
    ensure!(services == (Some(active.into()), Some(preview.into())), "{services:?}");
    let expected: BTreeMap<_, _> = expected.iter().map(|(version, pods)| ((*version).to_owned(), *pods)).collect();
    let found = pods(harness)?;
    ensure!(found == expected, "{found:?} pods, not {expected:?}");
    Ok(())
}

/// The version of the stable revision.
fn stable(harness: &Harness) -> Result<Option<String>> {
    let rollout = harness.get(ObjectKind::Rollout, WEB)?;
    let hash = rollout.pointer("/status/stableRS").and_then(Value::as_str).unwrap_or_default();
    let sets = harness.cluster.list(ObjectKind::ReplicaSet)?;
    let set = sets
        .iter()
        .find(|set| set.pointer("/metadata/labels/rollouts-pod-template-hash").and_then(Value::as_str) == Some(hash));
    Ok(set.and_then(|set| version_of(set)))
}
