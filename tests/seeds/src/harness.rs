//! A cluster without faults with a controller, in virtual time: for scenarios without random numbers, and for tests that count what the
//! controller writes while nothing happens or while somebody else writes the same objects.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::Plugins;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, ObjectKind, START};
use crate::excluded_time::Excluded;
use crate::faults::{Counts, FaultInjector, Rates};
use crate::log::Log;
use crate::metrics_server::MetricsServer;
use crate::process::{ControllerProcess, Dependencies};
use crate::sink::Sink;
use crate::{analyses, objects, plugins};

const SEED: u64 = 1;
/// How often a test checks whether what it waits for has happened.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The longest that a test waits for anything, in virtual time.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

pub struct Harness {
    pub cluster: Cluster,
    pub counts: Arc<Counts>,
    /// The sink of the controllers' CDEvents.
    pub sink: Sink,
    log: Log,
    dependencies: Dependencies,
    /// The server of the controllers' metrics.
    pub metrics_server: MetricsServer,
    /// The controllers; they stop when the harness is dropped.
    controllers: Vec<ControllerProcess>,
}

/// Creates a runtime with one thread and virtual time.
///
/// # Errors
/// If it cannot be created.
pub fn runtime() -> Result<Runtime> {
    // The controller's retry delays use this thread's random numbers.
    fastrand::seed(SEED);
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?)
}

/// Compiles the plugins and runs a test in virtual time.
///
/// # Errors
/// If the test returns one.
pub fn run(test: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    plugins::compiled()?;
    runtime()?.block_on(test())
}

impl Harness {
    /// Starts a cluster with a gateway and a controller, in a test that [`run`] runs.
    ///
    /// # Errors
    /// If it cannot be set up.
    pub fn start() -> Result<Self> {
        Self::start_with(plugins::compiled()?, |_| Ok(()))
    }

    /// Starts a cluster with a gateway, calls `prepare`, and starts a controller.
    ///
    /// # Errors
    /// If it cannot be set up.
    pub fn start_with(plugins: Arc<Plugins>, prepare: impl FnOnce(&Cluster) -> Result<()>) -> Result<Self> {
        let clock = Clock::starting_at(Timestamp::from_second(START).context("the start time")?);
        let (cluster, log, counts) = (Cluster::new(clock, SEED)?, Log::new(clock), Arc::<Counts>::default());
        let settings = world::Settings {
            requests_per_second: 0,
            scrape_interval: Duration::from_secs(3_600),
            retention: SignedDuration::from_secs(7_200),
            seed: SEED,
            ..world::Settings::default()
        };
        tokio::spawn(Excluded::new(world::World::new(&cluster.store, settings).run()));
        let sink = Sink::default();
        let dependencies = Dependencies {
            store: cluster.store.clone(),
            plugins,
            sink: sink.clone(),
            metrics_server: MetricsServer::new(analyses::random(SEED), 0, false, log.clone()),
            leader_election: false,
        };
        objects::create_gateway(&cluster)?;
        prepare(&cluster)?;
        let metrics_server = dependencies.metrics_server.clone();
        let mut harness = Self { cluster, counts, sink, log, dependencies, metrics_server, controllers: Vec::new() };
        harness.start_controller(None)?;
        Ok(harness)
    }

    /// The number of rollouts of which the controllers have local state.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.controllers.iter().map(ControllerProcess::rollouts_known).sum()
    }

    /// Starts another controller, for the Rollouts with this instance id or without one.
    ///
    /// # Errors
    /// If it cannot be set up.
    pub fn start_controller(&mut self, instance_id: Option<&str>) -> Result<()> {
        let name = format!("kulta-{}", self.controllers.len());
        let rates = Arc::new(Mutex::new(Rates::NONE));
        let injector = FaultInjector::new(name.clone(), SEED, rates, Arc::clone(&self.counts), self.log.clone());
        let instance_id = instance_id.map(str::to_owned);
        self.controllers.push(ControllerProcess::start_instance(&self.dependencies, &name, injector, instance_id)?);
        Ok(())
    }

    /// Waits until `done` returns true. `what` describes that in the error message.
    ///
    /// # Errors
    /// If it does not within half an hour.
    pub async fn wait_until(&self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let end = self.cluster.store.clock().now().checked_add(TIMEOUT)?;
        while !done(self)? {
            ensure!(
                self.cluster.store.clock().now() < end,
                "not within {TIMEOUT}: {what}\n{}",
                self.log.lines().join("\n")
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until the rollout has this phase for its current generation.
    ///
    /// # Errors
    /// If it does not within half an hour.
    pub async fn wait_for_phase(&self, rollout: &str, phase: &str) -> Result<()> {
        self.wait_until(&format!("Rollout {rollout} is {phase}"), |harness| {
            let object = harness.get(ObjectKind::Rollout, rollout)?;
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
            Ok(text("/status/phase") == phase && text("/status/observedGeneration") == generation.to_string())
        })
        .await
    }

    /// # Errors
    /// If the object does not exist.
    pub fn get(&self, kind: ObjectKind, name: &str) -> Result<Value> {
        let found = self.cluster.get(kind, name)?.with_context(|| format!("{kind:?} {name} is not found"))?;
        Ok(Value::clone(&found))
    }

    /// Waits for `time` and returns the write requests of this time, each as its verb, resource and name.
    ///
    /// # Errors
    /// If the log does not contain all of them.
    pub async fn writes_within(&self, time: Duration) -> Result<Vec<String>> {
        let (before, lines) = (self.counts.writes.load(Ordering::Relaxed), self.log.lines().len());
        tokio::time::sleep(time).await;
        let writes = self.counts.writes.load(Ordering::Relaxed) - before;
        let lines = self.log.lines().into_iter().skip(lines);
        // A line with a URL is a request of a plugin.
        let lines: Vec<String> =
            lines.filter(|line| !["Get", "List", "Watch", "://"].iter().any(|other| line.contains(other))).collect();
        ensure!(u64::try_from(lines.len())? == writes, "{writes} writes, and the log contains {lines:?}");
        Ok(lines)
    }
}
