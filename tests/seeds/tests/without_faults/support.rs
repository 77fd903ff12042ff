//! A whole controller against a cluster that nothing goes wrong in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use kulta_embedded::clock::Clock;
use kulta_embedded::world;
use kulta_seeds::cluster::{Cluster, NAMESPACE, ROLLOUT};
use kulta_seeds::faults::{Counts, Rates, Trouble};
use kulta_seeds::gauge::Gauge;
use kulta_seeds::incarnation::{Incarnation, World};
use kulta_seeds::judging;
use kulta_seeds::sink::Place;
use kulta_seeds::story::{self, BEGIN, Log};
use kulta_wasm::Plugins;
use serde_json::{Value, json};
use tokio::runtime::Builder;

const SEED: u64 = 1;
const HOUR: Duration = Duration::from_secs(3_600);

pub struct Stage {
    pub cluster: Cluster,
    /// Where its events go.
    pub sink: Place,
    _life: Incarnation,
}

/// Tells one scenario in virtual time.
pub fn tell(scenario: impl AsyncFnOnce(&Stage) -> Result<()>) -> Result<()> {
    let plugins = plugins()?;
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let stage = Stage::begin(plugins)?;
        scenario(&stage).await
    })
}

/// Compiled once, and in no scenario's time.
fn plugins() -> Result<Arc<Plugins>> {
    static PLUGINS: Mutex<Option<Arc<Plugins>>> = Mutex::new(None);
    let mut plugins = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plugins) = &*plugins {
        return Ok(Arc::clone(plugins));
    }
    Ok(Arc::clone(plugins.insert(story::plugins()?)))
}

impl Stage {
    fn begin(plugins: Arc<Plugins>) -> Result<Self> {
        let clock = Clock::starting_at(Timestamp::from_second(BEGIN)?);
        let (cluster, log, sink) = (Cluster::begin(clock, SEED)?, Log::of(clock), Place::default());
        let settings = world::Settings {
            requests_per_second: 0,
            scrape_interval: HOUR,
            retention: SignedDuration::from_hours(2),
            seed: SEED,
            ..world::Settings::default()
        };
        tokio::spawn(world::World::new(&cluster.store, settings).run());
        let world = World {
            store: cluster.store.clone(),
            plugins,
            sink: sink.clone(),
            gauge: Gauge::new(judging::dice(SEED), 0, false, log.clone()),
            elect: false,
        };
        let rates = Arc::new(Mutex::new(Rates::NONE));
        let trouble = Trouble::new("kulta".to_owned(), SEED, rates, Arc::<Counts>::default(), log);
        let life = Incarnation::begin(&world, "kulta", trouble)?;
        Ok(Self { cluster, sink, _life: life })
    }
}

/// A canary of one pod.
pub fn rollout(template: &Value, steps: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": ROLLOUT, "namespace": NAMESPACE },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": ROLLOUT } },
            "template": template, "strategy": { "canary": { "steps": steps } },
        },
    })
}
