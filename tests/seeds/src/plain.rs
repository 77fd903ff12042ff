//! The story that nothing happens to: a routed canary of two pods with two pauses of an hour each, from its first version to its second.
//! It shows what a story costs; [`crate::story`] tells those with faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::calm::{self, Calm};
use crate::cluster::{CANARY, Cluster, NAMESPACE, ROLLOUT, ROUTE, STABLE, What};
use crate::scenario::{Health, route, service, template};

/// How often it is looked whether the story is at its end.
const LOOK: Duration = Duration::from_secs(60);
const PATIENCE: SignedDuration = SignedDuration::from_hours(3);

/// What the story was.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Virtual time of the update.
    pub took: SignedDuration,
    pub writes: u64,
    pub events: usize,
}

/// # Errors
/// When it does not end as it has to.
pub fn tell(plugins: &Arc<Plugins>) -> Result<Told> {
    calm::runtime()?.block_on(run(Arc::clone(plugins)))
}

async fn run(plugins: Arc<Plugins>) -> Result<Told> {
    let calm = Calm::begin(plugins, |cluster| {
        for name in [STABLE, CANARY, "other"] {
            cluster.create(What::Service, service(name))?;
        }
        cluster.create(What::Route, route())?;
        cluster.create(What::Rollout, rollout())
    })?;
    let cluster = &calm.cluster;
    let now = || cluster.store.clock().now();
    until_healthy(cluster).await?;
    let began = now();
    let patch = json!({ "spec": { "template": template("v2", Health::Good) } });
    cluster.patch(What::Rollout, ROLLOUT, false, patch)?;
    tokio::time::sleep(LOOK).await;
    until_healthy(cluster).await?;
    Ok(Told {
        took: now().duration_since(began),
        writes: calm.counts.writes.load(Ordering::Relaxed),
        events: calm.sink.taken().len(),
    })
}

async fn until_healthy(cluster: &Cluster) -> Result<()> {
    let end = cluster.store.clock().now().checked_add(PATIENCE)?;
    loop {
        let rollout = cluster.get(What::Rollout, ROLLOUT)?.context("the Rollout is gone")?;
        if rollout.pointer("/status/phase").and_then(Value::as_str) == Some("Healthy") {
            return Ok(());
        }
        ensure!(cluster.store.clock().now() < end, "never healthy: {}", rollout.get("status").unwrap_or(&Value::Null));
        tokio::time::sleep(LOOK).await;
    }
}

fn rollout() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": ROLLOUT, "namespace": NAMESPACE },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": template("v1", Health::Good),
            "strategy": { "canary": {
                "stableService": STABLE, "canaryService": CANARY,
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": ROUTE } } },
                "steps": [
                    { "setWeight": 10 }, { "pause": { "duration": "1h" } },
                    { "setWeight": 50 }, { "pause": { "duration": "1h" } },
                ],
            } },
        },
    })
}
