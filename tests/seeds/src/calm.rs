//! A cluster without faults, and one controller on it: for what is told without dice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::Plugins;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::beside::Beside;
use crate::cluster::{Cluster, NAMESPACE};
use crate::faults::{Counts, Rates, Trouble};
use crate::gauge::Gauge;
use crate::incarnation::{Incarnation, World};
use crate::judging;
use crate::sink::Place;
use crate::story::{BEGIN, Log};

const SEED: u64 = 1;

pub struct Calm {
    pub cluster: Cluster,
    pub counts: Arc<Counts>,
    pub sink: Place,
    pub life: Incarnation,
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

impl Calm {
    /// A cluster with a gateway, to which `prepare` adds what is there before the controller starts.
    ///
    /// # Errors
    /// When the server refuses something.
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
            gauge: Gauge::new(judging::dice(SEED), 0, log.clone()),
            elect: false,
        };
        gateway(&cluster)?;
        prepare(&cluster)?;
        let rates = Arc::new(Mutex::new(Rates::NONE));
        let trouble = Trouble::new("kulta".to_owned(), SEED, rates, Arc::clone(&counts), log);
        let life = Incarnation::begin(&world, "kulta", trouble)?;
        Ok(Self { cluster, counts, sink, life })
    }
}

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
