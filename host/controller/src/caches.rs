//! All that the controller has seen of the cluster, and who is touched when it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::decode::{
    self, CachedPlugin, CachedReplicaSet, CachedRollout, CachedRoute, CachedRun, CachedService, CachedTemplate,
    changed_uses,
};
use crate::index::{Index, selects};
use crate::key::Key;
use crate::object::Object;
use crate::store::{Scope, Store};

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    Rollouts,
    ReplicaSets,
    Services,
    Routes,
    Runs,
    Templates,
    ClusterTemplates,
    Plugins,
}

/// What is known of a kind that a cluster may lack, in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindWatch {
    /// The first list is under way: nothing is known yet.
    Filling,
    Filled,
    /// The cluster does not serve the kind.
    NotInstalled,
    /// The API server's words.
    Forbidden(String),
}

/// The rollouts to look at after a change.
#[derive(Debug, Default, PartialEq)]
pub struct Touched {
    pub keys: BTreeSet<Key>,
    /// A rollout is gone: its name and uid.
    pub removed: Option<(Key, String)>,
    /// AnalysisRuns to look at.
    pub runs: BTreeSet<Key>,
    /// Plugins to look at.
    pub plugins: BTreeSet<Key>,
    /// Names of plugins that others name or keep components of than before: Plugins that serve one are reconciled.
    pub uses: BTreeSet<String>,
    /// Services that no rollout refers to any more though one is written on them: see [`Contents::orphan`].
    pub orphans: BTreeSet<Key>,
}

/// A Service that carries the mark of a rollout which does not refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The rollout that the mark names.
    pub manager: String,
    /// That rollout is ours and is seen not to refer to the Service. Otherwise it is gone, or another instance's.
    pub known: bool,
    pub resource_version: String,
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
    pub routes: Store<CachedRoute>,
    pub runs: Store<CachedRun>,
    pub templates: Store<CachedTemplate>,
    /// In no namespace.
    pub cluster_templates: Store<CachedTemplate>,
    /// In no namespace.
    pub plugins: Store<CachedPlugin>,
    /// Of the kinds that may not be served.
    pub watches: BTreeMap<(Watched, Scope), KindWatch>,
    pub index: Index,
    /// Rollouts of one namespace whose selectors reach each other's pods, either way.
    overlaps: BTreeMap<Key, BTreeSet<Key>>,
}

impl Caches {
    /// A panic while the lock was held leaves at worst one object behind its time, until the watch tells of it again.
    pub fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn apply(&self, kind: Watched, object: Object) -> Touched {
        let key = object.key();
        // Decoding is the costly part: outside the lock.
        match kind {
            Watched::Rollouts => {
                let rollout = decode::rollout(object);
                self.write().apply_rollout(key, rollout)
            }
            Watched::ReplicaSets => {
                let replica_set = decode::replica_set(object);
                self.write().apply_replica_set(key, replica_set)
            }
            Watched::Services => {
                let service = decode::service(&object);
                self.write().apply_service(key, service)
            }
            Watched::Routes => {
                let route = decode::route(object);
                self.write().apply_route(key, route)
            }
            Watched::Runs => {
                let run = decode::analysis_run(object);
                self.write().apply_run(key, run)
            }
            Watched::Templates | Watched::ClusterTemplates => {
                let template = decode::template(&object);
                self.write().apply_template(kind, key, template)
            }
            Watched::Plugins => {
                let plugin = decode::plugin(object);
                self.write().plugins.set(key.clone(), plugin);
                Touched { plugins: BTreeSet::from([key]), ..Touched::default() }
            }
        }
    }

    pub fn delete(&self, kind: Watched, key: &Key) -> Touched {
        self.write().delete(kind, key)
    }

    pub fn begin_list(&self, kind: Watched, scope: &Scope) {
        let mut contents = self.write();
        match kind {
            Watched::Rollouts => contents.rollouts.begin_list(scope),
            Watched::ReplicaSets => contents.replica_sets.begin_list(scope),
            Watched::Services => contents.services.begin_list(scope),
            Watched::Routes => contents.routes.begin_list(scope),
            Watched::Runs => contents.runs.begin_list(scope),
            Watched::Templates => contents.templates.begin_list(scope),
            Watched::ClusterTemplates => contents.cluster_templates.begin_list(scope),
            Watched::Plugins => contents.plugins.begin_list(scope),
        }
    }

    /// What the list did not tell is gone.
    pub fn end_list(&self, kind: Watched, scope: &Scope) -> Vec<Touched> {
        let mut contents = self.write();
        let gone = match kind {
            Watched::Rollouts => contents.rollouts.end_list(scope),
            Watched::ReplicaSets => contents.replica_sets.end_list(scope),
            Watched::Services => contents.services.end_list(scope),
            Watched::Routes => contents.routes.end_list(scope),
            Watched::Runs => contents.runs.end_list(scope),
            Watched::Templates => contents.templates.end_list(scope),
            Watched::ClusterTemplates => contents.cluster_templates.end_list(scope),
            Watched::Plugins => contents.plugins.end_list(scope),
        };
        gone.iter().map(|key| contents.delete(kind, key)).collect()
    }

    /// Notes how a kind can be seen in a scope; tells who is touched when that is news.
    pub fn set_watch(&self, kind: Watched, scope: &Scope, state: KindWatch) -> BTreeSet<Key> {
        let mut contents = self.write();
        let before = contents.watches.insert((kind, scope.clone()), state.clone());
        if before.as_ref() == Some(&state) {
            return BTreeSet::new();
        }
        match kind {
            Watched::Routes => contents.rollouts_with_routes_in(scope),
            Watched::Runs | Watched::Templates | Watched::ClusterTemplates => contents.rollouts_with_analyses(None),
            Watched::Rollouts | Watched::ReplicaSets | Watched::Services | Watched::Plugins => BTreeSet::new(),
        }
    }

    /// The routes of a scope are no longer watched.
    pub fn forget_routes(&self, scope: &Scope) {
        let mut contents = self.write();
        contents.watches.remove(&(Watched::Routes, scope.clone()));
        let keys: Vec<Key> = contents.routes.keys(scope).cloned().collect();
        for key in keys {
            contents.routes.remove(&key);
        }
    }

    /// Namespaces in which some rollout looks for routes.
    #[must_use]
    pub fn route_namespaces(&self) -> BTreeSet<String> {
        let contents = self.read();
        contents
            .rollouts
            .iter()
            .flat_map(|(_, rollout)| rollout.references.routes.namespaces())
            .map(str::to_owned)
            .collect()
    }
}

impl Contents {
    fn apply_rollout(&mut self, key: Key, rollout: CachedRollout) -> Touched {
        let mut touched = Touched { keys: BTreeSet::from([key.clone()]), ..Touched::default() };
        let before = self.rollouts.remove(&key);
        let used = before.as_ref().map(|before| (&before.references.plugins, &before.pins));
        touched.uses = changed_uses(used, (&rollout.references.plugins, &rollout.pins));
        let same =
            before.as_ref().is_some_and(|before| before.uid == rollout.uid && before.references == rollout.references);
        if same {
            self.rollouts.set(key, rollout);
            return touched;
        }
        let mut left = BTreeSet::new();
        if let Some(before) = before {
            touched.keys.extend(self.sharing(&key, &before));
            touched.keys.extend(self.sharing_routes(&key, &before));
            touched.keys.extend(self.part(&key));
            left.clone_from(&before.references.services);
            self.index.remove_rollout(&key, &before.uid, &before.references);
            if before.uid != rollout.uid {
                touched.removed = Some((key.clone(), before.uid));
            }
        }
        self.index.add_rollout(&key, &rollout.uid, &rollout.references);
        touched.keys.extend(self.sharing(&key, &rollout));
        touched.keys.extend(self.sharing_routes(&key, &rollout));
        touched.keys.extend(self.meet(&key, &rollout));
        self.rollouts.set(key.clone(), rollout);
        touched.orphans = self.orphans_among(&key, &left);
        touched
    }

    fn apply_replica_set(&mut self, key: Key, replica_set: CachedReplicaSet) -> Touched {
        let owner = replica_set.owner.clone();
        let before = self.replica_sets.set(key.clone(), replica_set);
        let mut touched = Touched::default();
        let owner_before = before.and_then(|before| before.owner);
        if owner_before != owner {
            if let Some(owner) = &owner_before {
                self.index.remove_replica_set(&key, owner);
                touched.keys.extend(self.index.rollout(owner).cloned());
            }
            if let Some(owner) = &owner {
                self.index.add_replica_set(&key, owner);
            }
        }
        touched.keys.extend(owner.and_then(|owner| self.index.rollout(&owner).cloned()));
        touched
    }

    fn apply_service(&mut self, key: Key, service: CachedService) -> Touched {
        let same = self.services.get(&key).is_some_and(|before| before.version == service.version);
        self.services.set(key.clone(), service);
        if same {
            return Touched::default();
        }
        let keys = self.index.rollouts_of_service(&key).cloned().collect();
        let orphans = self.orphan(&key).is_some().then_some(key).into_iter().collect();
        Touched { keys, orphans, ..Touched::default() }
    }

    fn apply_route(&mut self, key: Key, route: CachedRoute) -> Touched {
        let labels = route.labels.clone();
        let before = self.routes.set(key.clone(), route);
        let mut keys: BTreeSet<Key> = self.index.rollouts_of_route(&key, &labels).cloned().collect();
        if let Some(before) = before {
            keys.extend(self.index.rollouts_of_route(&key, &before.labels).cloned());
        }
        Touched { keys, ..Touched::default() }
    }

    fn apply_run(&mut self, key: Key, run: CachedRun) -> Touched {
        let owner = run.owner.clone();
        let same = self.runs.get(&key).is_some_and(|before| before.tells_the_same_as(&run));
        let none = BTreeSet::new();
        let kept = |run: &CachedRun| if run.ended { BTreeSet::new() } else { run.pins.clone() };
        let pins = kept(&run);
        let before = self.runs.set(key.clone(), run);
        let pins_before = before.as_ref().map(kept);
        let uses = changed_uses(pins_before.as_ref().map(|pins| (&none, pins)), (&none, &pins));
        let before = before.and_then(|before| before.owner);
        let mut touched = Touched { runs: BTreeSet::from([key.clone()]), uses, ..Touched::default() };
        if before != owner {
            if let Some(before) = &before {
                self.index.remove_run(&key, before);
                touched.keys.extend(self.index.rollout(before).cloned());
            }
            if let Some(owner) = &owner {
                self.index.add_run(&key, owner);
            }
        } else if same {
            return touched;
        }
        touched.keys.extend(owner.and_then(|owner| self.index.rollout(&owner).cloned()));
        touched
    }

    fn apply_template(&mut self, kind: Watched, key: Key, template: CachedTemplate) -> Touched {
        let namespace = (kind == Watched::Templates).then(|| key.namespace.clone());
        let store = if kind == Watched::Templates { &mut self.templates } else { &mut self.cluster_templates };
        let plugins = template.plugins.clone();
        let (before, none) = (store.set(key, template), BTreeSet::new());
        let uses = changed_uses(before.as_ref().map(|before| (&before.plugins, &none)), (&plugins, &none));
        Touched { keys: self.rollouts_with_analyses(namespace.as_deref()), uses, ..Touched::default() }
    }

    fn delete(&mut self, kind: Watched, key: &Key) -> Touched {
        let mut touched = Touched::default();
        match kind {
            Watched::Rollouts => {
                if let Some(before) = self.rollouts.remove(key) {
                    touched.uses = changed_uses(None, (&before.references.plugins, &before.pins));
                    touched.keys.insert(key.clone());
                    touched.keys.extend(self.sharing(key, &before));
                    touched.keys.extend(self.sharing_routes(key, &before));
                    touched.keys.extend(self.part(key));
                    self.index.remove_rollout(key, &before.uid, &before.references);
                    touched.orphans = self.orphans_among(key, &before.references.services);
                    touched.removed = Some((key.clone(), before.uid));
                }
            }
            Watched::ReplicaSets => {
                if let Some(owner) = self.replica_sets.remove(key).and_then(|before| before.owner) {
                    self.index.remove_replica_set(key, &owner);
                    touched.keys.extend(self.index.rollout(&owner).cloned());
                }
            }
            Watched::Services => {
                self.services.remove(key);
                touched.keys.extend(self.index.rollouts_of_service(key).cloned());
            }
            Watched::Runs => {
                touched.runs.insert(key.clone());
                if let Some(before) = self.runs.remove(key) {
                    if !before.ended {
                        touched.uses = changed_uses(None, (&BTreeSet::new(), &before.pins));
                    }
                    if let Some(owner) = before.owner {
                        self.index.remove_run(key, &owner);
                        touched.keys.extend(self.index.rollout(&owner).cloned());
                    }
                }
            }
            Watched::Templates => {
                let gone = self.templates.remove(key).map(|gone| gone.plugins).unwrap_or_default();
                touched.uses = changed_uses(None, (&gone, &BTreeSet::new()));
                touched.keys = self.rollouts_with_analyses(Some(&key.namespace));
            }
            Watched::ClusterTemplates => {
                let gone = self.cluster_templates.remove(key).map(|gone| gone.plugins).unwrap_or_default();
                touched.uses = changed_uses(None, (&gone, &BTreeSet::new()));
                touched.keys = self.rollouts_with_analyses(None);
            }
            Watched::Plugins => {
                self.plugins.remove(key);
                touched.plugins.insert(key.clone());
            }
            Watched::Routes => {
                if let Some(before) = self.routes.remove(key) {
                    touched.keys.extend(self.index.rollouts_of_route(key, &before.labels).cloned());
                }
            }
        }
        touched
    }

    /// What is left on a Service by a rollout that does not refer to it, if anything is.
    #[must_use]
    pub fn orphan(&self, service: &Key) -> Option<Orphan> {
        let cached = &self.services.get(service)?.service;
        let manager = cached.managed_by.clone().filter(|manager| !manager.is_empty())?;
        if self.index.rollouts_of_service(service).next().is_some() {
            return None;
        }
        let known = match self.rollouts.get(&service.sibling(&manager)).map(|rollout| rollout.decodable) {
            // What it refers to cannot be told.
            Some(false) => return None,
            Some(true) => true,
            None => false,
        };
        Some(Orphan { manager, known, resource_version: cached.resource_version.clone() })
    }

    fn orphans_among(&self, rollout: &Key, services: &BTreeSet<String>) -> BTreeSet<Key> {
        services.iter().map(|name| rollout.sibling(name)).filter(|service| self.orphan(service).is_some()).collect()
    }

    /// All orphans, for a start.
    #[must_use]
    pub fn orphans(&self) -> Vec<Key> {
        self.services.iter().map(|(key, _)| key).filter(|key| self.orphan(key).is_some()).cloned().collect()
    }

    /// Other rollouts that name one of the same Services.
    fn sharing(&self, key: &Key, rollout: &CachedRollout) -> BTreeSet<Key> {
        let services = rollout.references.services.iter().map(|service| key.sibling(service));
        let naming = services.flat_map(|service| self.index.rollouts_of_service(&service).cloned().collect::<Vec<_>>());
        naming.filter(|other| other != key).collect()
    }

    /// Notes whose pods the rollout's selector reaches, and whose selector reaches its pods: once for each change of these, so that a
    /// look at a rollout need not go through its whole namespace.
    fn meet(&mut self, key: &Key, rollout: &CachedRollout) -> BTreeSet<Key> {
        let references = &rollout.references;
        let met: BTreeSet<Key> = self
            .rollouts
            .in_namespace(&key.namespace)
            .filter(|(other, _)| *other != key)
            .filter(|(_, other)| selects(&other.references, references) || selects(references, &other.references))
            .map(|(other, _)| other.clone())
            .collect();
        for other in &met {
            self.overlaps.entry(other.clone()).or_default().insert(key.clone());
        }
        if !met.is_empty() {
            self.overlaps.insert(key.clone(), met.clone());
        }
        met
    }

    /// Forgets whom the rollout met; tells who that was.
    fn part(&mut self, key: &Key) -> BTreeSet<Key> {
        let met = self.overlaps.remove(key).unwrap_or_default();
        for other in &met {
            if let Some(others) = self.overlaps.get_mut(other) {
                others.remove(key);
                if others.is_empty() {
                    self.overlaps.remove(other);
                }
            }
        }
        met
    }

    /// The oldest rollout that was there before this one and overlaps with it. A newcomer never stops one that runs.
    #[must_use]
    pub fn older_rival(&self, key: &Key) -> Option<&Key> {
        let age = |key: &Key| self.rollouts.get(key).map(|rollout| (rollout.created, key.clone()));
        let own = age(key)?;
        self.overlaps
            .get(key)?
            .iter()
            .filter(|other| age(other).is_some_and(|other| other < own))
            .min_by_key(|other| age(other))
    }

    /// Of one namespace, or of all. Templates name each other, and change rarely: all who name one are touched.
    pub fn rollouts_with_analyses(&self, namespace: Option<&str>) -> BTreeSet<Key> {
        self.rollouts
            .iter()
            .filter(|(key, rollout)| {
                namespace.is_none_or(|own| own == key.namespace) && !rollout.references.analyses.is_empty()
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn rollouts_with_routes_in(&self, scope: &Scope) -> BTreeSet<Key> {
        self.rollouts
            .iter()
            .filter(|(_, rollout)| rollout.references.routes.namespaces().any(|namespace| scope.covers(namespace)))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

#[cfg(test)]
#[path = "caches_tests.rs"]
mod tests;
