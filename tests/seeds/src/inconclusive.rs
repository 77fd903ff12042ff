//! A scenario without faults: a background analysis that is inconclusive, and a user who promotes in spite of it
//! (argo-rollouts issue 3850: a new run was created, and the pause was lost).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::cluster::{CANARY, Cluster, NAMESPACE, ObjectKind, ROLLOUT, ROUTE, STABLE};
use crate::harness::{self, Harness};
use crate::objects::Health;
use crate::scenario::{route, service, template};
use crate::single_update::until_healthy;

/// Longer than the pauses of the steps, the interval of the metric, and the slowest pod.
const WAIT: Duration = Duration::from_secs(60);
const REPLICAS: u32 = 4;

/// What a user observes of the update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub phase: String,
    pub message: String,
    /// The canary's verified weight.
    pub weight: i64,
    /// `spec.replicas` of the new version's ReplicaSet.
    pub pods: i64,
    pub runs: usize,
}

/// Returns what a user observes a minute after the update started, and a minute after each promote.
///
/// # Errors
/// If the server refuses a request.
pub fn run(plugins: &Arc<Plugins>, health: Health, promotes: usize) -> Result<Vec<Observation>> {
    harness::runtime()?.block_on(update(Arc::clone(plugins), health, promotes))
}

async fn update(plugins: Arc<Plugins>, health: Health, promotes: usize) -> Result<Vec<Observation>> {
    let harness = Harness::start_with(plugins, |cluster| {
        for name in [STABLE, CANARY, "other"] {
            cluster.create(ObjectKind::Service, service(name))?;
        }
        cluster.create(ObjectKind::HttpRoute, route())?;
        cluster.create(ObjectKind::AnalysisTemplate, template_of_analysis())?;
        cluster.create(ObjectKind::Rollout, rollout())
    })?;
    let cluster = &harness.cluster;
    until_healthy(cluster).await?;
    let patch = json!({ "spec": { "template": template("v2", health) } });
    cluster.patch(ObjectKind::Rollout, ROLLOUT, false, patch)?;
    let mut all = Vec::new();
    for promote in 0..=promotes {
        if promote > 0 {
            cluster.patch(ObjectKind::Rollout, ROLLOUT, true, json!({ "status": { "pauseConditions": null } }))?;
        }
        tokio::time::sleep(WAIT).await;
        all.push(observe(cluster)?);
    }
    Ok(all)
}

fn observe(cluster: &Cluster) -> Result<Observation> {
    let rollout = cluster.get(ObjectKind::Rollout, ROLLOUT)?.context("the Rollout is not found")?;
    let text = |path: &str| rollout.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let new = format!("{ROLLOUT}-{}", text("/status/currentPodHash"));
    let new = cluster.get(ObjectKind::ReplicaSet, &new)?.context("the ReplicaSet is not found")?;
    Ok(Observation {
        phase: text("/status/phase"),
        message: text("/status/message"),
        weight: rollout.pointer("/status/canary/weights/canary/weight").and_then(Value::as_i64).unwrap_or(0),
        pods: new.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0),
        runs: cluster.list(ObjectKind::AnalysisRun)?.len(),
    })
}

/// The metrics server always answers 1, which meets neither condition.
fn template_of_analysis() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": "judge", "namespace": NAMESPACE },
        "spec": { "metrics": [{
            "name": "code", "interval": "5s",
            "successCondition": "result.ok == 2", "failureCondition": "result.ok == 0",
            "provider": { "web": { "url": "http://metrics.test/", "jsonPath": "{$}" } },
        }] },
    })
}

fn rollout() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": ROLLOUT, "namespace": NAMESPACE },
        "spec": {
            "replicas": REPLICAS,
            "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": template("v1", Health::Good),
            "strategy": { "canary": {
                "stableService": STABLE, "canaryService": CANARY,
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": ROUTE } } },
                "analysis": { "templates": [{ "templateName": "judge" }] },
                "steps": [
                    { "setWeight": 20 }, { "pause": { "duration": "20s" } },
                    { "setWeight": 50 }, { "pause": { "duration": "20s" } },
                ],
            } },
        },
    })
}
