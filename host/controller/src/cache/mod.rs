//! The objects that the controller watches, as the watches last reported them, and what a change of one concerns.

mod analysis_run;
mod change;
mod index;
mod kind;
mod orphan;
mod overlaps;
mod plugin;
mod plugin_references;
mod raw_json;
mod references;
mod replica_set;
mod rollout;
mod route;
mod route_sharing;
mod service;
mod store;
mod template;
pub mod watch;

pub use analysis_run::{AnalysisRuns, CachedAnalysisRun, run_pins};
pub use change::{ChangeSet, ChangeSink};
pub use kind::{CachedKind, Selection};
pub use orphan::Orphan;
pub use plugin::{CachedPlugin, Plugins};
pub use plugin_references::{PluginName, PluginPin};
pub use replica_set::{CachedReplicaSet, ReplicaSets};
pub use rollout::{CachedRollout, Decoded, Rollouts};
pub use route::{CachedRoute, GrpcRoutes, HttpRoutes, RouteStores, TcpRoutes, TlsRoutes};
pub use service::{CachedService, Services};
pub use store::{Scope, Store};
pub use template::{AnalysisTemplates, CachedTemplate, ClusterAnalysisTemplates};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kulta_api::RouteKind;

use crate::key::Key;
use crate::kinds::Kind;
use crate::object::Object;
use index::Index;

/// What is known of a kind that a cluster may lack, in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// The first list is under way: nothing is known yet.
    Filling,
    Filled,
    /// The cluster does not serve the kind.
    NotInstalled,
    /// The API server's message.
    Forbidden(String),
}

#[derive(Debug, Default)]
pub struct Caches {
    inner: RwLock<Contents>,
}

#[derive(Debug, Default)]
pub struct Contents {
    pub rollouts: Store<CachedRollout>,
    pub replica_sets: Store<CachedReplicaSet>,
    pub services: Store<CachedService>,
    pub routes: RouteStores,
    pub runs: Store<CachedAnalysisRun>,
    pub templates: Store<CachedTemplate>,
    /// In no namespace.
    pub cluster_templates: Store<CachedTemplate>,
    /// In no namespace.
    pub plugins: Store<CachedPlugin>,
    /// Of the kinds that a cluster may lack.
    watches: BTreeMap<(Kind, Scope), WatchState>,
    pub index: Index,
    /// Rollouts of one namespace whose selectors match each other's pods, either way.
    overlaps: BTreeMap<Key, BTreeSet<Key>>,
}

impl Caches {
    /// A panic while the lock was held leaves at worst one object out of date, until the watch reports it again.
    pub fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn apply<K: CachedKind>(&self, object: Object) -> ChangeSet {
        let key = object.key();
        // Decoding is the costly part: outside the lock.
        let cached = K::decode(object);
        K::set(&mut self.write(), key, cached)
    }

    pub fn delete<K: CachedKind>(&self, key: &Key) -> ChangeSet {
        K::remove(&mut self.write(), key)
    }

    pub fn begin_list<K: CachedKind>(&self, scope: &Scope) {
        K::store_mut(&mut self.write()).begin_list(scope);
    }

    /// What the list did not report is gone.
    pub fn end_list<K: CachedKind>(&self, scope: &Scope) -> Vec<ChangeSet> {
        let mut contents = self.write();
        let gone = K::store_mut(&mut contents).end_list(scope);
        gone.iter().map(|key| K::remove(&mut contents, key)).collect()
    }

    /// Stores how a kind can be watched in a scope; answers the rollouts that this concerns if it has changed.
    pub fn set_watch<K: CachedKind>(&self, scope: &Scope, state: WatchState) -> BTreeSet<Key> {
        let mut contents = self.write();
        let before = contents.watches.insert((K::KIND, scope.clone()), state.clone());
        if before.as_ref() == Some(&state) {
            return BTreeSet::new();
        }
        K::rollouts_of_watch(&contents, scope)
    }

    /// The kinds and namespaces of the routes that rollouts refer to.
    #[must_use]
    pub fn route_places(&self) -> BTreeSet<(RouteKind, String)> {
        let contents = self.read();
        let places = contents.rollouts.iter().flat_map(|(_, rollout)| rollout.references.routes.places());
        places.map(|(kind, namespace)| (kind, namespace.to_owned())).collect()
    }

    /// How many rollouts are in each phase.
    #[must_use]
    pub fn phases(&self) -> Vec<(&'static str, usize)> {
        use kulta_api::RolloutPhase;
        let contents = self.read();
        let phases: Vec<_> = contents.rollouts.iter().filter_map(|(_, rollout)| rollout.phase).collect();
        [RolloutPhase::Healthy, RolloutPhase::Degraded, RolloutPhase::Progressing, RolloutPhase::Paused]
            .into_iter()
            .map(|phase| (phase.as_str(), phases.iter().filter(|one| **one == phase).count()))
            .collect()
    }
}

impl Contents {
    /// How the kind is watched in this namespace; `None` if it is not.
    #[must_use]
    pub fn watch(&self, kind: Kind, namespace: &str) -> Option<&WatchState> {
        let mut watches = self.watches.iter();
        watches.find(|((watched, scope), _)| *watched == kind && scope.covers(namespace)).map(|(_, state)| state)
    }

    /// Of one namespace, or of all. Templates refer to each other and change rarely, so each rollout that names one is included.
    #[must_use]
    pub fn rollouts_with_analyses(&self, namespace: Option<&str>) -> BTreeSet<Key> {
        self.rollouts
            .iter()
            .filter(|(key, rollout)| {
                namespace.is_none_or(|own| own == key.namespace) && !rollout.references.analyses.is_empty()
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn rollouts_with_routes_in(&self, kind: RouteKind, scope: &Scope) -> BTreeSet<Key> {
        let is_there = |(of, namespace): (RouteKind, &str)| of == kind && scope.covers(namespace);
        self.rollouts
            .iter()
            .filter(|(_, rollout)| rollout.references.routes.places().any(is_there))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

#[cfg(test)]
mod cache_tests;
