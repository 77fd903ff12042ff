//! The controller: its parts are put together, started and stopped here.

mod settings;

pub use crate::analysis_runs::ProviderEnvironment;
pub use settings::{Parts, Settings};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kulta_api::RouteKind;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::analysis_runs::{AnalysisRunReconciler, Analyzers, CredentialReader, LocalRuns};
use crate::backoff::Backoff;
use crate::cache::watch::Watches;
use crate::cache::{
    AnalysisRuns, AnalysisTemplates, CachedKind, Caches, ClusterAnalysisTemplates, GrpcRoutes, HttpRoutes, Plugins,
    ReplicaSets, Rollouts, Scope, Services, TcpRoutes, TlsRoutes, WatchState,
};
use crate::cdevents::{Enrichers, Outbox, OutboxParts};
use crate::cluster::Cluster;
use crate::dispatch::{Dispatcher, Queues, Readiness};
use crate::health::{Health, Task};
use crate::kinds::Kind;
use crate::lease::{Elector, LeaseError};
use crate::local_state::LocalStates;
use crate::orphaned_services::OrphanReconciler;
use crate::plugins::{ConfigChecks, HttpClient, PluginReconciler, PluginRegistry, ServedSink, Sources};
use crate::queue::Queue;
use crate::record_support::{RecordSupport, definition};
use crate::recorder::Recorder;
use crate::rollouts::{Applier, RolloutReconciler, StepCalls, Strategies};
use crate::secrets::SecretReader;
use crate::server::Probes;
use crate::supervisor::Supervisor;
use crate::worker::{self, Reconciler};

/// Plugins that are reconciled at a time: a slow registry delays one of them.
const PLUGIN_WORKERS: usize = 4;
/// Orphaned Services are rare.
const ORPHAN_WORKERS: usize = 1;

pub struct Controller {
    scopes: Vec<Scope>,
    workers: usize,
    plugins: Arc<kulta_wasm::Plugins>,
    watches: Arc<Watches>,
    queues: Arc<Queues>,
    routes_wanted: Arc<Notify>,
    rollouts: Arc<RolloutReconciler>,
    runs: Arc<AnalysisRunReconciler>,
    plugin_objects: Arc<PluginReconciler>,
    orphans: Arc<OrphanReconciler>,
    outbox: Arc<Outbox>,
    recorder: Arc<Recorder>,
    supervisor: Supervisor,
    readiness: Arc<Readiness>,
    local: Arc<LocalStates>,
}

impl Controller {
    /// Makes one request: whether the cluster's Rollout CRD keeps KULTA's record.
    pub async fn new(parts: Parts, settings: Settings) -> Arc<Self> {
        let Parts { client, plugins, registries, components, requests, metrics, clock, publisher } = parts;
        let cluster = Cluster::new(client.clone(), Arc::clone(&metrics));
        let record_support = Arc::new(RecordSupport::new(cluster.record_kept().await));
        let supervisor = Supervisor { metrics: Arc::clone(&metrics), health: Arc::<Health>::default() };
        let (caches, local, local_runs) =
            (Arc::<Caches>::default(), Arc::<LocalStates>::default(), Arc::<LocalRuns>::default());
        let registry = Arc::new(PluginRegistry::new(Arc::clone(&plugins)));
        let checks = Arc::new(ConfigChecks::default());
        let analyzers = Arc::new(Analyzers::new(Arc::clone(&registry), Arc::clone(&checks)));
        let secrets = Arc::new(SecretReader::new(cluster.clone()));
        let http = Arc::new(HttpClient {
            requests,
            secrets: Arc::clone(&secrets),
            clock: Arc::clone(&clock),
            namespace: settings.namespace.clone(),
        });
        let recorder = Arc::new(Recorder::new(cluster.clone(), Arc::clone(&clock), Arc::clone(&metrics)));
        let outbox = Arc::new(Outbox::new(OutboxParts {
            publisher,
            enrichers: Enrichers {
                registry: Arc::clone(&registry),
                http: Arc::clone(&http),
                metrics: Arc::clone(&metrics),
                clock: Arc::clone(&clock),
            },
            cluster: cluster.clone(),
            metrics: Arc::clone(&metrics),
            recorder: Arc::clone(&recorder),
            local: Arc::clone(&local),
            supervisor: supervisor.clone(),
        }));
        let queue = || Arc::new(Queue::new(Arc::clone(&clock), Backoff::RECONCILIATION, fastrand::f64));
        let queues = Arc::new(Queues { rollouts: queue(), runs: queue(), plugins: queue(), orphans: queue() });
        let scopes = settings.scopes();
        let readiness = Arc::new(Readiness::waiting_for(lists_before_the_start(&scopes)));
        let routes_wanted = Arc::<Notify>::default();
        let dispatcher = Arc::new(Dispatcher {
            caches: Arc::clone(&caches),
            local: Arc::clone(&local),
            local_runs: Arc::clone(&local_runs),
            outbox: Arc::clone(&outbox),
            registry: Arc::clone(&registry),
            analyzers: Arc::clone(&analyzers),
            clock: Arc::clone(&clock),
            queues: Arc::clone(&queues),
            readiness: Arc::clone(&readiness),
            routes_wanted: Arc::clone(&routes_wanted),
        });
        let step_calls = StepCalls {
            registry: Arc::clone(&registry),
            http: Arc::clone(&http),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            local: Arc::clone(&local),
            checks: Arc::clone(&checks),
            queue: Arc::clone(&queues.rollouts),
            tasks: Mutex::default(),
        };
        let rollouts = RolloutReconciler {
            caches: Arc::clone(&caches),
            local: Arc::clone(&local),
            cluster: cluster.clone(),
            clock: Arc::clone(&clock),
            record_support: Arc::clone(&record_support),
            registry: Arc::clone(&registry),
            analyzers: Arc::clone(&analyzers),
            strategies: Strategies::new(Arc::clone(&registry), checks, Arc::clone(&metrics), Arc::clone(&clock)),
            step_calls: Arc::new(step_calls),
            applier: Applier {
                cluster: cluster.clone(),
                local: Arc::clone(&local),
                clock: Arc::clone(&clock),
                recorder: Arc::clone(&recorder),
                record_support: Arc::clone(&record_support),
            },
            outbox: Arc::clone(&outbox),
        };
        let runs = AnalysisRunReconciler {
            caches: Arc::clone(&caches),
            local: local_runs,
            cluster: cluster.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            recorder: Arc::clone(&recorder),
            analyzers,
            registry: Arc::clone(&registry),
            http,
            credentials: CredentialReader {
                registry: Arc::clone(&registry),
                secrets: Arc::clone(&secrets),
                environment: settings.provider_environment.clone(),
                namespace: settings.namespace.clone(),
            },
            secrets,
            record_support,
            queue: Arc::clone(&queues.runs),
            prometheus_address: settings.prometheus_address.clone(),
        };
        let plugin_objects = PluginReconciler {
            caches: Arc::clone(&caches),
            registry,
            sources: Sources {
                registries,
                cluster: cluster.clone(),
                namespace: settings.namespace.clone(),
                allow_tags: settings.allow_plugin_tags,
                component_limit: plugins.limits().component_bytes,
                trusted: settings.plugin_trusted_keys.clone(),
                store: components,
            },
            cluster: cluster.clone(),
            clock,
            recorder: Arc::clone(&recorder),
            sink: Arc::clone(&dispatcher) as Arc<dyn ServedSink>,
            writes_status: settings.namespaces.is_empty() || settings.instance_id.is_some(),
        };
        let versions = cluster.versions();
        let orphans = OrphanReconciler { caches: Arc::clone(&caches), cluster };
        let instance_selector = settings.instance_selector();
        let waiting = Arc::default();
        let watches = Watches { client, caches, sink: dispatcher, metrics, versions, instance_selector, waiting };
        Arc::new(Self {
            scopes,
            workers: settings.workers,
            plugins,
            watches: Arc::new(watches),
            queues,
            routes_wanted,
            rollouts: Arc::new(rollouts),
            runs: Arc::new(runs),
            plugin_objects: Arc::new(plugin_objects),
            orphans: Arc::new(orphans),
            outbox,
            recorder,
            supervisor,
            readiness,
            local,
        })
    }

    /// What the probes and the metrics are served from.
    #[must_use]
    pub fn probes(&self) -> Probes {
        Probes {
            health: Arc::clone(&self.supervisor.health),
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.supervisor.metrics),
            caches: Arc::clone(&self.watches.caches),
            queue: Arc::clone(&self.queues.rollouts),
            waiting: Arc::clone(&self.watches.waiting),
            record_support: Arc::clone(&self.rollouts.record_support),
        }
    }

    /// How many rollouts have local state.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.local.rollouts_known()
    }

    /// Waits for the lease if there is an elector, works until `stop`, finishes what is under way and releases the lease.
    ///
    /// # Errors
    /// When the lease is lost. Another process may lead already: nothing more may be written, not even what is under way, so the process
    /// must end.
    pub async fn lead(
        self: Arc<Self>,
        mut elector: Option<Elector>,
        stop: CancellationToken,
    ) -> Result<(), LeaseError> {
        if let Some(elector) = &mut elector {
            elector.report_to(Arc::clone(&self.watches.waiting));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = elector.acquire() => {}
            }
        }
        self.supervisor.metrics.lead(true);
        let mut work = std::pin::pin!(self.run(stop));
        let kept = async {
            match &mut elector {
                Some(elector) => elector.keep().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            lost = kept => return Err(lost),
            () = &mut work => {}
        }
        if let Some(elector) = &elector {
            elector.release().await;
        }
        Ok(())
    }

    /// Works until `stop`; then what is under way is finished.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let plugins = Arc::clone(&self.plugins);
        let mut watches = JoinSet::new();
        watches.spawn(async move { plugins.warm().await });
        for scope in &self.scopes {
            self.watch::<Rollouts>(&mut watches, scope, &stop);
            self.watch::<ReplicaSets>(&mut watches, scope, &stop);
            self.watch::<Services>(&mut watches, scope, &stop);
        }
        // These are watched from the start: a user may create a run, and a template is needed at once.
        self.watch_optional::<ClusterAnalysisTemplates>(&mut watches, &Scope::Cluster, &stop);
        self.watch_optional::<Plugins>(&mut watches, &Scope::Cluster, &stop);
        for scope in &self.scopes {
            self.watch_optional::<AnalysisRuns>(&mut watches, scope, &stop);
        }
        for scope in &self.scopes {
            self.watch_optional::<AnalysisTemplates>(&mut watches, scope, &stop);
        }
        let (controller, stopping) = (Arc::clone(&self), stop.clone());
        watches.spawn(async move {
            let begin = || controller.watch_definition(&stopping);
            controller.supervisor.keep_running(Task::DefinitionWatch, &stopping, begin).await;
        });
        let (controller, stopping) = (Arc::clone(&self), stop.clone());
        watches.spawn(async move {
            let begin = || controller.watch_routes(&stopping);
            controller.supervisor.keep_running(Task::RouteWatches, &stopping, begin).await;
        });
        let (controller, stopping) = (Arc::clone(&self), stop.clone());
        watches.spawn(async move {
            let begin = || controller.report_deliveries();
            controller.supervisor.keep_running(Task::DeliveryReports, &stopping, begin).await;
        });
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            self.work(&mut workers, &self.rollouts, &self.queues.rollouts, &stop);
            self.work(&mut workers, &self.runs, &self.queues.runs, &stop);
        }
        for _ in 0..ORPHAN_WORKERS {
            self.work(&mut workers, &self.orphans, &self.queues.orphans, &stop);
        }
        for _ in 0..PLUGIN_WORKERS {
            self.work(&mut workers, &self.plugin_objects, &self.queues.plugins, &stop);
        }
        let (recorder, supervisor, all_recorded) =
            (Arc::clone(&self.recorder), self.supervisor.clone(), CancellationToken::new());
        let mut recording = JoinSet::new();
        let end = all_recorded.clone();
        recording.spawn(async move {
            let begin = || recorder.run(end.clone());
            supervisor.keep_running(Task::EventRecorder, &end, begin).await;
        });
        stop.cancelled().await;
        self.queues.close();
        while workers.join_next().await.is_some() {}
        all_recorded.cancel();
        while recording.join_next().await.is_some() {}
        watches.abort_all();
    }

    fn watch_optional<K: CachedKind>(&self, tasks: &mut JoinSet<()>, scope: &Scope, stop: &CancellationToken) {
        self.watches.caches.set_watch::<K>(scope, WatchState::Filling);
        self.watch::<K>(tasks, scope, stop);
    }

    fn watch<K: CachedKind>(&self, tasks: &mut JoinSet<()>, scope: &Scope, stop: &CancellationToken) {
        let (watches, scope) = (Arc::clone(&self.watches), scope.clone());
        let (supervisor, stop) = (self.supervisor.clone(), stop.clone());
        tasks.spawn(async move {
            supervisor.keep_running(Task::Watch(K::KIND), &stop, || watches.run::<K>(&scope)).await;
        });
    }

    fn work<R: Reconciler>(
        &self,
        tasks: &mut JoinSet<()>,
        reconciler: &Arc<R>,
        queue: &Arc<Queue>,
        stop: &CancellationToken,
    ) {
        let (reconciler, queue) = (Arc::clone(reconciler), Arc::clone(queue));
        let (supervisor, stop) = (self.supervisor.clone(), stop.clone());
        tasks.spawn(async move {
            let begin = || worker::work(&*reconciler, &queue, &supervisor.metrics);
            supervisor.keep_running(Task::Reconciler(R::KIND), &stop, begin).await;
        });
    }

    /// Watches whether the Rollout CRD keeps KULTA's record.
    async fn watch_definition(&self, stop: &CancellationToken) {
        let Watches { client, caches, metrics, .. } = &*self.watches;
        let defined = |kept| definition::defined(kept, &self.rollouts.record_support, &caches.read(), &self.local);
        definition::watch(client.clone(), metrics, defined).await;
        // Without the right to watch it there is nothing to watch.
        stop.cancelled().await;
    }

    /// Watches each kind of routes once some rollout names one.
    async fn watch_routes(&self, stop: &CancellationToken) {
        let cluster_wide = self.scopes.contains(&Scope::Cluster);
        let (mut watches, mut watched) = (JoinSet::new(), BTreeSet::new());
        loop {
            for (kind, namespace) in self.watches.caches.route_places() {
                let scope = if cluster_wide { Scope::Cluster } else { Scope::Namespace(namespace) };
                if watched.insert((kind, scope.clone())) {
                    match kind {
                        RouteKind::Http => self.watch_optional::<HttpRoutes>(&mut watches, &scope, stop),
                        RouteKind::Grpc => self.watch_optional::<GrpcRoutes>(&mut watches, &scope, stop),
                        RouteKind::Tcp => self.watch_optional::<TcpRoutes>(&mut watches, &scope, stop),
                        RouteKind::Tls => self.watch_optional::<TlsRoutes>(&mut watches, &scope, stop),
                    }
                }
            }
            self.routes_wanted.notified().await;
        }
    }

    /// Rollouts whose events are delivered are reconciled.
    async fn report_deliveries(&self) {
        while let Some(key) = self.outbox.delivered().await {
            self.queues.rollouts.add(key);
        }
    }
}

/// Nothing is reconciled before these are complete: a Plugin may lead a rollout, for one.
fn lists_before_the_start(scopes: &[Scope]) -> Vec<(Kind, Scope)> {
    let kinds = [Rollouts::KIND, ReplicaSets::KIND, Services::KIND];
    let lists = kinds.into_iter().flat_map(|kind| scopes.iter().map(move |scope| (kind, scope.clone())));
    lists.chain([(Plugins::KIND, Scope::Cluster)]).collect()
}
