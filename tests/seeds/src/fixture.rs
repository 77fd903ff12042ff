//! Rollouts of a test's own in a cluster without faults, in virtual time: to count what the controller writes while nothing happens, or
//! while somebody else writes the same objects.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, What};
use crate::faults::{Counts, Rates, Trouble};
use crate::gauge::Gauge;
use crate::incarnation::{Incarnation, World};
use crate::judging;
use crate::sink::Place;
use crate::story::{BEGIN, Log};

const SEED: u64 = 1;
/// How often a test looks whether what it waits for is there.
const INTERVAL: Duration = Duration::from_millis(500);
/// The longest that a test waits for anything, in virtual time.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

/// A cluster with a gateway, and a controller that serves it.
pub struct Fixture {
    pub cluster: Cluster,
    /// Where the controller's CDEvents go.
    pub sink: Place,
    counts: Arc<Counts>,
    log: Log,
    world: World,
    /// They end with it.
    controllers: Vec<Incarnation>,
}

/// Compiled once, and in no test's time.
fn plugins() -> Result<Arc<Plugins>> {
    static PLUGINS: OnceLock<Arc<Plugins>> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plugins) = PLUGINS.get() {
        return Ok(Arc::clone(plugins));
    }
    let plugins = crate::story::plugins()?;
    Ok(Arc::clone(PLUGINS.get_or_init(|| plugins)))
}

/// Runs a test in virtual time.
///
/// # Errors
/// As the test does.
pub fn run<F: Future<Output = Result<()>>>(test: impl FnOnce() -> F) -> Result<()> {
    plugins()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(test())
}

impl Fixture {
    /// # Errors
    /// When the cluster cannot be set up.
    pub fn begin() -> Result<Self> {
        let clock = Clock::starting_at(Timestamp::from_second(BEGIN).context("the beginning")?);
        let (cluster, log, counts) = (Cluster::begin(clock, SEED)?, Log::of(clock), Arc::<Counts>::default());
        tokio::spawn(world::World::new(&cluster.store, world::Settings { seed: SEED, ..Default::default() }).run());
        crate::calm::gateway(&cluster)?;
        let sink = Place::default();
        let world = World {
            store: cluster.store.clone(),
            plugins: plugins()?,
            sink: sink.clone(),
            gauge: Gauge::new(judging::dice(SEED), 0, false, log.clone()),
            elect: false,
        };
        let mut fixture = Self { cluster, sink, counts, log, world, controllers: Vec::new() };
        fixture.begin_controller(None)?;
        Ok(fixture)
    }

    /// What plugins ask for is answered after this time, whatever the dice say.
    pub fn answers_take(&self, time: Duration) {
        // The first word counts, and there is one.
        let _ = self.world.gauge.takes.set(time);
    }

    /// One more controller, for the Rollouts of an instance id.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn begin_controller(&mut self, instance_id: Option<&str>) -> Result<()> {
        let name = format!("kulta-{}", self.controllers.len());
        let rates = Arc::new(Mutex::new(Rates::NONE));
        let trouble = Trouble::new(name.clone(), SEED, rates, Arc::clone(&self.counts), self.log.clone());
        let instance_id = instance_id.map(str::to_owned);
        self.controllers.push(Incarnation::begin_instance(&self.world, &name, trouble, instance_id)?);
        Ok(())
    }

    /// Waits until it is so.
    ///
    /// # Errors
    /// When it is not so within half an hour: names `what`.
    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let end = self.cluster.store.clock().now().checked_add(TIMEOUT)?;
        while !done(self)? {
            ensure!(
                self.cluster.store.clock().now() < end,
                "not within {TIMEOUT}: {what}\n{}",
                self.log.lines().join("\n")
            );
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until the rollout is in this phase, for the generation that the spec has.
    ///
    /// # Errors
    /// When it is not within half an hour.
    pub async fn until_phase(&self, rollout: &str, phase: &str) -> Result<()> {
        self.until(&format!("Rollout {rollout} is {phase}"), |fixture| {
            let object = fixture.get(What::Rollout, rollout)?;
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
            Ok(text("/status/phase") == phase && text("/status/observedGeneration") == generation.to_string())
        })
        .await
    }

    /// # Errors
    /// When it is not there.
    pub fn get(&self, what: What, name: &str) -> Result<Value> {
        let found = self.cluster.get(what, name)?.with_context(|| format!("{what:?} {name} is not there"))?;
        Ok(Value::clone(&found))
    }

    /// The requests that write, of this time from now on; each as its verb, its resource and its name.
    ///
    /// # Errors
    /// When the log does not have all of them.
    pub async fn writes_within(&self, time: Duration) -> Result<Vec<String>> {
        let (before, lines) = (self.counts.writes.load(Ordering::Relaxed), self.log.lines().len());
        tokio::time::sleep(time).await;
        let writes = self.counts.writes.load(Ordering::Relaxed) - before;
        let said = self.log.lines().into_iter().skip(lines);
        // What has a URL was asked by a plugin, and elsewhere.
        let said: Vec<String> =
            said.filter(|line| !["Get", "List", "Watch", "://"].iter().any(|other| line.contains(other))).collect();
        ensure!(u64::try_from(said.len())? == writes, "{writes} writes, and the log has {said:?}");
        Ok(said)
    }
}

/// A Rollout of two pods on a route, with Services of its own: `<name>-stable` and `<name>-canary`.
#[must_use]
pub fn rollout(name: &str, route: &str, steps: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name, "v1"),
            "strategy": { "canary": {
                "stableService": format!("{name}-stable"), "canaryService": format!("{name}-canary"),
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": route } } },
                "steps": steps,
            } },
        },
    })
}

#[must_use]
pub fn template(name: &str, version: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": name, "version": version } },
        "spec": { "containers": [{
            "name": "app", "image": format!("example.test/app:{version}"), "ports": [{ "containerPort": 8080 }],
        }] },
    })
}

/// The two Services of a Rollout.
#[must_use]
pub fn services(rollout: &str) -> [Value; 2] {
    ["stable", "canary"].map(|side| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": format!("{rollout}-{side}"), "namespace": NAMESPACE },
            "spec": { "selector": { "app": rollout }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
        })
    })
}

/// An HTTPRoute with one rule for each Rollout, under a path of its own.
#[must_use]
pub fn route(name: &str, rollouts: &[&str]) -> Value {
    let backend = |name: String, weight: u32| json!({ "name": name, "port": 80, "weight": weight });
    let rules: Vec<Value> = rollouts
        .iter()
        .map(|rollout| {
            json!({
                "matches": [{ "path": { "type": "PathPrefix", "value": format!("/{rollout}") } }],
                "backendRefs": [backend(format!("{rollout}-stable"), 100), backend(format!("{rollout}-canary"), 0)],
            })
        })
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "parentRefs": [{ "name": "gateway" }], "hostnames": ["web.example.test"], "rules": rules },
    })
}
