//! The components that are served under each name, and the earlier ones that revisions and runs in progress keep to.

mod contents;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use kulta_api::plugin::PluginReason;
use kulta_wasm::{
    AnalyzerPlugin, ConditionPlugin, EnricherPlugin, Kind, Loaded, LookupError, Plugins, StepPlugin, StrategyPlugin,
};

use contents::{Absent, Contents, Missing};

use super::breaker::Breaker;
use super::handle::{HandleError, Pin, PluginHandle};
use super::policy::{PluginPolicy, SharedPolicy};

/// One component that an admin added by a Plugin object.
#[derive(Debug)]
pub struct Version {
    /// The Plugin object's name.
    pub plugin: String,
    pub loaded: Arc<Loaded>,
    breaker: Arc<Breaker>,
}

impl Version {
    #[must_use]
    pub fn new(plugin: String, loaded: Arc<Loaded>) -> Self {
        Self { plugin, loaded, breaker: Arc::default() }
    }

    fn key(&self) -> (String, String) {
        (self.plugin.clone(), self.loaded.digest().to_owned())
    }
}

/// A Plugin object, as far as it is served.
#[derive(Clone, Debug)]
pub struct Entry {
    pub policy: SharedPolicy,
    pub serves: Vec<String>,
    /// Of two that serve the same name the older one has it.
    pub created: Timestamp,
    /// The version that new calls under its names use.
    pub current: Arc<Version>,
    /// The spec that the component was fetched for; none of a component that was served before a restart.
    pub source: Option<FetchedFor>,
}

/// One spec of one Plugin object, and what its image was resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFor {
    pub uid: String,
    pub generation: i64,
    /// For an image: the manifest's digest, and the image that it was resolved from.
    pub resolved: Option<(String, String)>,
}

/// All plugins that can be called.
pub struct PluginRegistry {
    built_in: Arc<Plugins>,
    built_in_policy: SharedPolicy,
    built_in_names: BTreeSet<(Kind, String)>,
    contents: RwLock<Contents>,
}

impl PluginRegistry {
    #[must_use]
    pub fn new(built_in: Arc<Plugins>) -> Self {
        let names =
            Kind::ALL.into_iter().flat_map(|kind| built_in.names(kind).into_iter().map(move |name| (kind, name)));
        Self {
            built_in_names: names.collect(),
            built_in,
            built_in_policy: Arc::new(PluginPolicy::built_in()),
            contents: RwLock::default(),
        }
    }

    /// Loads components.
    #[must_use]
    pub fn loader(&self) -> &Arc<Plugins> {
        &self.built_in
    }

    /// There is a Plugin object for these names, and nothing of it is served: because it is still to be loaded, or for the reason given.
    pub fn set_pending(&self, plugin: &str, serves: Vec<String>, why: Option<String>) {
        self.write().absent.insert(plugin.to_owned(), Absent { serves, why });
    }

    /// Whether the steps that name a Plugin object are skipped: `serves` is what it answers to if so. Answers whether that is new.
    pub fn disable(&self, plugin: &str, serves: Option<Vec<String>>) -> bool {
        let mut contents = self.write();
        let before = match serves.clone() {
            Some(serves) => contents.disabled.insert(plugin.to_owned(), serves),
            None => contents.disabled.remove(plugin),
        };
        before != serves
    }

    /// The steps that name this step plugin are skipped.
    #[must_use]
    pub fn skips_steps(&self, name: &str) -> bool {
        let contents = self.read();
        let holder = contents.names.get(&(Kind::Step, name.to_owned()));
        let mut disabled = contents.disabled.iter();
        disabled.any(|(plugin, serves)| {
            serves.iter().any(|served| served == name) && holder.is_none_or(|holder| holder == plugin)
        })
    }

    /// Serves a Plugin object as the entry says, in place of what it was served as. Names that an older Plugin has stay with that one.
    pub fn serve(&self, plugin: &str, entry: Entry) {
        let mut contents = self.write();
        let version = Arc::clone(&entry.current);
        contents.missing.remove(version.loaded.digest());
        contents.absent.remove(plugin);
        contents.versions.insert(version.key(), version);
        contents.entries.insert(plugin.to_owned(), entry);
        contents.reassign_names();
    }

    /// Stops all calls of this Plugin, also for revisions that began with it.
    pub fn withdraw(&self, plugin: &str) {
        let mut contents = self.write();
        contents.entries.remove(plugin);
        contents.absent.remove(plugin);
        contents.logged.remove(plugin);
        contents.versions.retain(|(of, _), _| of != plugin);
        contents.reassign_names();
    }

    /// Stores what is to be logged of a Plugin object. Answers whether it differs from what was logged last.
    pub fn is_new_to_log(&self, plugin: &str, reason: PluginReason, digest: &str) -> bool {
        let logged = (reason, digest.to_owned());
        self.write().logged.insert(plugin.to_owned(), logged.clone()) != Some(logged)
    }

    /// Retains a component that something in progress began with.
    pub fn retain(&self, version: Arc<Version>) {
        let mut contents = self.write();
        contents.missing.remove(version.loaded.digest());
        contents.versions.insert(version.key(), version);
    }

    /// Something in progress began with a component that is not available: now, or for good.
    pub fn mark_missing(&self, digest: &str, why: String, for_good: bool) {
        self.write().missing.insert(digest.to_owned(), Missing { why, for_good });
    }

    /// That component does not become available by waiting.
    #[must_use]
    pub fn is_missing_for_good(&self, digest: &str) -> bool {
        self.read().missing.get(digest).is_some_and(|missing| missing.for_good)
    }

    /// Drops the components of a Plugin that are neither served nor in use.
    pub fn drop_unused(&self, plugin: &str, in_use: &dyn Fn(&str) -> bool) {
        let mut contents = self.write();
        let current = contents.entries.get(plugin).map(|entry| entry.current.loaded.digest().to_owned());
        contents.versions.retain(|(of, digest), _| of != plugin || Some(digest) == current.as_ref() || in_use(digest));
        contents.missing.retain(|digest, _| in_use(digest));
    }

    #[must_use]
    pub fn has(&self, plugin: &str, digest: &str) -> bool {
        self.read().versions.contains_key(&(plugin.to_owned(), digest.to_owned()))
    }

    /// What a Plugin object is served as now.
    #[must_use]
    pub fn entry(&self, plugin: &str) -> Option<Entry> {
        self.read().entries.get(plugin).cloned()
    }

    /// The Plugin object that has this name of this kind.
    #[must_use]
    pub fn holder(&self, kind: Kind, name: &str) -> Option<String> {
        self.read().names.get(&(kind, name.to_owned())).cloned()
    }

    /// Something answers to that name, if only the built-in.
    #[must_use]
    pub fn serves(&self, kind: Kind, name: &str) -> bool {
        self.holder(kind, name).is_some() || self.built_in_names.contains(&(kind, name.to_owned()))
    }

    /// In alphabetical order.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let mut names = self.built_in.names(kind);
        names.extend(self.read().names.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What a revision or run that begins now is to keep to; none while that is not known.
    #[must_use]
    pub fn pin(&self, kind: Kind, name: &str) -> Option<Pin> {
        let contents = self.read();
        if let Some((version, _)) = contents.current(kind, name) {
            return Some(Pin::Digest(version.loaded.digest().to_owned()));
        }
        let awaited = contents.absent(name).is_some_and(|(_, absent)| absent.why.is_none());
        let own = self.built_in_names.contains(&(kind, name.to_owned()));
        (own && !awaited).then_some(Pin::BuiltIn)
    }

    /// The strategy of that name: the pinned one, or what is served now.
    ///
    /// # Errors
    /// When there is none, or it is not available.
    pub async fn strategy(&self, name: &str, pin: Option<&Pin>) -> Result<PluginHandle<StrategyPlugin>, HandleError> {
        match self.handle_of_plugin_object(Kind::Strategy, name, pin, Loaded::strategy)? {
            Some(handle) => Ok(handle),
            None => Ok(self.built_in_handle(self.built_in.strategy(name).await)?),
        }
    }

    /// # Errors
    /// As [`strategy`](Self::strategy).
    pub async fn analyzer(&self, name: &str, pin: Option<&Pin>) -> Result<PluginHandle<AnalyzerPlugin>, HandleError> {
        match self.handle_of_plugin_object(Kind::Analyzer, name, pin, Loaded::analyzer)? {
            Some(handle) => Ok(handle),
            None => Ok(self.built_in_handle(self.built_in.analyzer(name).await)?),
        }
    }

    /// # Errors
    /// As [`strategy`](Self::strategy).
    pub async fn step(&self, name: &str, pin: Option<&Pin>) -> Result<PluginHandle<StepPlugin>, HandleError> {
        match self.handle_of_plugin_object(Kind::Step, name, pin, Loaded::step)? {
            Some(handle) => Ok(handle),
            None => Ok(self.built_in_handle(self.built_in.step(name).await)?),
        }
    }

    /// # Errors
    /// As [`strategy`](Self::strategy).
    pub async fn condition(&self, name: &str, pin: Option<&Pin>) -> Result<PluginHandle<ConditionPlugin>, HandleError> {
        match self.handle_of_plugin_object(Kind::Condition, name, pin, Loaded::condition)? {
            Some(handle) => Ok(handle),
            None => Ok(self.built_in_handle(self.built_in.condition(name).await)?),
        }
    }

    /// Every enricher with its name, in the order in which they add.
    pub async fn enrichers(&self) -> Vec<(String, PluginHandle<EnricherPlugin>)> {
        let mut found = Vec::new();
        for name in self.names(Kind::Enricher) {
            let handle = match self.handle_of_plugin_object(Kind::Enricher, &name, None, Loaded::enricher) {
                Ok(Some(handle)) => Ok(handle),
                Ok(None) => {
                    let built_in = self.built_in.enricher(&name).await;
                    self.built_in_handle(built_in).map_err(HandleError::from)
                }
                Err(error) => Err(error),
            };
            match handle {
                Ok(handle) => found.push((name, handle)),
                Err(error) => tracing::warn!(plugin = name, "an enricher is left out: {error}"),
            }
        }
        found.sort_by(|(one, a), (other, b)| (a.policy.order, one).cmp(&(b.policy.order, other)));
        found
    }

    /// The components of Plugin objects go before the built-in ones, unless the pin says otherwise. None: the built-in is to be called.
    fn handle_of_plugin_object<P>(
        &self,
        kind: Kind,
        name: &str,
        pin: Option<&Pin>,
        handle: fn(&Loaded) -> Option<&Arc<P>>,
    ) -> Result<Option<PluginHandle<P>>, HandleError> {
        let contents = self.read();
        let found = match pin {
            Some(Pin::BuiltIn) => None,
            Some(Pin::Digest(digest)) => {
                Some(contents.pinned(kind, name, digest).ok_or_else(|| contents.missing_error(name, digest))?)
            }
            None => contents.current(kind, name),
        };
        let Some((version, policy)) = found else {
            let own = self.built_in_names.contains(&(kind, name.to_owned()));
            return match contents.absent(name) {
                Some((_, Absent { why: None, .. })) if pin.is_none() => Err(HandleError::Loading),
                Some((plugin, Absent { why: Some(why), .. })) if !own => {
                    Err(HandleError::NotReady { plugin: plugin.clone(), why: why.clone() })
                }
                _ => Ok(None),
            };
        };
        Ok(handle(&version.loaded).map(|plugin| PluginHandle {
            plugin: Arc::clone(plugin),
            policy: Arc::clone(policy),
            pin: Pin::Digest(version.loaded.digest().to_owned()),
            breaker: (kind != Kind::Condition).then(|| Arc::clone(&version.breaker)),
        }))
    }

    fn built_in_handle<P>(&self, found: Result<Arc<P>, LookupError>) -> Result<PluginHandle<P>, LookupError> {
        let all = |error| match error {
            // Of all that are served, not only of those that came with the controller.
            LookupError::Unknown { kind, name, .. } => LookupError::Unknown { kind, name, served: self.names(kind) },
            other => other,
        };
        Ok(PluginHandle {
            plugin: found.map_err(all)?,
            policy: Arc::clone(&self.built_in_policy),
            pin: Pin::BuiltIn,
            breaker: None,
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod registry_tests;
