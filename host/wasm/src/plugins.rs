//! The plugins that are served, by name.

use crate::error::{LoadError, LookupError};
use crate::limits::Limits;
use crate::runtime::{Runtime, StartError, Timing};
use crate::strategy::StrategyPlugin;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::OnceCell;

/// Built from `plugins/` together with this crate.
const BUILT_IN: [(&str, &[u8]); 2] = [
    ("canary", include_bytes!(concat!(env!("OUT_DIR"), "/canary.wasm"))),
    ("linear", include_bytes!(concat!(env!("OUT_DIR"), "/linear.wasm"))),
];

/// All plugins by name. A component is compiled when it is first asked for, or by [`warm`](Self::warm); never on the caller's thread.
pub struct Plugins {
    runtime: Arc<Runtime>,
    entries: RwLock<BTreeMap<String, Arc<Entry>>>,
}

struct Entry {
    bytes: Cow<'static, [u8]>,
    /// A refusal is kept as well: the same bytes would be refused again.
    loaded: OnceCell<Result<Arc<StrategyPlugin>, LoadError>>,
}

impl Plugins {
    /// With the built-in plugins. Compiles nothing yet.
    pub fn new(limits: Limits) -> Result<Self, StartError> {
        Self::with(limits, Timing::Deadline)
    }

    /// As [`new`](Self::new), for a simulation that must do the same twice: calls have no deadline and no thread that keeps it.
    /// Serve nothing but built-in plugins by it.
    pub fn untimed(limits: Limits) -> Result<Self, StartError> {
        Self::with(limits, Timing::None)
    }

    fn with(limits: Limits, timing: Timing) -> Result<Self, StartError> {
        let plugins = Self { runtime: Arc::new(Runtime::start(limits, timing)?), entries: RwLock::default() };
        for (name, bytes) in BUILT_IN {
            plugins.put(name.to_owned(), Cow::Borrowed(bytes));
        }
        Ok(plugins)
    }

    /// Serves a component under a name, in place of any that had it. Those who hold the old one keep it.
    pub fn insert(&self, name: impl Into<String>, component: Vec<u8>) {
        self.put(name.into(), Cow::Owned(component));
    }

    /// In alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.keys().cloned().collect()
    }

    /// The strategy of that name. Compiles it if nobody has yet, which takes milliseconds to seconds; later calls answer at once.
    pub async fn strategy(&self, name: &str) -> Result<Arc<StrategyPlugin>, LookupError> {
        let Some(entry) = self.entry(name) else {
            return Err(LookupError::Unknown { name: name.to_owned(), served: self.names() });
        };
        let load = async || {
            let bytes = entry.bytes.clone();
            match StrategyPlugin::load(Arc::clone(&self.runtime), name, bytes).await {
                Err(error) if !error.is_final() => Err(error),
                loaded => Ok(loaded.map(Arc::new)),
            }
        };
        let loaded = entry.loaded.get_or_try_init(load).await;
        loaded
            .and_then(|loaded| loaded.as_ref().map(Arc::clone).map_err(Clone::clone))
            .map_err(|source| LookupError::Load { name: name.to_owned(), source })
    }

    /// Compiles all that is served, one after the other, so that starting up leaves a core for other work. Run it in the background.
    pub async fn warm(&self) {
        for name in self.names() {
            if let Err(error) = self.strategy(&name).await {
                tracing::warn!(plugin = name, "compile ahead of use: {error}");
            }
        }
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).cloned()
    }

    fn put(&self, name: String, bytes: Cow<'static, [u8]>) {
        let entry = Arc::new(Entry { bytes, loaded: OnceCell::new() });
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(name, entry);
    }
}
