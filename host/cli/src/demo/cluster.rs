//! The embedded cluster, and the real controller that talks to it over HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use kube::{Client, Config};
use kulta_controller::app::{Controller, Parts, ProviderEnvironment, Settings};
use kulta_controller::cdevents::Publisher;
use kulta_controller::clock::SystemClock;
use kulta_controller::kinds::MANAGER;
use kulta_controller::metrics::Metrics;
use kulta_embedded::clock::Clock;
use kulta_embedded::metrics::http as prometheus;
use kulta_embedded::metrics::traffic::Tally;
use kulta_embedded::server::Server;
use kulta_embedded::store::{self, ListOptions, Selection, Store};
use kulta_embedded::world::{Tallies, World};
use kulta_events::{Environment, GitKeys, Origin};
use kulta_fetch::{CloudEventsMode, Fetcher};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::app::{self, NAMESPACE, ROUTE};
use super::sink::Events;
use super::speed::Speed;
use super::writes::Writes;
use crate::arguments::COMPILE_MEMORY_MIB;
use crate::plugins;

/// The operating system chooses the port.
const ANY_PORT: u16 = 0;
/// Seed of the simulation: any number works, and a fixed one makes demos similar.
const SEED: u64 = 4;
/// Rollouts that are reconciled in parallel: the demo has one.
const WORKERS: usize = 1;
const EVENT_SOURCE: &str = "/kulta/demo";
const ENVIRONMENT: &str = "demo";

pub struct Cluster {
    store: Store,
    /// Address of the API server.
    pub address: SocketAddr,
    /// Address of the Prometheus API.
    pub prometheus: SocketAddr,
    controller_name: String,
    pub writes: Arc<Writes>,
    pub events: Events,
    tallies: Tallies,
    tasks: JoinSet<Result<()>>,
}

impl Cluster {
    /// Starts the API server, the simulated cluster and its metrics.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(speed: Speed) -> Result<Self> {
        let clock = Clock::wall();
        let store = Store::new(store::Settings::new(clock, SEED));
        let settings = app::world(speed, SEED);
        let controller_name = settings.controller_name.clone();
        let world = World::new(&store, settings);
        let tallies = world.tallies();
        let metrics = prometheus::router(world.metrics(), clock);
        let writes = Arc::new(Writes::default());
        let server = Server::new(store.clone()).with_faults(Arc::clone(&writes) as _);
        let (listener, address) = listen().await.context("listen for the API server")?;
        let (metrics_listener, prometheus) = listen().await.context("listen for the metrics")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.serve(listener).await.context("the API server") });
        tasks.spawn(async move { axum::serve(metrics_listener, metrics).await.context("the Prometheus API") });
        tasks.spawn(async move {
            world.run().await;
            bail!("the simulated cluster has ended")
        });
        let events = Events::default();
        Ok(Self { store, address, prometheus, controller_name, writes, events, tallies, tasks })
    }

    /// Starts the same controller as `kulta controller`.
    ///
    /// # Errors
    /// If one of its parts cannot be created.
    pub fn control(&mut self) -> Result<()> {
        let client = client(self.address, MANAGER)?;
        let plugins = plugins::start(COMPILE_MEMORY_MIB, None)?;
        // The embedded cluster listens on a loopback address.
        let settings = kulta_fetch::Settings { loopback: true, ..kulta_fetch::Settings::default() };
        let requests = Fetcher::new(settings).context("set up the requests of analyses")?;
        let environment = Environment { id: ENVIRONMENT.to_owned(), source: None };
        let origin = Origin::new(EVENT_SOURCE, environment, GitKeys::default()).context("the events' origin")?;
        let parts = Parts {
            client,
            plugins,
            registries: kulta_oci::Client::new(kulta_oci::Settings::default()).context("set up registries")?,
            components: None,
            requests: Arc::new(requests),
            metrics: Arc::new(Metrics::default()),
            clock: Arc::new(SystemClock),
            publisher: Some(Publisher { sink: Box::new(self.events.clone()), origin, mode: CloudEventsMode::Binary }),
        };
        let settings = Settings {
            namespaces: Vec::new(),
            instance_id: None,
            workers: WORKERS,
            prometheus_address: Some(format!("http://{}", self.prometheus)),
            provider_environment: ProviderEnvironment::default(),
            namespace: NAMESPACE.to_owned(),
            allow_plugin_tags: false,
            plugin_trusted_keys: None,
        };
        let analyzers = Arc::clone(&parts.plugins);
        self.tasks.spawn(async move {
            // Compiled now: the bad version has traffic for seconds only, too short to compile the analyzer meanwhile.
            analyzers.analyzer(app::ANALYZER).await.context("the demo's analyzer")?;
            let controller = Controller::new(parts, settings).await;
            controller.lead(None, CancellationToken::new()).await.context("the controller")
        });
        Ok(())
    }

    /// Controller name of GatewayClasses that the simulated gateway implements.
    #[must_use]
    pub fn controller_name(&self) -> &str {
        &self.controller_name
    }

    /// # Errors
    /// If a part of the cluster has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(ended) => {
                ended.context("a part of the cluster panicked")??;
                bail!("a part of the cluster has ended")
            }
        }
    }

    /// The current object in the application's namespace; `None` if it does not exist.
    #[must_use]
    pub fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Arc<Value>> {
        let kind = self.store.kind(api_version, kind)?;
        self.store.get(&kind, NAMESPACE, name).ok()
    }

    /// All objects of a kind in the application's namespace.
    #[must_use]
    pub fn list(&self, api_version: &str, kind: &str) -> Vec<Arc<Value>> {
        let Some(kind) = self.store.kind(api_version, kind) else { return Vec::new() };
        let page = self.store.list(&kind, NAMESPACE, &Selection::default(), &ListOptions::default());
        page.map(|page| page.items).unwrap_or_default()
    }

    /// The results of the application's requests so far.
    #[must_use]
    pub fn requests(&self) -> Tally {
        self.tallies.all().get(&format!("{NAMESPACE}/{ROUTE}")).copied().unwrap_or_default()
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ANY_PORT)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A client with this user agent.
///
/// # Errors
/// If the client cannot be created.
pub fn client(address: SocketAddr, name: &'static str) -> Result<Client> {
    let mut config = Config::new(format!("http://{address}").parse().context("the server's address")?);
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(name)));
    Client::try_from(config).context("make a client")
}
