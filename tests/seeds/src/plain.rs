//! The story that nothing happens to: a routed canary of two pods with two pauses of an hour each, from its first version to its second.
//! It shows what a story costs; [`crate::story`] tells those with faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_wasm::Plugins;
use serde_json::{Value, json};

use crate::cluster::{CANARY, Cluster, NAMESPACE, ROLLOUT, ROUTE, STABLE, What};
use crate::faults::{Counts, Rates, Trouble};
use crate::gauge::Gauge;
use crate::incarnation::{Incarnation, World};
use crate::judging;
use crate::scenario::{Health, route, service, template};
use crate::sink::Place;
use crate::story::{BEGIN, Log};

const SEED: u64 = 1;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(run(Arc::clone(plugins)))
}

async fn run(plugins: Arc<Plugins>) -> Result<Told> {
    let Stage { cluster, clock, counts, sink, life } = set_up(plugins, |_| Ok(()))?;
    cluster.create(What::Rollout, rollout())?;
    until_healthy(&cluster).await?;
    let began = clock.now();
    let patch = json!({ "spec": { "template": template("v2", Health::Good) } });
    cluster.patch(What::Rollout, ROLLOUT, false, patch)?;
    tokio::time::sleep(LOOK).await;
    until_healthy(&cluster).await?;
    drop(life);
    Ok(Told {
        took: clock.now().duration_since(began),
        writes: counts.writes.load(Ordering::Relaxed),
        events: sink.taken().len(),
    })
}

/// A cluster with Services, a gateway and a route, and a controller that nothing disturbs.
pub(crate) struct Stage {
    pub cluster: Cluster,
    pub clock: Clock,
    pub counts: Arc<Counts>,
    pub sink: Place,
    /// The controller's process, until it is dropped.
    pub life: Incarnation,
}

/// `objects` are made before the controller begins.
pub(crate) fn set_up(plugins: Arc<Plugins>, objects: impl FnOnce(&Cluster) -> Result<()>) -> Result<Stage> {
    let clock = Clock::starting_at(Timestamp::from_second(BEGIN).context("the beginning")?);
    let (cluster, log, counts) = (Cluster::begin(clock, SEED)?, Log::of(clock), Arc::<Counts>::default());
    let settings = world::Settings {
        requests_per_second: 0,
        scrape_interval: Duration::from_secs(3_600),
        retention: SignedDuration::from_secs(7_200),
        seed: SEED,
        ..world::Settings::default()
    };
    tokio::spawn(world::World::new(&cluster.store, settings).run());
    let sink = Place::default();
    let world = World {
        store: cluster.store.clone(),
        plugins,
        sink: sink.clone(),
        gauge: Gauge::new(judging::dice(SEED), 0, log.clone()),
        elect: false,
    };
    gateway(&cluster)?;
    for name in [STABLE, CANARY, "other"] {
        cluster.create(What::Service, service(name))?;
    }
    cluster.create(What::Route, route())?;
    objects(&cluster)?;
    let rates = Arc::new(std::sync::Mutex::new(Rates::NONE));
    let trouble = Trouble::new("kulta".to_owned(), SEED, rates, Arc::clone(&counts), log);
    let life = Incarnation::begin(&world, "kulta", trouble)?;
    Ok(Stage { cluster, clock, counts, sink, life })
}

pub(crate) async fn until_healthy(cluster: &Cluster) -> Result<()> {
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
