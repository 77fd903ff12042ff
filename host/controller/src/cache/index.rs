//! Who is touched by a change of what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use kulta_api::RouteKey;

use super::references::{References, SelectedRoutes};
use crate::key::Key;

/// Reverse lookups of the rollouts' references and the ReplicaSets' owners.
#[derive(Debug, Default)]
pub struct Index {
    rollout_by_uid: HashMap<String, Key>,
    replica_sets_by_owner: HashMap<String, BTreeSet<Key>>,
    runs_by_owner: HashMap<String, BTreeSet<Key>>,
    rollouts_by_service: HashMap<Key, BTreeSet<Key>>,
    rollouts_by_route: HashMap<RouteKey, BTreeSet<Key>>,
    /// Rollouts that select routes by label.
    selecting: BTreeMap<Key, Vec<SelectedRoutes>>,
}

impl Index {
    pub fn add_rollout(&mut self, key: &Key, uid: &str, references: &References) {
        self.rollout_by_uid.insert(uid.to_owned(), key.clone());
        for service in &references.services {
            self.rollouts_by_service.entry(key.sibling(service)).or_default().insert(key.clone());
        }
        for route in &references.routes.named {
            self.rollouts_by_route.entry(route.clone()).or_default().insert(key.clone());
        }
        if !references.routes.selected.is_empty() {
            self.selecting.insert(key.clone(), references.routes.selected.clone());
        }
    }

    pub fn remove_rollout(&mut self, key: &Key, uid: &str, references: &References) {
        self.rollout_by_uid.remove(uid);
        for service in &references.services {
            take(&mut self.rollouts_by_service, &key.sibling(service), key);
        }
        for route in &references.routes.named {
            take(&mut self.rollouts_by_route, route, key);
        }
        self.selecting.remove(key);
    }

    pub fn add_replica_set(&mut self, key: &Key, owner: &str) {
        self.replica_sets_by_owner.entry(owner.to_owned()).or_default().insert(key.clone());
    }

    pub fn remove_replica_set(&mut self, key: &Key, owner: &str) {
        if let Some(keys) = self.replica_sets_by_owner.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.replica_sets_by_owner.remove(owner);
            }
        }
    }

    pub fn add_run(&mut self, key: &Key, owner: &str) {
        self.runs_by_owner.entry(owner.to_owned()).or_default().insert(key.clone());
    }

    pub fn remove_run(&mut self, key: &Key, owner: &str) {
        if let Some(keys) = self.runs_by_owner.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.runs_by_owner.remove(owner);
            }
        }
    }

    pub fn runs(&self, owner: &str) -> impl Iterator<Item = &Key> {
        self.runs_by_owner.get(owner).into_iter().flatten()
    }

    #[must_use]
    pub fn rollout(&self, uid: &str) -> Option<&Key> {
        self.rollout_by_uid.get(uid)
    }

    pub fn replica_sets(&self, owner: &str) -> impl Iterator<Item = &Key> {
        self.replica_sets_by_owner.get(owner).into_iter().flatten()
    }

    pub fn rollouts_of_service(&self, service: &Key) -> impl Iterator<Item = &Key> {
        self.rollouts_by_service.get(service).into_iter().flatten()
    }

    /// Rollouts that name the route, or select it by these labels.
    pub fn rollouts_of_route<'a>(
        &'a self,
        route: &'a RouteKey,
        labels: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Key> {
        let selecting =
            self.selecting.iter().filter(|(_, selected)| selected.iter().any(|one| one.matches(route, labels)));
        self.rollouts_by_route.get(route).into_iter().flatten().chain(selecting.map(|(key, _)| key))
    }
}

fn take<K: Eq + Hash>(map: &mut HashMap<K, BTreeSet<Key>>, of: &K, key: &Key) {
    if let Some(keys) = map.get_mut(of) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(of);
        }
    }
}
