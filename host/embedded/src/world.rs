//! A simulated cluster: pods that become ready, endpoints, a gateway that programs routes and spreads requests over
//! them, and the metrics of these requests. One loop does all of it, by the store's clock and in an order that depends
//! on the changes only, so that the simulation is deterministic.

mod behaviour;
mod client;
mod endpoints;
mod gateway;
mod pods;
mod queue;
mod replica_set;
mod requests;
mod route;
#[cfg(test)]
mod world_tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::mpsc::UnboundedReceiver, time};

pub use behaviour::{Behaviour, Behaviours, Readiness};

use self::{
    client::{Client, RouteKind, Watched},
    gateway::Gateways,
    pods::Pods,
    queue::{Item, Queue},
    requests::Requests,
};
use crate::{
    json::{meta, text},
    metrics::{self, http, scrape::Scraper, traffic::Tally},
    selector::Labels,
    store::{Change, Store},
};

/// Minimum interval of scrapes, because samples have a resolution of a millisecond.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Settings of the simulation.
#[derive(Debug, Clone)]
pub struct Settings {
    pub behaviours: Behaviours,
    /// Delay from a route's change until the gateway applies it and reports it in the status.
    pub route_delay: Duration,
    /// The gateway implements GatewayClasses with this `controllerName`.
    pub controller_name: String,
    /// Request rate of each programmed HTTPRoute; 0 sends none.
    pub requests_per_second: u32,
    /// Scrape interval of the applications' counters.
    pub scrape_interval: Duration,
    /// Retention of samples.
    pub retention: SignedDuration,
    /// Seed of the requests' results.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            behaviours: Behaviours::default(),
            route_delay: Duration::from_millis(50),
            controller_name: "kulta.io/embedded-gateway".to_owned(),
            requests_per_second: 0,
            scrape_interval: Duration::from_secs(1),
            retention: SignedDuration::from_mins(10),
            seed: 0,
        }
    }
}

/// Results of each HTTPRoute's requests so far, by `namespace/name`.
#[derive(Debug, Clone, Default)]
pub struct Tallies(Arc<Mutex<BTreeMap<String, Tally>>>);

impl Tallies {
    pub fn all(&self) -> BTreeMap<String, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, route: &str, tally: Tally) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(route.to_owned()).or_default().add(tally);
    }
}

/// The loop and its state.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    client: Client,
    changes: UnboundedReceiver<Change>,
    queue: Queue,
    pods: Pods,
    gateways: Gateways,
    requests: Requests,
    scraper: Scraper,
    metrics: http::Shared,
    tallies: Tallies,
}

impl World {
    /// A simulation over the store, which must not have one already. Existing objects are adopted.
    pub fn new(store: &Store, settings: Settings) -> Self {
        let client = Client::new(store.clone());
        let pods = Pods::of(&client);
        let changes = store.subscribe();
        let now = store.clock().now();
        let mut queue = Queue::default();
        for item in client.everything() {
            queue.add(item, now);
        }
        if settings.requests_per_second > 0 {
            queue.add(Item::Scrape, now);
        }
        Self {
            requests: Requests::new(&settings),
            metrics: Arc::new(RwLock::new(metrics::Store::new(settings.retention))),
            settings,
            client,
            changes,
            queue,
            pods,
            gateways: Gateways::default(),
            scraper: Scraper::default(),
            tallies: Tallies::default(),
        }
    }

    /// The samples, for [`http::router`].
    pub fn metrics(&self) -> http::Shared {
        Arc::clone(&self.metrics)
    }

    pub fn tallies(&self) -> Tallies {
        self.tallies.clone()
    }

    /// Runs until the future is dropped.
    pub async fn run(mut self) {
        loop {
            self.catch_up();
            let until = self.queue.next().map(|due| due.duration_since(self.now()));
            let pause = until.map_or(Duration::MAX, |until| Duration::try_from(until).unwrap_or(Duration::ZERO));
            tokio::select! {
                biased;
                change = self.changes.recv() => match change {
                    Some(change) => {
                        self.send_due_requests();
                        self.note(&change);
                    }
                    None => return,
                },
                () = time::sleep(pause) => {}
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.client.store().clock().now()
    }

    /// Processes everything that is due, and its immediate consequences.
    fn catch_up(&mut self) {
        loop {
            while let Ok(change) = self.changes.try_recv() {
                self.send_due_requests();
                self.note(&change);
            }
            let now = self.now();
            let Some(item) = self.queue.take(now) else { break };
            self.send_due_requests();
            if let Some(again) = self.handle(&item, now) {
                self.queue.add(item, again);
            }
        }
        self.requests.refresh(&self.client, &self.settings.behaviours);
    }

    /// Sends the requests that are due, with the endpoints and weights before the current changes.
    fn send_due_requests(&mut self) {
        let now = self.now();
        for (route, tally) in self.requests.send(now) {
            self.tallies.add(&route, tally);
        }
    }

    /// Queues the objects that a change affects.
    fn note(&mut self, change: &Change) {
        let now = self.now();
        let Some(watched) = Watched::of(&change.collection) else { return };
        let key = change.key.clone();
        let sides = [change.before.as_deref(), change.after.as_deref()];
        match watched {
            Watched::Pod => {
                let owners = sides.iter().flatten().filter_map(|pod| replica_set::owner(pod));
                owners.for_each(|owner| self.queue.add(Item::ReplicaSet(owner), now));
                for service in self.client.list_in(Watched::Service, key.namespace()) {
                    let takes = |pod: &&serde_json::Value| {
                        endpoints::selector(&service).is_some_and(|labels: Labels| labels.matches(pod))
                    };
                    if sides.iter().flatten().any(takes) {
                        self.queue.add(Item::Service(client::key(&service)), now);
                    }
                }
                if let Some(gone) = change.before.as_deref().filter(|_| change.after.is_none()) {
                    self.pods.forget(meta::uid(gone));
                } else {
                    self.queue.add(Item::Pod(key), now);
                }
                self.requests.stale();
            }
            Watched::ReplicaSet => self.queue.add(Item::ReplicaSet(key), now),
            Watched::Service => {
                for (kind, route) in self.client.routes(key.namespace()) {
                    self.queue.add(Item::Route(kind, client::key(&route)), now);
                }
                self.queue.add(Item::Service(key), now);
            }
            Watched::Slice => {
                let services = sides.iter().flatten().filter_map(|slice| endpoints::service_of(slice));
                services.for_each(|service| self.queue.add(Item::Service(service), now));
                self.requests.stale();
            }
            Watched::Route(kind) => {
                for gateway in sides.iter().flatten().flat_map(|route| route::parents(route)) {
                    self.queue.add(Item::Gateway(gateway), now);
                }
                self.queue.add(Item::Route(kind, key), now);
            }
            Watched::Gateway => {
                for (kind, route) in self.client.routes("") {
                    if route::parents(&route).contains(&key) {
                        self.queue.add(Item::Route(kind, client::key(&route)), now);
                    }
                }
                self.queue.add(Item::Gateway(key), now);
            }
            Watched::Class => {
                for gateway in self.client.list_in(Watched::Gateway, "") {
                    if text(&gateway, "/spec/gatewayClassName") == key.name() {
                        self.queue.add(Item::Gateway(client::key(&gateway)), now);
                    }
                }
                self.queue.add(Item::Class(key), now);
            }
        }
    }

    /// Reconciles one object; returns when to reconcile it again.
    fn handle(&mut self, item: &Item, now: Timestamp) -> Option<Timestamp> {
        match item {
            Item::Class(key) => self.gateways.accept_class(&self.client, key, &self.settings, now),
            Item::Gateway(key) => self.gateways.program(&self.client, key, &self.settings, now),
            Item::Route(kind, key) => {
                let again = self.gateways.program_route(&self.client, *kind, key, &self.settings, now);
                // Routes of other kinds are programmed, but get no requests.
                if *kind == RouteKind::Http {
                    self.requests.program(key, self.gateways.shares(*kind, key), now);
                }
                again
            }
            Item::Service(key) => endpoints::publish(&self.client, key),
            Item::ReplicaSet(key) => replica_set::reconcile(&self.client, &self.pods, key, now),
            Item::Pod(key) => self.pods.live(&self.client, &self.settings.behaviours, key, now),
            Item::Scrape => {
                self.scrape(now);
                let interval = self.settings.scrape_interval.max(SHORTEST_INTERVAL);
                now.checked_add(SignedDuration::try_from(interval).ok()?).ok()
            }
        }
    }

    fn scrape(&mut self, now: Timestamp) {
        let series = self.requests.scrape(&self.client);
        let mut store = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.scraper.scrape(&mut store, series, now) {
            tracing::error!(%error, "the scrape is incomplete");
        }
    }
}
