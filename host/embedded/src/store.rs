//! The objects, behind one lock: requests are serialized.

mod change;
mod collect;
mod create;
mod delete;
mod fork;
mod history;
mod list;
mod random;
mod scale;
mod sent;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use delete::{DeleteOptions, Deleted, Preconditions, Propagation};
pub use history::Change;
pub use list::{ListOptions, Page, Selection, VersionMatch};
pub use write::{Patch, Subresource, WriteOptions, Written};

use crate::clock::Clock;
use crate::json::{meta, set};
use crate::kind::{BuiltIn, Collection, Key, Kind};
use crate::registry::Registry;
use crate::rules;
use crate::status::ApiError;
use collect::Task;
use history::History;
use random::Random;

/// Default number of changes in the history for watches.
const HISTORY: usize = 10_000;

/// Namespaces that every cluster has.
const FIRST_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Settings of a server.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub clock: Clock,
    /// Seed of uids and generated names.
    pub seed: u64,
    /// Number of changes in the history for watches; older versions are gone (410).
    pub history: usize,
}

impl Settings {
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, seed, history: HISTORY }
    }
}

/// Clones share the objects.
#[derive(Clone, Debug)]
pub struct Store {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    clock: Clock,
}

type Objects = BTreeMap<Key, Arc<Value>>;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    random: Random,
    /// Of the newest change.
    version: u64,
    objects: BTreeMap<Arc<Collection>, Objects>,
    history: History,
    subscribers: Vec<UnboundedSender<Change>>,
    /// The key of an object by its uid.
    places: BTreeMap<String, Place>,
    /// The dependents of a uid.
    dependents: BTreeMap<String, BTreeSet<Place>>,
    /// The garbage collector's queue.
    tasks: VecDeque<Task>,
    /// Addresses of Services given out so far.
    addresses: u32,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub collection: Arc<Collection>,
    pub key: Key,
}

impl Store {
    /// A server with the kinds and namespaces that every cluster has.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let state = State {
            clock: settings.clock,
            registry: Registry::default(),
            random: Random::new(settings.seed),
            // Clients use 0 for "any version".
            version: 1,
            objects: BTreeMap::new(),
            history: History::new(settings.history, 1),
            subscribers: Vec::new(),
            places: BTreeMap::new(),
            dependents: BTreeMap::new(),
            tasks: VecDeque::new(),
            addresses: 0,
        };
        let store =
            Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(Notify::new()), clock: settings.clock };
        for name in FIRST_NAMESPACES {
            let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            if let Some(kind) = store.kind("v1", "Namespace")
                && let Err(error) = store.create(&kind, "", body, &WriteOptions::by("kube-apiserver"))
            {
                tracing::error!("create the namespace {name}: {error}");
            }
        }
        store
    }

    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// A kind that is served, by what objects call it, as in `apps/v1` and `ReplicaSet`.
    #[must_use]
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        self.lock().registry.by_kind(api_version, kind)
    }

    /// A kind that is served, by its place in paths.
    #[must_use]
    pub fn kind_at(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.lock().registry.by_plural(group, version, plural)
    }

    /// All kinds that are served.
    #[must_use]
    pub fn kinds(&self) -> Vec<Arc<Kind>> {
        self.lock().registry.all().cloned().collect()
    }

    /// The version of the newest change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// # Errors
    /// 404.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Value>, ApiError> {
        let state = self.lock();
        let found = state.get(&kind.collection, &Key::new(namespace, name));
        found.map(|object| shown(kind, object)).ok_or_else(|| ApiError::not_found(kind.resource(), name))
    }

    /// Every change from now on, in order and complete.
    #[must_use]
    pub fn subscribe(&self) -> UnboundedReceiver<Change> {
        let (sender, receiver) = unbounded_channel();
        self.lock().subscribers.push(sender);
        receiver
    }

    /// Drops the history: watches and lists that start before now get 410.
    pub fn compact(&self) {
        let mut state = self.lock();
        let version = state.version;
        state.history.compact(version);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Completes at the next change after the call.
    pub(crate) fn changed(&self) -> tokio::sync::futures::OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// A panic in another request leaves consistent objects: every change is one assignment.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that may write; its consequences are completed before the next request.
    fn step<T>(&self, request: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.version;
        let answer = request(&mut state);
        state.settle();
        let changed = state.version != before;
        drop(state);
        if changed {
            self.changed.notify_waiters();
        }
        answer
    }
}

/// An object in the requested version.
fn shown(kind: &Kind, object: &Arc<Value>) -> Arc<Value> {
    let api_version = kind.api_version();
    if object.get("apiVersion").and_then(Value::as_str) == Some(&api_version) {
        return Arc::clone(object);
    }
    let mut object = Value::clone(object);
    set(&mut object, &["apiVersion"], api_version);
    Arc::new(object)
}

impl State {
    fn get(&self, collection: &Collection, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(collection)?.get(key)
    }

    fn at(&self, place: &Place) -> Option<&Arc<Value>> {
        self.get(&place.collection, &place.key)
    }

    /// RFC 3339, in seconds.
    fn now(&self) -> String {
        self.clock.second().to_string()
    }

    /// Stores an object under a new version, or removes it. The only place that changes objects.
    fn commit(&mut self, collection: &Arc<Collection>, key: &Key, object: Option<Value>) -> Option<Arc<Value>> {
        self.version = self.version.saturating_add(1);
        let version = self.version;
        let after = object.map(|mut object| {
            set(&mut object, &["metadata", "resourceVersion"], version.to_string());
            Arc::new(object)
        });
        let objects = self.objects.entry(Arc::clone(collection)).or_default();
        let before = match &after {
            Some(object) => objects.insert(key.clone(), Arc::clone(object)),
            None => objects.remove(key),
        };
        let place = Place { collection: Arc::clone(collection), key: key.clone() };
        self.index(&place, before.as_deref(), after.as_deref());
        self.serve(&place, before.as_deref(), after.as_deref());
        self.note(&place, before.as_deref(), after.as_deref());
        let change =
            Change { version, collection: Arc::clone(collection), key: key.clone(), before, after: after.clone() };
        self.subscribers.retain(|subscriber| subscriber.send(change.clone()).is_ok());
        self.history.push(change);
        after
    }

    fn index(&mut self, place: &Place, before: Option<&Value>, after: Option<&Value>) {
        let owners = |object: Option<&Value>| -> BTreeSet<String> {
            let owners = object.into_iter().flat_map(meta::owners);
            owners.filter_map(|owner| owner.get("uid")?.as_str()).map(str::to_owned).collect()
        };
        if let Some(object) = before {
            self.places.remove(meta::uid(object));
        }
        if let Some(object) = after {
            self.places.insert(meta::uid(object).to_owned(), place.clone());
        }
        let (old, new) = (owners(before), owners(after));
        for uid in old.difference(&new) {
            if let Some(dependents) = self.dependents.get_mut(uid) {
                dependents.remove(place);
                if dependents.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        for uid in new.difference(&old) {
            self.dependents.entry(uid.clone()).or_default().insert(place.clone());
        }
    }

    /// A definition's kinds are served as soon as it is stored.
    fn serve(&mut self, place: &Place, before: Option<&Value>, after: Option<&Value>) {
        let defining = self.registry.by_collection(&place.collection);
        if !defining.is_some_and(|kind| kind.is(BuiltIn::CustomResourceDefinition)) {
            return;
        }
        if let Some(before) = before.filter(|before| after.is_none_or(|after| after.get("spec") != before.get("spec")))
        {
            self.registry.remove(&rules::collection_of_crd(before));
        }
        if let Some(after) = after.filter(|after| before.is_none_or(|before| before.get("spec") != after.get("spec"))) {
            match rules::kinds_of_crd(after) {
                Ok(kinds) => kinds.into_iter().for_each(|kind| self.registry.add(kind)),
                Err(error) => tracing::error!(name = meta::name(after), "not served: {error}"),
            }
        }
    }
}

impl Store {
    /// The changes after a version that are wanted, with objects in the version of `kind`, and the newest version.
    pub(crate) fn changes_after(
        &self,
        version: u64,
        kind: &Kind,
        wanted: impl Fn(&Change) -> bool,
    ) -> Result<(u64, Vec<Change>), ApiError> {
        let state = self.lock();
        let oldest = state.history.oldest();
        let changes = state.history.after(version);
        let changes =
            changes.ok_or_else(|| ApiError::expired(format!("too old resource version: {version} ({oldest})")))?;
        let changes = changes.filter(|change| wanted(change)).map(|change| Change {
            before: change.before.as_ref().map(|object| shown(kind, object)),
            after: change.after.as_ref().map(|object| shown(kind, object)),
            ..change.clone()
        });
        Ok((state.version, changes.collect()))
    }
}
