//! Puts the parts together, runs them, and stops them in order.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kube::Client;
use kulta_wasm::Plugins;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply::Applier;
use crate::backoff::{Backoff, Random};
use crate::caches::{Caches, Watched};
use crate::clock::{Clock, SystemClock};
use crate::crd_probe::record_kept;
use crate::health::Health;
use crate::kube_events::{self, EventWriter};
use crate::lease::{Lease, LeaseError};
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::outbox::{Listener, Outbox};
use crate::queue::Queue;
use crate::reconcile::Reconciler;
use crate::route_watches;
use crate::server::{self, ServeError, Told};
use crate::settings::Settings;
use crate::strategies::PluginStrategies;
use crate::subject::Subjects;
use crate::watch::Watching;
use crate::worker;

/// Rollouts whose events are delivered side by side.
const DELIVERIES: usize = 4;
/// What is in hand when the process is told to stop has so long to end; Kubernetes gives 30 s by default.
const LONGEST_STOP: Duration = Duration::from_secs(5);
/// Kubernetes events that were left have so long to be written then.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error("a watch or a delivery ended that never should")]
    Ended,
}

struct Parts {
    settings: Settings,
    told: Told,
    watching: Arc<Watching>,
    reconciler: Arc<Reconciler>,
    outbox: Arc<Outbox>,
    removed: mpsc::UnboundedReceiver<(crate::key::Key, String)>,
    events: EventWriter,
    lease: Option<Lease>,
}

/// Works until `stop`, or until the lease is lost.
///
/// # Errors
/// When the listening address cannot be had, the lease is lost, or a part ends that should not.
pub async fn run(
    client: Client,
    settings: Settings,
    plugins: Arc<Plugins>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let listener = server::listen(settings.listen).await?;
    let Parts { settings, told, watching, reconciler, outbox, mut removed, events, mut lease } =
        assemble(client, settings, &plugins, &metrics);

    let mut background = JoinSet::new();
    background.spawn(async move {
        if let Err(error) = server::serve(listener, told).await {
            tracing::error!(%error, "probes and metrics are no longer served");
        }
    });
    for scope in settings.scopes() {
        for kind in [Watched::Rollouts, Watched::ReplicaSets, Watched::Services] {
            watching.health.expect(kind, &scope);
            let (watching, scope) = (watching.clone(), scope.clone());
            background.spawn(async move { watching.run(kind, scope).await });
        }
    }
    background.spawn(route_watches::run(watching.clone(), settings.namespaces.is_empty()));
    // Compiled beside the first lists, so that the first decision need not wait.
    let warming = tokio::spawn(async move { plugins.warm().await });
    let writer = tokio::spawn(events.run());

    let result = async {
        reconciler.learn_record_kept(record_kept(&watching.client).await);
        if !ready_and_leading(&watching.health, lease.as_mut(), &stop).await {
            return Ok(());
        }
        metrics.leading.set(1);
        for _ in 0..DELIVERIES {
            let outbox = outbox.clone();
            background.spawn(async move { outbox.work().await });
        }
        let teller = outbox.clone();
        background.spawn(async move {
            while let Some((key, uid)) = removed.recv().await {
                teller.removed(&key, &uid).await;
            }
        });
        let workers = worker::start(settings.workers, &watching.queue, &reconciler, &metrics);
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = keep(lease.as_mut()) => Err(RunError::Lease(error)),
            _ = background.join_next() => Err(RunError::Ended),
        };
        watching.queue.close();
        // Without the lease another process may be at work: what is in hand is dropped, not finished.
        finish(workers, if result.is_ok() { LONGEST_STOP } else { Duration::ZERO }).await;
        result
    }
    .await;
    warming.abort();
    background.shutdown().await;
    drop((reconciler, watching, outbox));
    if tokio::time::timeout(LONGEST_FLUSH, writer).await.is_err() {
        tracing::warn!("some Kubernetes events were not written in time");
    }
    match (&result, &lease) {
        (Ok(()) | Err(RunError::Ended), Some(lease)) => {
            if let Err(error) = lease.release().await {
                tracing::warn!(%error, "release the lease");
            }
        }
        _ => {}
    }
    result
}

fn assemble(client: Client, settings: Settings, plugins: &Arc<Plugins>, metrics: &Arc<Metrics>) -> Parts {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Random = fastrand::f64;
    let caches = Arc::new(Caches::default());
    let health = Arc::new(Health::default());
    let rollouts = Arc::new(Queue::new(clock.clone(), Backoff::PASS, random));
    let record_kept = Arc::new(AtomicBool::new(true));
    let (events, writer) = kube_events::channel(client.clone(), metrics.clone());
    let (removed_sender, removed) = mpsc::unbounded_channel();
    let lease = settings
        .lease_namespace
        .clone()
        .map(|namespace| Lease::new(client.clone(), namespace, identity(), clock.clone()));
    let outbox = Arc::new(Outbox {
        listener: settings.sink.clone().map(|sink| Listener { origin: settings.origin.clone(), sink }),
        caches: caches.clone(),
        client: client.clone(),
        metrics: metrics.clone(),
        clock: clock.clone(),
        random,
        subjects: Subjects::default(),
        queue: Queue::new(clock.clone(), Backoff::SINK, random),
        rollouts: rollouts.clone(),
        state: std::sync::Mutex::default(),
    });
    let reconciler = Arc::new(Reconciler {
        client: client.clone(),
        caches: caches.clone(),
        memories: Memories::default(),
        strategies: Arc::new(PluginStrategies { plugins: plugins.clone(), metrics: metrics.clone() }),
        applier: Applier {
            client: client.clone(),
            caches: caches.clone(),
            events,
            clock: clock.clone(),
            random,
            record_kept: record_kept.clone(),
        },
        outbox: outbox.clone(),
        clock: clock.clone(),
        record_kept,
    });
    let watching = Arc::new(Watching {
        client,
        caches: caches.clone(),
        queue: rollouts.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
        clock,
        random,
        instance_id: settings.instance_id.clone(),
        routes_sought: Notify::new(),
        removed: removed_sender,
    });
    let told = Told { caches, health, metrics: metrics.clone(), rollouts, outbox: outbox.clone() };
    Parts { settings, told, watching, reconciler, outbox, removed, events: writer, lease }
}

/// Waits for full caches and for the lease; false when told to stop before.
async fn ready_and_leading(health: &Health, lease: Option<&mut Lease>, stop: &CancellationToken) -> bool {
    let leading = async {
        match lease {
            Some(lease) => lease.acquire().await,
            None => tracing::info!("no leader election: this process acts alone"),
        }
    };
    let wait = async {
        health.wait_ready().await;
        tracing::info!("caches are filled");
        leading.await;
    };
    stop.run_until_cancelled(wait).await.is_some()
}

async fn keep(lease: Option<&mut Lease>) -> LeaseError {
    match lease {
        Some(lease) => lease.keep().await,
        None => std::future::pending().await,
    }
}

async fn finish(mut workers: JoinSet<()>, longest: Duration) {
    let ended = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(longest, ended).await.is_err() {
        tracing::warn!("what was in hand was not finished in time");
    }
    workers.shutdown().await;
}

/// The pod's name and a random part: a restarted container is another holder.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kulta".to_owned());
    format!("{host}_{:016x}", fastrand::u64(..))
}
