//! Whole updates of a canary whose `trafficRouting` names no router, as Argo Rollouts serves it: pods as behind routes, no weights.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{NAMESPACE, ObjectKind};
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::{Health, pod_template, services};
use serde_json::{Value, json};

const WEB: &str = "web";
/// Longer than pods take to become ready, and than the scale-down delays below.
const A_WHILE: Duration = Duration::from_secs(30);
const REPLICAS: u32 = 4;

fn rollout() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": WEB, "namespace": NAMESPACE },
        "spec": {
            "replicas": REPLICAS,
            "selector": { "matchLabels": { "app": WEB } },
            "template": pod_template(WEB, "v1", Health::Good),
            "strategy": { "canary": {
                "stableService": "web-stable", "canaryService": "web-canary", "trafficRouting": {},
                "scaleDownDelaySeconds": 5, "abortScaleDownDelaySeconds": 5,
                "steps": [{ "setWeight": 25 }, { "pause": {} }, { "setCanaryScale": { "replicas": 3 } }, { "pause": {} }],
            } },
        },
    })
}

async fn deployed() -> Result<Harness> {
    let harness = Harness::start()?;
    for service in services(WEB) {
        harness.cluster.create(ObjectKind::Service, service)?;
    }
    harness.cluster.create(ObjectKind::Rollout, rollout())?;
    harness.wait_for_phase(WEB, "Healthy").await?;
    Ok(harness)
}

fn update(harness: &Harness) -> Result<()> {
    let patch = json!({ "spec": { "template": pod_template(WEB, "v2", Health::Good) } });
    harness.cluster.patch(ObjectKind::Rollout, WEB, false, patch)
}

async fn until_paused_at(harness: &Harness, step: i64) -> Result<()> {
    harness
        .wait_until(&format!("the pause at step {step}"), |harness| {
            let rollout = harness.get(ObjectKind::Rollout, WEB)?;
            let index = rollout.pointer("/status/currentStepIndex").and_then(Value::as_i64);
            Ok(index == Some(step) && rollout.pointer("/status/pauseConditions/0").is_some())
        })
        .await
}

fn promote(harness: &Harness) -> Result<()> {
    harness.cluster.patch(ObjectKind::Rollout, WEB, true, json!({ "status": { "pauseConditions": null } }))
}

/// Each version's wanted pods.
fn pods(harness: &Harness) -> Result<BTreeMap<String, i64>> {
    let sets = harness.cluster.list(ObjectKind::ReplicaSet)?;
    let version = |set: &Value| set.pointer("/spec/template/metadata/labels/version")?.as_str().map(str::to_owned);
    let pods = |set: &Value| Some((version(set)?, set.pointer("/spec/replicas")?.as_i64()?));
    sets.iter().map(|set| pods(set).context("a ReplicaSet without version or replicas")).collect()
}

/// The version that a Service selects.
fn selected(harness: &Harness, service: &str) -> Result<String> {
    let object = harness.get(ObjectKind::Service, service)?;
    let hash = object.pointer("/spec/selector/rollouts-pod-template-hash").context("it selects all pods")?;
    let sets = harness.cluster.list(ObjectKind::ReplicaSet)?;
    let set = sets.iter().find(|set| set.pointer("/metadata/labels/rollouts-pod-template-hash") == Some(hash));
    let version = set.and_then(|set| set.pointer("/spec/template/metadata/labels/version")?.as_str());
    Ok(version.context("no ReplicaSet is selected")?.to_owned())
}

fn ensure_state(
    harness: &Harness,
    expected: [(&str, i64); 2],
    canary_service: &str,
    stable_service: &str,
) -> Result<()> {
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(version, pods)| (version.to_owned(), pods)).collect();
    let found = pods(harness)?;
    ensure!(found == expected, "{found:?} pods, not {expected:?}");
    let services = (selected(harness, "web-canary")?, selected(harness, "web-stable")?);
    ensure!((services.0.as_str(), services.1.as_str()) == (canary_service, stable_service), "{services:?}");
    let weights = harness.get(ObjectKind::Rollout, WEB)?.pointer("/status/canary/weights").cloned();
    ensure!(weights.is_none(), "{weights:?}");
    Ok(())
}

#[test]
fn an_update_without_a_router_counts_pods_as_behind_routes_and_ends_healthy() -> Result<()> {
    run(async || {
        let harness = deployed().await?;
        update(&harness)?;
        until_paused_at(&harness, 1).await?;
        ensure_state(&harness, [("v1", 4), ("v2", 1)], "v2", "v1")?;
        let idle = harness.writes_within(A_WHILE * 10).await?;
        ensure!(idle.is_empty(), "while it waits for a user: {idle:?}");

        promote(&harness)?;
        until_paused_at(&harness, 3).await?;
        ensure_state(&harness, [("v1", 4), ("v2", 3)], "v2", "v1")?;

        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, [("v1", 0), ("v2", 4)], "v2", "v2")
    })
}

#[test]
fn an_abort_without_a_router_points_both_services_at_stable_and_then_deletes_the_canarys_pods() -> Result<()> {
    run(async || {
        let harness = deployed().await?;
        update(&harness)?;
        until_paused_at(&harness, 1).await?;

        harness.cluster.patch(ObjectKind::Rollout, WEB, true, json!({ "status": { "abort": true } }))?;
        harness.wait_for_phase(WEB, "Degraded").await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        ensure_state(&harness, [("v1", 4), ("v2", 1)], "v1", "v1")?;

        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, [("v1", 4), ("v2", 0)], "v1", "v1")
    })
}
