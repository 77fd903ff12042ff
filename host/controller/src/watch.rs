//! Keeps a store in step with the API server, and asks for a turn for every rollout that a change touches.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use kulta_api::annotations::{INSTANCE_ID, POD_TEMPLATE_HASH};
use tokio::sync::{Notify, mpsc};

use crate::backoff::{Backoff, Random};
use crate::caches::{Caches, RouteWatch, Touched, Watched};
use crate::clock::Clock;
use crate::health::Health;
use crate::key::Key;
use crate::metrics::Metrics;
use crate::object::Object;
use crate::queue::Queue;
use crate::store::Scope;

/// How often a kind that the cluster does not serve is looked for again: installing Gateway API is a person's work.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// The version that a watch went on from is too old; a fresh list follows by itself.
const GONE: u16 = 410;

/// What watches share.
pub struct Watching {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub queue: Arc<Queue>,
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub random: Random,
    /// Which rollouts are served.
    pub instance_id: Option<String>,
    /// Told when some rollout looks for other routes than before.
    pub routes_sought: Notify,
    /// Told of rollouts that are gone: name and uid.
    pub removed: mpsc::UnboundedSender<(Key, String)>,
}

impl Watching {
    /// Watches until it is dropped.
    pub async fn run(&self, kind: Watched, scope: Scope) {
        let resource = kind.kind().resource();
        let api: Api<Object> = match scope.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let mut stream = pin!(watcher(api, self.config(kind)));
        let mut failures = 0;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // A list that begins has not succeeded yet.
                    if !matches!(event, Event::Init) {
                        failures = 0;
                    }
                    self.told(kind, &scope, event);
                }
                Err(error) => {
                    failures += 1;
                    let delay = self.failed(kind, &scope, &error, failures);
                    self.clock.sleep(delay).await;
                }
            }
        }
    }

    fn config(&self, kind: Watched) -> watcher::Config {
        let config = watcher::Config::default();
        match (kind, &self.instance_id) {
            (Watched::Rollouts, Some(id)) => config.labels(&format!("{INSTANCE_ID}={id}")),
            (Watched::Rollouts, None) => config.labels(&format!("!{INSTANCE_ID}")),
            // Most ReplicaSets of a cluster are Deployments', and none of our business.
            (Watched::ReplicaSets, _) => config.labels(POD_TEMPLATE_HASH),
            (Watched::Services | Watched::Routes, _) => config,
        }
    }

    fn told(&self, kind: Watched, scope: &Scope, event: Event<Object>) {
        match event {
            Event::Init => self.caches.begin_list(kind, scope),
            Event::Apply(object) | Event::InitApply(object) => self.touched(self.caches.apply(kind, object)),
            Event::Delete(object) => self.touched(self.caches.delete(kind, &object.key())),
            Event::InitDone => {
                for touched in self.caches.end_list(kind, scope) {
                    self.touched(touched);
                }
                tracing::debug!(kind = kind.as_str(), ?scope, "cache filled");
                if kind == Watched::Routes {
                    self.routes_are(scope, RouteWatch::Filled);
                }
                self.health.filled(kind, scope);
            }
        }
    }

    /// How long to wait before trying again.
    fn failed(&self, kind: Watched, scope: &Scope, error: &watcher::Error, failures: u32) -> Duration {
        self.metrics.watch_failed(kind);
        let refusal = refusal(error);
        if kind == Watched::Routes {
            match refusal {
                Some((404, _)) => {
                    self.routes_are(scope, RouteWatch::NotInstalled);
                    // Nothing to repair here: the rollouts that want routes say so in a condition.
                    self.health.filled(kind, scope);
                    tracing::debug!(?scope, "the cluster serves no HTTPRoute");
                    return PROBE_INTERVAL;
                }
                Some((403, message)) => self.routes_are(scope, RouteWatch::Forbidden(message.to_owned())),
                _ => {}
            }
        }
        // A connection that ends is everyday life; a refusal is not.
        if refusal.is_some() || failures > 1 {
            tracing::warn!(kind = kind.as_str(), ?scope, failures, %error, "watch failed");
            self.health.failing(kind, scope, &error.to_string());
        } else {
            tracing::debug!(kind = kind.as_str(), ?scope, %error, "watch broke off");
        }
        Backoff::WATCH.delay(failures, self.random)
    }

    fn routes_are(&self, scope: &Scope, state: RouteWatch) {
        for key in self.caches.set_route_watch(scope, state) {
            self.queue.add(key);
        }
    }

    fn touched(&self, touched: Touched) {
        for key in touched.keys {
            self.queue.add(key);
        }
        if touched.routes_sought {
            self.routes_sought.notify_one();
        }
        if let Some(removed) = touched.removed
            && self.removed.send(removed).is_err()
        {
            tracing::debug!("stopping: nobody is told of removed rollouts any more");
        }
    }
}

/// The API server's answer, if it was one.
fn refusal(error: &watcher::Error) -> Option<(u16, &str)> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
            if status.code != GONE =>
        {
            Some((status.code, &status.message))
        }
        watcher::Error::WatchError(status) if status.code != GONE => Some((status.code, &status.message)),
        _ => None,
    }
}
