//! A scenario without faults: many rollouts of two pods, each with its own route and two short pauses, are upgraded at once. It shows what
//! an upgrade costs the controller; `tests/tests/figures` shows what it costs on a real control plane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::cluster::ObjectKind;
use crate::excluded_time::{self, Excluded};
use crate::harness::{self, Harness};
use crate::objects::{self, template};

/// How often the scenario checks whether all rollouts are Healthy: rarely, because each check reads all of them.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// After this time the old pods are deleted and the last counts are written.
const SCALE_DOWN: Duration = Duration::from_secs(12);

/// The outcome of the upgrades.
#[derive(Clone, Copy, Debug)]
pub struct Upgraded {
    /// Virtual time until all were Healthy, to the nearest [`POLL_INTERVAL`].
    pub took: SignedDuration,
    pub requests: u64,
    /// Writes, including Kubernetes events.
    pub writes: u64,
    pub events: usize,
}

/// Returns the outcome, and the real time that the controller took for each upgrade, without the network.
///
/// # Errors
/// If a rollout does not become Healthy.
pub fn run(rollouts: usize, plugins: &Arc<Plugins>) -> Result<(Upgraded, Duration)> {
    let runtime = harness::runtime()?;
    let fleet = runtime.block_on(Fleet::deploy(rollouts, Arc::clone(plugins)))?;
    let (start, spent) = (Instant::now(), excluded_time::spent());
    let upgraded = runtime.block_on(Excluded::new(fleet.upgrade()))?;
    let controller = start.elapsed().saturating_sub(excluded_time::spent().saturating_sub(spent));
    Ok((upgraded, controller / u32::try_from(rollouts).unwrap_or(u32::MAX).max(1)))
}

struct Fleet {
    harness: Harness,
    names: Vec<String>,
}

impl Fleet {
    async fn deploy(rollouts: usize, plugins: Arc<Plugins>) -> Result<Self> {
        let names: Vec<String> = (0..rollouts).map(|number| format!("web-{number:03}")).collect();
        let harness = Harness::start_with(plugins, |cluster| {
            for name in &names {
                objects::deploy(cluster, objects::route(name, &[name]), vec![rollout(name)])?;
            }
            Ok(())
        })?;
        let fleet = Self { harness, names };
        fleet.until_healthy("v1").await?;
        tokio::time::sleep(SCALE_DOWN).await;
        Ok(fleet)
    }

    async fn upgrade(&self) -> Result<Upgraded> {
        let counted = || {
            (self.harness.counts.requests.load(Ordering::Relaxed), self.harness.counts.writes.load(Ordering::Relaxed))
        };
        let now = || self.harness.cluster.store.clock().now();
        let (start, (requests, writes), events) = (now(), counted(), self.harness.sink.received().len());
        for name in &self.names {
            let patch = json!({ "spec": { "template": template(name, "v2") } });
            self.harness.cluster.patch(ObjectKind::Rollout, name, false, patch)?;
        }
        self.until_healthy("v2").await?;
        let took = now().duration_since(start);
        tokio::time::sleep(SCALE_DOWN).await;
        let (requests_after, writes_after) = counted();
        Ok(Upgraded {
            took,
            requests: requests_after - requests,
            writes: writes_after - writes,
            events: self.harness.sink.received().len() - events,
        })
    }

    async fn until_healthy(&self, version: &str) -> Result<()> {
        let end = self.harness.cluster.store.clock().now().checked_add(TIMEOUT)?;
        loop {
            let mut waiting = 0;
            for name in &self.names {
                let rollout = self.harness.cluster.get(ObjectKind::Rollout, name)?.context("a Rollout is not found")?;
                waiting += usize::from(!is_healthy(&rollout, version));
            }
            if waiting == 0 {
                return Ok(());
            }
            ensure!(self.harness.cluster.store.clock().now() < end, "{waiting} rollouts are not Healthy");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn is_healthy(rollout: &Value, version: &str) -> bool {
    let text = |pointer: &str| rollout.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let generation = rollout.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    text("/spec/template/metadata/labels/version") == version
        && text("/status/observedGeneration") == generation.to_string()
        && text("/status/phase") == "Healthy"
}

/// A Rollout with two short pauses and a short scale-down delay.
fn rollout(name: &str) -> Value {
    let pause = || json!({ "pause": { "duration": "2s" } });
    let steps = json!([{ "setWeight": 10 }, pause(), { "setWeight": 50 }, pause()]);
    let mut rollout = objects::rollout(name, name, &steps);
    json_patch::merge(&mut rollout, &json!({ "spec": { "strategy": { "canary": { "scaleDownDelaySeconds": 5 } } } }));
    rollout
}
