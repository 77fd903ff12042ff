//! The controller: its parts, and how it is started and stopped.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::FutureExt;
use kube::Client;
use kulta_api::annotations::INSTANCE_ID;
use kulta_core::observed::Analyzer;
use kulta_oci::TrustedKeys;
use kulta_wasm::Plugins;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::analysis::{self, Analyzers, RunNotes, SecretReader};
use crate::apply::Applier;
use crate::backoff::Backoff;
use crate::caches::{Caches, KindWatch, Touched, Watched};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::enrich::Enrichers;
use crate::key::Key;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Teller};
use crate::plugins::{self, Catalog, ComponentStore, Errands, Requests, Sources};
use crate::queue::Queue;
use crate::reconcile;
use crate::record::{RecordKept, definition};
use crate::recorder::Recorder;
use crate::release;
use crate::steps::Steps;
use crate::store::Scope;
use crate::strategies::Strategies;
use crate::watch;

/// Plugins that are brought side by side: a slow registry holds up one of them.
const PLUGIN_WORKERS: usize = 4;

/// What a user may set.
pub struct Settings {
    /// Empty: all namespaces.
    pub namespaces: Vec<String>,
    /// Serve only Rollouts with this instance id; `None`: only those without any.
    pub instance_id: Option<String>,
    /// Rollouts that are looked at side by side.
    pub workers: usize,
    /// Where metrics ask that name no address.
    pub prometheus_address: Option<String>,
    /// The controller's own: Secrets that Plugins name are there.
    pub namespace: String,
    /// Plugins may name images by tag alone.
    pub allow_plugin_tags: bool,
    /// One of these keys has to have signed the component of a Plugin; None: it is taken by its digest alone.
    pub plugin_trusted_keys: Option<TrustedKeys>,
}

/// What the controller is given from outside.
pub struct Parts {
    pub client: Client,
    pub plugins: Arc<Plugins>,
    /// Where the components of Plugin objects are had from.
    pub registries: kulta_oci::Client,
    /// Keeps them over a restart.
    pub components: Option<ComponentStore>,
    /// Who makes the requests that analyzers ask for.
    pub requests: Arc<dyn Requests>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Nobody is told CDEvents without it.
    pub teller: Option<Teller>,
}

pub struct Controller {
    pub settings: Settings,
    pub cluster: Cluster,
    pub caches: Caches,
    pub memory: Arc<Memory>,
    pub metrics: Arc<Metrics>,
    pub queue: Arc<Queue>,
    /// Services that a rollout may have left behind.
    pub orphans: Queue,
    pub clock: Arc<dyn Clock>,
    pub strategies: Strategies,
    pub steps: Arc<Steps>,
    pub applier: Applier,
    pub outbox: Outbox,
    pub record_kept: Arc<RecordKept>,
    pub recorder: Arc<Recorder>,
    pub catalog: Arc<Catalog>,
    pub sources: Sources,
    /// Plugins that wait for a look.
    pub plugin_queue: Queue,
    pub errands: Arc<Errands>,
    pub analyzers: Analyzers,
    served_analyzers: RwLock<Arc<Vec<Analyzer>>>,
    pub secrets: Arc<SecretReader>,
    /// AnalysisRuns that wait for a look.
    pub run_queue: Arc<Queue>,
    pub run_notes: Arc<RunNotes>,
    /// First lists that are still under way.
    filling: Mutex<BTreeSet<(Watched, Scope)>>,
    /// Namespaces (or the cluster) whose routes are watched.
    route_scopes: Mutex<BTreeSet<Scope>>,
    route_wanted: tokio::sync::Notify,
}

impl Controller {
    /// Asks the cluster one thing: whether its Rollout CRD keeps KULTA's record.
    pub async fn new(parts: Parts, settings: Settings) -> Arc<Self> {
        let Parts { client, plugins, registries, components, requests, metrics, clock, teller } = parts;
        let cluster = Cluster::new(client, Arc::clone(&metrics));
        let memory = Arc::new(Memory::default());
        let record_kept = Arc::new(RecordKept::new(cluster.record_kept().await));
        let component_limit = plugins.limits().component_bytes;
        let catalog = Arc::new(Catalog::new(plugins));
        let secrets = Arc::new(SecretReader::new(cluster.clone()));
        let analyzers = Analyzers::new(Arc::clone(&catalog));
        let sources = Sources {
            registries,
            cluster: cluster.clone(),
            namespace: settings.namespace.clone(),
            allow_tags: settings.allow_plugin_tags,
            component_limit,
            trusted: settings.plugin_trusted_keys.clone(),
            store: components,
        };
        let errands = Arc::new(Errands {
            requests,
            secrets: Arc::clone(&secrets),
            clock: Arc::clone(&clock),
            namespace: settings.namespace.clone(),
        });
        let enrichers = Enrichers {
            catalog: Arc::clone(&catalog),
            errands: Arc::clone(&errands),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
        };
        let recorder = Arc::new(Recorder::new(cluster.clone(), Arc::clone(&clock), Arc::clone(&metrics)));
        let controller = Self {
            filling: Mutex::default(),
            route_scopes: Mutex::default(),
            route_wanted: tokio::sync::Notify::new(),
            caches: Caches::default(),
            queue: Arc::new(Queue::new(Arc::clone(&clock), Backoff::PASS, fastrand::f64)),
            orphans: Queue::new(Arc::clone(&clock), Backoff::PASS, fastrand::f64),
            run_queue: Arc::new(Queue::new(Arc::clone(&clock), Backoff::PASS, fastrand::f64)),
            run_notes: Arc::default(),
            served_analyzers: RwLock::new(Arc::new(analyzers.served())),
            analyzers,
            secrets,
            plugin_queue: Queue::new(Arc::clone(&clock), Backoff::PASS, fastrand::f64),
            steps: Arc::new(Steps::new(
                Arc::clone(&catalog),
                Arc::clone(&errands),
                Arc::clone(&metrics),
                Arc::clone(&clock),
                Arc::clone(&memory),
            )),
            strategies: Strategies::new(Arc::clone(&catalog), Arc::clone(&metrics), Arc::clone(&clock)),
            applier: Applier {
                cluster: cluster.clone(),
                memory: Arc::clone(&memory),
                clock: Arc::clone(&clock),
                recorder: Arc::clone(&recorder),
                record_kept: Arc::clone(&record_kept),
            },
            outbox: Outbox::new(teller, Arc::clone(&metrics), enrichers, Arc::clone(&recorder), Arc::clone(&memory)),
            recorder,
            errands,
            settings,
            cluster,
            memory,
            metrics,
            clock,
            record_kept,
            catalog,
            sources,
        };
        let scopes = controller.scopes();
        {
            let mut filling = controller.filling.lock().unwrap_or_else(PoisonError::into_inner);
            for kind in [Watched::Rollouts, Watched::ReplicaSets, Watched::Services] {
                filling.extend(scopes.iter().map(|scope| (kind, scope.clone())));
            }
            // Who leads a rollout has to be known before it is led.
            filling.insert((Watched::Plugins, Scope::Cluster));
        }
        Arc::new(controller)
    }

    fn scopes(&self) -> Vec<Scope> {
        if self.settings.namespaces.is_empty() {
            return vec![Scope::Cluster];
        }
        self.settings.namespaces.iter().cloned().map(Scope::Namespace).collect()
    }

    /// Plugins, runs and templates are watched from the start: a person may create a run, and a template is wanted at once.
    fn optional_watches(&self) -> Vec<(Watched, Scope)> {
        let mut watches = vec![(Watched::ClusterTemplates, Scope::Cluster), (Watched::Plugins, Scope::Cluster)];
        for kind in [Watched::Runs, Watched::Templates] {
            watches.extend(self.scopes().into_iter().map(|scope| (kind, scope)));
        }
        watches
    }

    /// The label selector of the Rollouts that this instance serves.
    #[must_use]
    pub fn instance_selector(&self) -> String {
        match &self.settings.instance_id {
            Some(id) => format!("{INSTANCE_ID}={id}"),
            None => format!("!{INSTANCE_ID}"),
        }
    }

    /// Queues who is touched, once all caches are filled: decisions on half of the truth would be wrong.
    pub fn touched(&self, touched: Touched) {
        if let Some((key, uid)) = touched.removed {
            self.memory.forget(&uid);
            if self.ready() {
                self.outbox.removed(&key, &uid, self.clock.now(), &self.cluster);
            }
        }
        if self.ready() {
            for key in touched.keys {
                self.queue.add(key);
            }
            for service in touched.orphans {
                self.orphans.add(service);
            }
            for run in touched.runs {
                self.run_queue.add(run);
            }
            let used = self.plugins_serving(&touched.uses);
            for plugin in touched.plugins.into_iter().chain(used) {
                self.plugin_queue.add(plugin);
            }
        }
        self.route_wanted.notify_one();
    }

    /// A first list is complete.
    pub fn filled(&self, kind: Watched, scope: &Scope) {
        let was_ready = self.ready();
        self.filling.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind, scope.clone()));
        if !was_ready && self.ready() {
            let (keys, orphans, runs) = {
                let caches = self.caches.read();
                let keys: Vec<_> = caches.rollouts.iter().map(|(key, _)| key.clone()).collect();
                let runs: Vec<_> = caches.runs.iter().map(|(key, _)| key.clone()).collect();
                (keys, caches.orphans(), runs)
            };
            self.expect_plugins();
            for plugin in self.all_plugins() {
                self.plugin_queue.add(plugin);
            }
            tracing::info!(rollouts = keys.len(), "all caches are filled");
            for service in orphans {
                self.orphans.add(service);
            }
            for key in keys {
                self.queue.add(key);
            }
            for run in runs {
                self.run_queue.add(run);
            }
        }
    }

    fn all_plugins(&self) -> BTreeSet<Key> {
        self.caches.read().plugins.iter().map(|(key, _)| key.clone()).collect()
    }

    fn plugins_serving(&self, names: &BTreeSet<String>) -> Vec<Key> {
        if names.is_empty() {
            return Vec::new();
        }
        let caches = self.caches.read();
        let serving = caches.plugins.iter().filter(|(_, plugin)| plugin.serves.iter().any(|name| names.contains(name)));
        serving.map(|(key, _)| key.clone()).collect()
    }

    /// Whoever is led by a Plugin waits until it has been looked at.
    fn expect_plugins(&self) {
        let caches = self.caches.read();
        for (key, cached) in caches.plugins.iter().filter(|(_, cached)| !cached.deleting) {
            if let Ok(plugin) = cached.open() {
                self.catalog.expect(&key.name, plugin.serves(), None);
            }
        }
    }

    /// Writes the status of Plugins: what it sees of their users is all there is. One that serves a few namespaces beside others is a
    /// reader, unless it has Plugins of its own by an instance id.
    #[must_use]
    pub fn owns_plugins(&self) -> bool {
        self.settings.namespaces.is_empty() || self.settings.instance_id.is_some()
    }

    /// Other analyzers are served than before.
    pub fn plugins_changed(&self) {
        *self.served_analyzers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(self.analyzers.served());
    }

    /// The analyzers that metrics may name.
    #[must_use]
    pub fn served_analyzers(&self) -> Arc<Vec<Analyzer>> {
        Arc::clone(&self.served_analyzers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All caches hold what the cluster has.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// How many rollouts are in each phase.
    #[must_use]
    pub fn phases(&self) -> Vec<(&'static str, usize)> {
        use kulta_api::RolloutPhase;
        let caches = self.caches.read();
        let phases: Vec<_> = caches.rollouts.iter().filter_map(|(_, rollout)| rollout.phase).collect();
        [RolloutPhase::Healthy, RolloutPhase::Degraded, RolloutPhase::Progressing, RolloutPhase::Paused]
            .into_iter()
            .map(|phase| (phase.as_str(), phases.iter().filter(|seen| **seen == phase).count()))
            .collect()
    }

    /// Works until `stop`; then what is in hand is finished.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let plugins = Arc::clone(self.catalog.loader());
        let mut watches = JoinSet::new();
        watches.spawn(async move { plugins.warm().await });
        for kind in [Watched::Rollouts, Watched::ReplicaSets, Watched::Services] {
            for scope in self.scopes() {
                watches.spawn(watch::run(Arc::clone(&self), kind, scope));
            }
        }
        for (kind, scope) in self.optional_watches() {
            self.caches.set_watch(kind, &scope, KindWatch::Filling);
            watches.spawn(watch::run(Arc::clone(&self), kind, scope));
        }
        watches.spawn(watch_definition(Arc::clone(&self)));
        watches.spawn(watch_routes(Arc::clone(&self)));
        watches.spawn(deliver(Arc::clone(&self)));
        let mut workers = JoinSet::new();
        for _ in 0..self.settings.workers {
            workers.spawn(work(Arc::clone(&self)));
            workers.spawn(analyse(Arc::clone(&self)));
        }
        workers.spawn(let_go(Arc::clone(&self)));
        for _ in 0..PLUGIN_WORKERS {
            workers.spawn(bring(Arc::clone(&self)));
        }
        let (recorder, silence) = (Arc::clone(&self.recorder), CancellationToken::new());
        let mut telling = JoinSet::new();
        telling.spawn({
            let silence = silence.clone();
            async move { recorder.run(silence).await }
        });
        stop.cancelled().await;
        self.queue.close();
        self.orphans.close();
        self.run_queue.close();
        self.plugin_queue.close();
        while workers.join_next().await.is_some() {}
        silence.cancel();
        while telling.join_next().await.is_some() {}
        watches.abort_all();
    }
}

async fn watch_definition(controller: Arc<Controller>) {
    let defined =
        |kept| definition::defined(kept, &controller.record_kept, &controller.caches.read(), &controller.memory);
    definition::watch(controller.cluster.client(), Arc::clone(&controller.metrics), defined).await;
}

/// Begins to watch routes once some rollout names one.
async fn watch_routes(controller: Arc<Controller>) {
    let mut watches = JoinSet::new();
    loop {
        let namespaces = controller.caches.route_namespaces();
        let wanted: BTreeSet<Scope> = match (namespaces.is_empty(), controller.settings.namespaces.is_empty()) {
            (true, _) => BTreeSet::new(),
            (false, true) => BTreeSet::from([Scope::Cluster]),
            (false, false) => namespaces.into_iter().map(Scope::Namespace).collect(),
        };
        for scope in wanted {
            let new = controller.route_scopes.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone());
            if new {
                controller.caches.set_watch(Watched::Routes, &scope, KindWatch::Filling);
                watches.spawn(watch::run(Arc::clone(&controller), Watched::Routes, scope));
            }
        }
        controller.route_wanted.notified().await;
    }
}

/// Takes the marks of rollouts off Services that they left behind.
async fn let_go(controller: Arc<Controller>) {
    while let Some(service) = controller.orphans.next().await {
        let outcome = release::look(&controller, &service).await;
        controller.orphans.finish(&service, outcome);
    }
}

/// One worker for Plugins; as [`work`].
async fn bring(controller: Arc<Controller>) {
    while let Some(key) = controller.plugin_queue.next().await {
        let look = std::panic::AssertUnwindSafe(plugins::look(&controller, &key)).catch_unwind().await;
        let outcome = look.unwrap_or_else(|_| {
            tracing::error!(plugin = key.name, "a look panicked");
            crate::queue::Outcome::Failed { not_before: None }
        });
        controller.plugin_queue.finish(&key, outcome);
    }
}

/// One worker for AnalysisRuns; as [`work`].
async fn analyse(controller: Arc<Controller>) {
    while let Some(key) = controller.run_queue.next().await {
        let look = std::panic::AssertUnwindSafe(analysis::look(&controller, &key)).catch_unwind().await;
        let outcome = look.unwrap_or_else(|_| {
            tracing::error!(run = %key, "a look panicked");
            crate::queue::Outcome::Failed { not_before: None }
        });
        controller.run_queue.finish(&key, outcome);
    }
}

async fn deliver(controller: Arc<Controller>) {
    while let Some(key) = controller.outbox.delivered().await {
        controller.queue.add(key);
    }
}

/// One worker. A panic while looking at one rollout is counted, and ends neither the worker nor the others.
async fn work(controller: Arc<Controller>) {
    while let Some(key) = controller.queue.next().await {
        let began = tokio::time::Instant::now();
        let look = std::panic::AssertUnwindSafe(reconcile::look(&controller, &key)).catch_unwind().await;
        let outcome = look.unwrap_or_else(|_| {
            tracing::error!(rollout = %key, "a look panicked");
            crate::queue::Outcome::Failed { not_before: None }
        });
        let failed = matches!(outcome, crate::queue::Outcome::Failed { .. });
        controller.metrics.pass(began.elapsed().as_secs_f64(), failed);
        controller.queue.finish(&key, outcome);
    }
}
