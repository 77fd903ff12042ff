//! The story of a background analysis that never has an opinion, and of a user who promotes past it
//! (after argo-rollouts issue 3850: the run was made anew, and the pause was forgotten).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::calm::{self, Calm};
use crate::cluster::{CANARY, Cluster, NAMESPACE, ROLLOUT, ROUTE, STABLE, What};
use crate::plain::until_healthy;
use crate::scenario::{Health, route, service, template};

/// Longer than the pauses of the steps, the interval of the metric, and the slowest pod.
const WHILE: Duration = Duration::from_secs(60);
const REPLICAS: u32 = 4;

/// What a user sees of the update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub phase: String,
    pub message: String,
    /// The canary's share that is confirmed.
    pub weight: i64,
    /// Wanted pods of the new version.
    pub pods: i64,
    pub runs: usize,
}

/// What is seen a while after the update began, and a while after each of these promotes.
///
/// # Errors
/// When the story cannot be told.
pub fn tell(plugins: &Arc<Plugins>, health: Health, promotes: usize) -> Result<Vec<Seen>> {
    calm::runtime()?.block_on(run(Arc::clone(plugins), health, promotes))
}

async fn run(plugins: Arc<Plugins>, health: Health, promotes: usize) -> Result<Vec<Seen>> {
    let calm = Calm::begin(plugins, |cluster| {
        for name in [STABLE, CANARY, "other"] {
            cluster.create(What::Service, service(name))?;
        }
        cluster.create(What::Route, route())?;
        cluster.create(What::Template, judge())?;
        cluster.create(What::Rollout, rollout())
    })?;
    let cluster = &calm.cluster;
    until_healthy(cluster).await?;
    let patch = json!({ "spec": { "template": template("v2", health) } });
    cluster.patch(What::Rollout, ROLLOUT, false, patch)?;
    let mut all = Vec::new();
    for promote in 0..=promotes {
        if promote > 0 {
            cluster.patch(What::Rollout, ROLLOUT, true, json!({ "status": { "pauseConditions": null } }))?;
        }
        tokio::time::sleep(WHILE).await;
        all.push(seen(cluster)?);
    }
    Ok(all)
}

fn seen(cluster: &Cluster) -> Result<Seen> {
    let rollout = cluster.get(What::Rollout, ROLLOUT)?.context("the Rollout is gone")?;
    let text = |path: &str| rollout.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let new = format!("{ROLLOUT}-{}", text("/status/currentPodHash"));
    let new = cluster.get(What::ReplicaSet, &new)?.context("the ReplicaSet is gone")?;
    Ok(Seen {
        phase: text("/status/phase"),
        message: text("/status/message"),
        weight: rollout.pointer("/status/canary/weights/canary/weight").and_then(Value::as_i64).unwrap_or(0),
        pods: new.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0),
        runs: cluster.list(What::Run)?.len(),
    })
}

/// The server of the metric always answers 1, which neither condition knows.
fn judge() -> Value {
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
