//! One process of the controller: the real controller, whose requests go to the embedded server without a network.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Body;
use kube::Client;
use kulta_controller::app::{Controller, Parts, ProviderEnvironment, Settings};
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

use crate::cluster::NAMESPACE;
use crate::excluded_time::Excluded;
use crate::faults::FaultInjector;
use crate::metrics_server::{MetricsClient, MetricsServer};
use crate::sink::{Sink, SinkClient};

/// The kube client's timeout for a connection without data.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The default of `kulta controller`.
const WORKERS: usize = 4;

/// What all processes of a scenario share.
#[derive(Clone)]
pub struct Dependencies {
    pub store: Store,
    pub plugins: Arc<Plugins>,
    pub sink: Sink,
    pub metrics_server: MetricsServer,
    /// Processes compete for the lease.
    pub leader_election: bool,
}

pub struct ControllerProcess {
    pub name: String,
    exited: Arc<AtomicBool>,
    controller: Arc<OnceLock<Arc<Controller>>>,
    task: JoinHandle<()>,
}

impl ControllerProcess {
    /// Starts a controller for all Rollouts without an instance id.
    ///
    /// # Errors
    /// If the source of its events is not valid.
    pub fn start(dependencies: &Dependencies, name: &str, injector: FaultInjector) -> Result<Self> {
        Self::start_instance(dependencies, name, injector, None)
    }

    /// Starts a controller for the Rollouts with this instance id.
    ///
    /// # Errors
    /// If the source of its events is not valid.
    pub fn start_instance(
        dependencies: &Dependencies,
        name: &str,
        injector: FaultInjector,
        instance_id: Option<String>,
    ) -> Result<Self> {
        let exited = injector.exited();
        let server = Server::new(dependencies.store.clone()).with_faults(Arc::new(injector));
        let client = client(&server, &exited);
        let sink = SinkClient { sink: dependencies.sink.clone(), exited: Arc::clone(&exited) };
        let metrics_client = MetricsClient {
            metrics_server: dependencies.metrics_server.clone(),
            name: name.to_owned(),
            exited: Arc::clone(&exited),
        };
        let environment = Environment { id: "test".to_owned(), source: None };
        let origin = Origin::new("/kulta", environment, GitKeys::default()).context("the source of events")?;
        let publisher = Publisher { sink: Box::new(sink), origin, mode: CloudEventsMode::Binary };
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start(dependencies.store.clock().now()));
        let parts = Parts {
            client: client.clone(),
            plugins: Arc::clone(&dependencies.plugins),
            registries: kulta_oci::Client::new(kulta_oci::Settings::default()).context("set up registries")?,
            components: None,
            requests: Arc::new(metrics_client),
            metrics: Arc::new(Metrics::default()),
            clock: Arc::clone(&clock),
            publisher: Some(publisher),
        };
        let settings = Settings {
            namespaces: Vec::new(),
            instance_id,
            workers: WORKERS,
            prometheus_address: None,
            provider_environment: ProviderEnvironment::default(),
            namespace: NAMESPACE.to_owned(),
            allow_plugin_tags: false,
            plugin_trusted_keys: None,
        };
        let elector = dependencies.leader_election.then(|| Elector::new(client, NAMESPACE, name.to_owned(), clock));
        let ended = Arc::clone(&exited);
        let controller = Arc::<OnceLock<Arc<Controller>>>::default();
        let started = Arc::clone(&controller);
        let task = tokio::spawn(async move {
            let controller = Controller::new(parts, settings).await;
            // Nothing else sets it.
            let _ = started.set(Arc::clone(&controller));
            // The controller returns only if it loses the lease; then the process exits.
            drop(controller.lead(elector, CancellationToken::new()).await);
            ended.store(true, Ordering::Relaxed);
        });
        Ok(Self { name: name.to_owned(), exited, controller, task })
    }

    /// The number of rollouts of which the controller has local state.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.controller.get().map_or(0, |controller| controller.rollouts_known())
    }

    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.exited.load(Ordering::Relaxed)
    }
}

impl Drop for ControllerProcess {
    /// Tasks that the controller has spawned go on, but none of their requests is carried out.
    fn drop(&mut self) {
        self.exited.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// A client whose requests go to the server without a network. A request that is not answered in time fails; a process that has exited
/// sends none.
fn client(server: &Server, exited: &Arc<AtomicBool>) -> Client {
    let router = server.router();
    let exited = Arc::clone(exited);
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let (router, exited) = (router.clone(), Arc::clone(&exited));
        async move {
            let running = || !exited.load(Ordering::Relaxed);
            if running() {
                let answer = Excluded::new(router.oneshot(request.map(Body::new)));
                match tokio::time::timeout(TIMEOUT, answer).await {
                    Ok(answer) => {
                        let answer = answer.unwrap_or_else(|never| match never {});
                        return Ok(answer.map(|body| Body::from_stream(Excluded::new(body.into_data_stream()))));
                    }
                    Err(_) if running() => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
                    Err(_) => {}
                }
            }
            std::future::pending().await
        }
    });
    Client::new(service, NAMESPACE)
}
