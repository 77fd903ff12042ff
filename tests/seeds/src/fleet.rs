//! Many rollouts of two pods behind routes of their own, each with two short pauses, upgraded at once and without faults. It shows what an
//! upgrade costs the controller; the figure scenario on a control plane shows what it costs in a cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::beside::{self, Beside};
use crate::calm::{self, Calm};
use crate::cluster::What;
use crate::objects::{self, template};

/// How often it is looked whether all are Healthy: rarely, since a look reads each of them.
const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// The old pods go a while after the last step, and the last counts are gathered.
const SCALE_DOWN: Duration = Duration::from_secs(12);

/// What came of the upgrades.
#[derive(Clone, Copy, Debug)]
pub struct Upgraded {
    /// Virtual time until all were Healthy, to the nearest [`LOOK`].
    pub took: SignedDuration,
    pub requests: u64,
    /// Kubernetes events among them.
    pub writes: u64,
    pub events: usize,
}

/// What came of it, and the real time that the controller took for each upgrade, without the network.
///
/// # Errors
/// When it does not end as it has to.
pub fn tell(rollouts: usize, plugins: &Arc<Plugins>) -> Result<(Upgraded, Duration)> {
    let runtime = calm::runtime()?;
    let fleet = runtime.block_on(Fleet::deploy(rollouts, Arc::clone(plugins)))?;
    let (began, spent) = (Instant::now(), beside::spent());
    let upgraded = runtime.block_on(Beside::new(fleet.upgrade()))?;
    let controller = began.elapsed().saturating_sub(beside::spent().saturating_sub(spent));
    Ok((upgraded, controller / u32::try_from(rollouts).unwrap_or(u32::MAX).max(1)))
}

struct Fleet {
    calm: Calm,
    names: Vec<String>,
}

impl Fleet {
    async fn deploy(rollouts: usize, plugins: Arc<Plugins>) -> Result<Self> {
        let names: Vec<String> = (0..rollouts).map(|number| format!("web-{number:03}")).collect();
        let calm = Calm::begin(plugins, |cluster| {
            for name in &names {
                cluster.deploy(objects::route(name, &[name]), vec![rollout(name)])?;
            }
            Ok(())
        })?;
        let fleet = Self { calm, names };
        fleet.until_healthy("v1").await?;
        tokio::time::sleep(SCALE_DOWN).await;
        Ok(fleet)
    }

    async fn upgrade(&self) -> Result<Upgraded> {
        let counted =
            || (self.calm.counts.requests.load(Ordering::Relaxed), self.calm.counts.writes.load(Ordering::Relaxed));
        let now = || self.calm.cluster.store.clock().now();
        let (began, (requests, writes), events) = (now(), counted(), self.calm.sink.taken().len());
        for name in &self.names {
            let patch = json!({ "spec": { "template": template(name, "v2") } });
            self.calm.cluster.patch(What::Rollout, name, false, patch)?;
        }
        self.until_healthy("v2").await?;
        let took = now().duration_since(began);
        tokio::time::sleep(SCALE_DOWN).await;
        let (requests_after, writes_after) = counted();
        Ok(Upgraded {
            took,
            requests: requests_after - requests,
            writes: writes_after - writes,
            events: self.calm.sink.taken().len() - events,
        })
    }

    async fn until_healthy(&self, version: &str) -> Result<()> {
        let end = self.calm.cluster.store.clock().now().checked_add(PATIENCE)?;
        loop {
            let mut waiting = 0;
            for name in &self.names {
                let rollout = self.calm.cluster.get(What::Rollout, name)?.context("a Rollout is gone")?;
                waiting += usize::from(!is_healthy(&rollout, version));
            }
            if waiting == 0 {
                return Ok(());
            }
            ensure!(self.calm.cluster.store.clock().now() < end, "{waiting} rollouts are not Healthy");
            tokio::time::sleep(LOOK).await;
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

/// Two short pauses, and old pods that go soon.
fn rollout(name: &str) -> Value {
    let pause = || json!({ "pause": { "duration": "2s" } });
    let steps = json!([{ "setWeight": 10 }, pause(), { "setWeight": 50 }, pause()]);
    let mut rollout = objects::rollout(name, name, &steps);
    json_patch::merge(&mut rollout, &json!({ "spec": { "strategy": { "canary": { "scaleDownDelaySeconds": 5 } } } }));
    rollout
}
