//! A cluster without faults, and a controller on it, in virtual time: for what is told without dice, and to count what the controller
//! writes while nothing happens or while somebody else writes the same objects.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::Plugins;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::beside::Beside;
use crate::cluster::{Cluster, NAMESPACE, What};
use crate::faults::{Counts, Rates, Trouble};
use crate::gauge::Gauge;
use crate::incarnation::{Incarnation, World};
use crate::judging;
use crate::sink::Place;
use crate::story::{self, BEGIN, Log};

const SEED: u64 = 1;
/// How often a test looks whether what it waits for is there.
const INTERVAL: Duration = Duration::from_millis(500);
/// The longest that a test waits for anything, in virtual time.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

pub struct Calm {
    pub cluster: Cluster,
    pub counts: Arc<Counts>,
    /// Where the controllers' CDEvents go.
    pub sink: Place,
    log: Log,
    world: World,
    /// Where the controllers' metrics come from.
    pub gauge: Gauge,
    /// They end with it.
    controllers: Vec<Incarnation>,
}

/// A runtime of one thread and of virtual time.
///
/// # Errors
/// When it cannot be made.
pub fn runtime() -> Result<Runtime> {
    // The delays of the controller's retries come from this thread's dice.
    fastrand::seed(SEED);
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?)
}

/// Runs a test in virtual time; the plugins are compiled before it.
///
/// # Errors
/// As the test does.
pub fn run(test: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    story::plugins()?;
    runtime()?.block_on(test())
}

impl Calm {
    /// A cluster with a gateway and a controller, in a test that [`run`] runs.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn start() -> Result<Self> {
        Self::begin(story::plugins()?, |_| Ok(()))
    }

    /// The same, with what `prepare` adds before the controller starts.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn begin(plugins: Arc<Plugins>, prepare: impl FnOnce(&Cluster) -> Result<()>) -> Result<Self> {
        let clock = Clock::starting_at(Timestamp::from_second(BEGIN).context("the beginning")?);
        let (cluster, log, counts) = (Cluster::begin(clock, SEED)?, Log::of(clock), Arc::<Counts>::default());
        let settings = world::Settings {
            requests_per_second: 0,
            scrape_interval: Duration::from_secs(3_600),
            retention: SignedDuration::from_secs(7_200),
            seed: SEED,
            ..world::Settings::default()
        };
        tokio::spawn(Beside::new(world::World::new(&cluster.store, settings).run()));
        let sink = Place::default();
        let world = World {
            store: cluster.store.clone(),
            plugins,
            sink: sink.clone(),
            gauge: Gauge::new(judging::dice(SEED), 0, false, log.clone()),
            elect: false,
        };
        gateway(&cluster)?;
        prepare(&cluster)?;
        let gauge = world.gauge.clone();
        let mut calm = Self { cluster, counts, sink, log, world, gauge, controllers: Vec::new() };
        calm.begin_controller(None)?;
        Ok(calm)
    }

    /// How many rollouts the controllers remember.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.controllers.iter().map(Incarnation::rollouts_known).sum()
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
        self.until(&format!("Rollout {rollout} is {phase}"), |calm| {
            let object = calm.get(What::Rollout, rollout)?;
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

/// The Gateway that the routes name, and its class.
fn gateway(cluster: &Cluster) -> Result<()> {
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "embedded" },
        "spec": { "controllerName": "kulta.io/embedded-gateway" },
    });
    cluster.create_any("gateway.networking.k8s.io/v1", "GatewayClass", "", class)?;
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "gateway" },
        "spec": { "gatewayClassName": "embedded", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] },
    });
    cluster.create_any("gateway.networking.k8s.io/v1", "Gateway", NAMESPACE, gateway)
}
