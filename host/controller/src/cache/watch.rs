//! Watches fill the caches and report what has changed.

use std::sync::Arc;

use futures::TryStreamExt;
use kube::Client;
use kube::api::Api;
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};

use super::{CachedKind, Caches, ChangeSet, ChangeSink, Scope, Selection, WatchState};
use crate::api_error::error_message;
use crate::backoff::WatchDelays;
use crate::metrics::Metrics;
use crate::object::Object;
use crate::served_versions::ServedVersions;
use crate::waiting::{Waiting, watch_reason};

/// Objects in a page of a list.
const PAGE: u32 = 500;

/// What every watch works with.
pub struct Watches {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub sink: Arc<dyn ChangeSink>,
    pub metrics: Arc<Metrics>,
    pub versions: Arc<ServedVersions>,
    /// Label selector of the objects with this controller's instance id.
    pub instance_selector: String,
    /// Why a kind cannot be watched.
    pub waiting: Arc<Waiting>,
}

impl Watches {
    /// Watches a kind in a scope. A broken watch begins anew with growing delays; the future ends only when the watcher itself does.
    pub async fn run<K: CachedKind>(&self, scope: &Scope) {
        let mut first = true;
        let mut resource = Some(self.versions.find(&self.client, K::KIND).await);
        while let Some(version) = resource {
            resource = self.run_version::<K>(scope, &version, &mut first).await;
        }
    }

    /// Watches the kind in one version. Returns the kind in another version as soon as the cluster serves that instead, and `None` when
    /// the watcher ends.
    async fn run_version<K: CachedKind>(
        &self,
        scope: &Scope,
        resource: &ApiResource,
        first: &mut bool,
    ) -> Option<ApiResource> {
        let api: Api<Object> = match scope.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let config = watcher::Config::default().page_size(PAGE);
        let config = match K::SELECTION {
            Selection::All => config,
            Selection::Instance => config.labels(&self.instance_selector),
            Selection::Labelled(label) => config.labels(label),
        };
        let stream = watcher::watcher(api, config).backoff(WatchDelays::default());
        let mut stream = std::pin::pin!(stream);
        loop {
            match stream.try_next().await {
                Ok(None) => return None,
                Ok(Some(event)) => self.handle::<K>(scope, event, first),
                Err(error) => {
                    self.metrics.watch_error();
                    if self.failed::<K>(scope, &error, *first) {
                        let found = self.versions.find(&self.client, K::KIND).await;
                        if found.version != resource.version {
                            return Some(found);
                        }
                    }
                }
            }
        }
    }

    fn handle<K: CachedKind>(&self, scope: &Scope, event: Event<Object>, first: &mut bool) {
        if !matches!(event, Event::Init) {
            self.waiting.watch_works(K::KIND, scope);
        }
        match event {
            Event::Init => self.caches.begin_list::<K>(scope),
            Event::InitApply(object) | Event::Apply(object) => self.sink.changed(self.caches.apply::<K>(object)),
            Event::Delete(object) => self.sink.changed(self.caches.delete::<K>(&object.key())),
            Event::InitDone => {
                for changes in self.caches.end_list::<K>(scope) {
                    self.sink.changed(changes);
                }
                if K::OPTIONAL {
                    self.set_watch::<K>(scope, WatchState::Filled);
                }
                if std::mem::take(first) {
                    tracing::info!(kind = K::KIND.as_str(), ?scope, "cache filled");
                    self.sink.listed(K::KIND, scope);
                }
            }
        }
    }

    /// `first`: there has been no complete list yet. Returns whether the cluster does not serve the kind in this version.
    fn failed<K: CachedKind>(&self, scope: &Scope, error: &watcher::Error, first: bool) -> bool {
        let (code, message) = match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source)
            | watcher::Error::WatchFailed(source) => match source {
                kube::Error::Api(status) => (status.code, error_message(source)),
                _ => (0, error_message(source)),
            },
            watcher::Error::WatchError(status) => (status.code, status.message.clone()),
            other => (0, other.to_string()),
        };
        let reason = watch_reason(K::KIND, scope, code, &message);
        // A watch that works again after a broken connection need not have an event for a long time, so only what lasts is remembered. It
        // is logged once: attempts follow until it works.
        let lasts = first || matches!(code, 403 | 404);
        if !lasts || self.waiting.watch(K::KIND, scope, &reason) {
            tracing::warn!(kind = K::KIND.as_str(), ?scope, code, "{reason}");
        } else {
            tracing::debug!(kind = K::KIND.as_str(), ?scope, code, "{reason}");
        }
        let is_missing = code == 404;
        if !K::OPTIONAL {
            return is_missing;
        }
        let state = match code {
            404 => WatchState::NotInstalled,
            403 => WatchState::Forbidden(message),
            _ => return is_missing,
        };
        self.set_watch::<K>(scope, state);
        // Nobody has to wait for this list.
        self.sink.listed(K::KIND, scope);
        is_missing
    }

    fn set_watch<K: CachedKind>(&self, scope: &Scope, state: WatchState) {
        let rollouts = self.caches.set_watch::<K>(scope, state);
        self.sink.changed(ChangeSet { rollouts, ..ChangeSet::default() });
    }
}
