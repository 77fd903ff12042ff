//! Adds to the work queues what a change in the caches concerns.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::analysis_runs::{Analyzers, LocalRuns};
use crate::cache::{Caches, ChangeSet, ChangeSink, Scope};
use crate::cdevents::Outbox;
use crate::clock::Clock;
use crate::key::Key;
use crate::kinds::Kind;
use crate::local_state::LocalStates;
use crate::plugins::{PluginRegistry, ServedSink};
use crate::queue::Queue;

/// The keys that wait to be reconciled, by kind.
pub struct Queues {
    pub rollouts: Arc<Queue>,
    pub runs: Arc<Queue>,
    pub plugins: Arc<Queue>,
    /// Services that a rollout may have left behind.
    pub orphans: Arc<Queue>,
}

impl Queues {
    pub fn close(&self) {
        for queue in [&self.rollouts, &self.runs, &self.plugins, &self.orphans] {
            queue.close();
        }
    }
}

pub struct Dispatcher {
    pub caches: Arc<Caches>,
    pub local: Arc<LocalStates>,
    pub local_runs: Arc<LocalRuns>,
    pub outbox: Arc<Outbox>,
    pub registry: Arc<PluginRegistry>,
    pub analyzers: Arc<Analyzers>,
    pub clock: Arc<dyn Clock>,
    pub queues: Arc<Queues>,
    pub readiness: Arc<Readiness>,
    /// Rollouts may name routes in other namespaces than before.
    pub routes_wanted: Arc<Notify>,
}

/// The first lists that are not complete. Decisions on a part of the cluster's state would be wrong, so nothing is reconciled until all
/// of them are.
#[derive(Debug, Default)]
pub struct Readiness {
    missing: Mutex<BTreeSet<(Kind, Scope)>>,
}

impl Readiness {
    #[must_use]
    pub fn waiting_for(lists: impl IntoIterator<Item = (Kind, Scope)>) -> Self {
        Self { missing: Mutex::new(lists.into_iter().collect()) }
    }

    /// All caches hold what the cluster has.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    /// The kinds whose lists are not complete.
    #[must_use]
    pub fn kinds_missing(&self) -> BTreeSet<Kind> {
        self.missing().iter().map(|(kind, _)| *kind).collect()
    }

    /// Answers whether this was the last list.
    fn listed(&self, kind: Kind, scope: &Scope) -> bool {
        let mut missing = self.missing();
        missing.remove(&(kind, scope.clone())) && missing.is_empty()
    }

    fn missing(&self) -> MutexGuard<'_, BTreeSet<(Kind, Scope)>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeSink for Dispatcher {
    fn changed(&self, changes: ChangeSet) {
        let ready = self.readiness.is_ready();
        if let Some((key, uid)) = changes.removed_rollout {
            self.local.forget(&uid);
            if ready {
                self.outbox.removed(&key, &uid, self.clock.now());
            }
        }
        if let Some(uid) = changes.removed_run {
            self.local_runs.forget(&uid);
        }
        if ready {
            add(&self.queues.rollouts, changes.rollouts);
            add(&self.queues.orphans, changes.orphans);
            add(&self.queues.runs, changes.runs);
            let serving = self.plugins_serving(&changes.plugin_references);
            add(&self.queues.plugins, changes.plugins.into_iter().chain(serving));
        }
        self.routes_wanted.notify_one();
    }

    fn listed(&self, kind: Kind, scope: &Scope) {
        if self.readiness.listed(kind, scope) {
            self.start();
        }
    }
}

impl ServedSink for Dispatcher {
    fn served(&self, rollouts: BTreeSet<Key>) {
        self.analyzers.refresh();
        self.changed(ChangeSet { rollouts, ..ChangeSet::default() });
    }
}

impl Dispatcher {
    /// All caches are filled: everything in them is reconciled.
    fn start(&self) {
        let (rollouts, orphans, runs, plugins) = {
            let caches = self.caches.read();
            let rollouts: Vec<Key> = caches.rollouts.iter().map(|(key, _)| key.clone()).collect();
            let runs: Vec<Key> = caches.runs.iter().map(|(key, _)| key.clone()).collect();
            let plugins: Vec<Key> = caches.plugins.iter().map(|(key, _)| key.clone()).collect();
            // What a Plugin serves waits until the Plugin has been reconciled.
            for (key, cached) in caches.plugins.iter().filter(|(_, cached)| !cached.deleting) {
                if let Ok(plugin) = cached.open() {
                    self.registry.set_pending(&key.name, plugin.serves(), None);
                }
            }
            (rollouts, caches.orphans(), runs, plugins)
        };
        add(&self.queues.plugins, plugins);
        tracing::info!(rollouts = rollouts.len(), "all caches are filled");
        add(&self.queues.orphans, orphans);
        add(&self.queues.rollouts, rollouts);
        add(&self.queues.runs, runs);
    }

    fn plugins_serving(&self, names: &BTreeSet<String>) -> Vec<Key> {
        if names.is_empty() {
            return Vec::new();
        }
        let caches = self.caches.read();
        let serving = caches.plugins.iter().filter(|(_, plugin)| plugin.serves.iter().any(|name| names.contains(name)));
        serving.map(|(key, _)| key.clone()).collect()
    }
}

fn add(queue: &Queue, keys: impl IntoIterator<Item = Key>) {
    for key in keys {
        queue.add(key);
    }
}
