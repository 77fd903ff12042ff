//! One life of the controller's process: the real controller, joined to the server in process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Body;
use kube::Client;
use kulta_controller::app::{Controller, Parts, Settings};
use kulta_controller::cdevents::Publisher;
use kulta_controller::clock::{Clock, VirtualClock};
use kulta_controller::lease::Elector;
use kulta_controller::metrics::Metrics;
use kulta_embedded::server::Server;
use kulta_embedded::store::Store;
use kulta_events::{Environment, GitKeys, Origin};
use kulta_fetch::CloudEventsMode;
use kulta_wasm::Plugins;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt, service_fn};

use crate::beside::Beside;
use crate::cluster::NAMESPACE;
use crate::faults::Trouble;
use crate::gauge::{self, Gauge};
use crate::sink::{Place, Way};

/// As the kube client gives up on a connection that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// As the binary has it.
const WORKERS: usize = 4;

/// What every life of a story shares.
#[derive(Clone)]
pub struct World {
    pub store: Store,
    pub plugins: Arc<Plugins>,
    pub sink: Place,
    pub gauge: Gauge,
    /// Lives compete for the lease.
    pub elect: bool,
}

pub struct Incarnation {
    pub name: String,
    dead: Arc<AtomicBool>,
    controller: Arc<OnceLock<Arc<Controller>>>,
    task: JoinHandle<()>,
}

impl Incarnation {
    /// # Errors
    /// When the events' origin cannot be told, which is a mistake in here.
    pub fn begin(world: &World, name: &str, trouble: Trouble) -> Result<Self> {
        Self::begin_instance(world, name, trouble, None)
    }

    /// The same, of a controller that serves the Rollouts of one instance id.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_instance(world: &World, name: &str, trouble: Trouble, instance_id: Option<String>) -> Result<Self> {
        let dead = trouble.dead();
        let server = Server::new(world.store.clone()).with_faults(Arc::new(trouble));
        let client = client(&server, &dead);
        let way = Way { place: world.sink.clone(), dead: Arc::clone(&dead) };
        let gauge = gauge::Way { gauge: world.gauge.clone(), name: name.to_owned(), dead: Arc::clone(&dead) };
        let environment = Environment { id: "test".to_owned(), source: None };
        let origin = Origin::new("/kulta", environment, GitKeys::default()).context("the events' origin")?;
        let publisher = Publisher { sink: Box::new(way), origin, mode: CloudEventsMode::Binary };
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start(world.store.clock().now()));
        let parts = Parts {
            client: client.clone(),
            plugins: Arc::clone(&world.plugins),
            registries: kulta_oci::Client::new(kulta_oci::Settings::default()).context("set up registries")?,
            components: None,
            requests: Arc::new(gauge),
            metrics: Arc::new(Metrics::default()),
            clock: Arc::clone(&clock),
            publisher: Some(publisher),
        };
        let settings = Settings {
            namespaces: Vec::new(),
            instance_id,
            workers: WORKERS,
            prometheus_address: None,
            namespace: NAMESPACE.to_owned(),
            allow_plugin_tags: false,
            plugin_trusted_keys: None,
        };
        let elector = world.elect.then(|| Elector::new(client, NAMESPACE, name.to_owned(), clock));
        let ended = Arc::clone(&dead);
        let made = Arc::<OnceLock<Arc<Controller>>>::default();
        let started = Arc::clone(&made);
        let task = tokio::spawn(async move {
            let controller = Controller::new(parts, settings).await;
            // Set once, here.
            let _ = started.set(Arc::clone(&controller));
            // It ends only when the lease is lost; the process ends with it.
            drop(controller.lead(elector, CancellationToken::new()).await);
            ended.store(true, Ordering::Relaxed);
        });
        Ok(Self { name: name.to_owned(), dead, controller: made, task })
    }

    /// How many rollouts it remembers.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.controller.get().map_or(0, |controller| controller.rollouts_known())
    }

    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

impl Drop for Incarnation {
    /// What it has spawned lives on without a way to anybody.
    fn drop(&mut self) {
        self.dead.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// A client whose requests go straight to the server; one that is not answered in time fails, as over a network. The dead ask nothing.
fn client(server: &Server, dead: &Arc<AtomicBool>) -> Client {
    let router = server.router();
    let dead = Arc::clone(dead);
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let (router, dead) = (router.clone(), Arc::clone(&dead));
        async move {
            let alive = || !dead.load(Ordering::Relaxed);
            if alive() {
                let answer = Beside::new(router.oneshot(request.map(Body::new)));
                match tokio::time::timeout(PATIENCE, answer).await {
                    Ok(answer) => {
                        let answer = answer.unwrap_or_else(|never| match never {});
                        return Ok(answer.map(|body| Body::from_stream(Beside::new(body.into_data_stream()))));
                    }
                    Err(_) if alive() => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
                    Err(_) => {}
                }
            }
            std::future::pending().await
        }
    });
    Client::new(service, NAMESPACE)
}
