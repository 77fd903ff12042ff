//! A scenario without faults: one update of a routed canary of two pods, with two pauses of an hour each. It shows what a scenario costs;
//! [`crate::runner`] runs those with faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::cluster::{CANARY, Cluster, NAMESPACE, ObjectKind, ROLLOUT, ROUTE, STABLE};
use crate::harness::{self, Harness};
use crate::objects::Health;
use crate::scenario::{route, service, template};

/// How often the scenario checks whether the rollout is Healthy.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: SignedDuration = SignedDuration::from_hours(3);

/// The outcome of the update.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Virtual time of the update.
    pub took: SignedDuration,
    pub writes: u64,
    pub events: usize,
}

/// # Errors
/// If the rollout does not become Healthy.
pub fn run(plugins: &Arc<Plugins>) -> Result<Update> {
    harness::runtime()?.block_on(update(Arc::clone(plugins)))
}

async fn update(plugins: Arc<Plugins>) -> Result<Update> {
    let harness = Harness::start_with(plugins, |cluster| {
        for name in [STABLE, CANARY, "other"] {
            cluster.create(ObjectKind::Service, service(name))?;
        }
        cluster.create(ObjectKind::HttpRoute, route())?;
        cluster.create(ObjectKind::Rollout, rollout())
    })?;
    let cluster = &harness.cluster;
    let now = || cluster.store.clock().now();
    until_healthy(cluster).await?;
    let start = now();
    let patch = json!({ "spec": { "template": template("v2", Health::Good) } });
    cluster.patch(ObjectKind::Rollout, ROLLOUT, false, patch)?;
    tokio::time::sleep(POLL_INTERVAL).await;
    until_healthy(cluster).await?;
    Ok(Update {
        took: now().duration_since(start),
        writes: harness.counts.writes.load(Ordering::Relaxed),
        events: harness.sink.received().len(),
    })
}

pub(crate) async fn until_healthy(cluster: &Cluster) -> Result<()> {
    let end = cluster.store.clock().now().checked_add(TIMEOUT)?;
    loop {
        let rollout = cluster.get(ObjectKind::Rollout, ROLLOUT)?.context("the Rollout is not found")?;
        if rollout.pointer("/status/phase").and_then(Value::as_str) == Some("Healthy") {
            return Ok(());
        }
        ensure!(
            cluster.store.clock().now() < end,
            "the rollout never became Healthy: {}",
            rollout.get("status").unwrap_or(&Value::Null)
        );
        tokio::time::sleep(POLL_INTERVAL).await;
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
