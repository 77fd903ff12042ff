//! The plugins that are served, by kind and name.

use crate::analyzer::AnalyzerPlugin;
use crate::condition::ConditionPlugin;
use crate::error::{LoadError, LookupError};
use crate::limits::Limits;
use crate::plugin::Kind;
use crate::runtime::{Runtime, StartError, Timing};
use crate::strategy::StrategyPlugin;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::OnceCell;

macro_rules! built_in {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")))
    };
}

/// Built from `plugins/` together with this crate.
const STRATEGIES: &[(&str, &[u8])] = &[built_in!("canary"), built_in!("linear")];
const ANALYZERS: &[(&str, &[u8])] =
    &[built_in!("prometheus"), built_in!("web"), built_in!("threshold"), built_in!("sequential")];
const CONDITIONS: &[(&str, &[u8])] = &[built_in!("conditions")];

/// The strategy of `spec.strategy.canary`.
const MAIN_STRATEGY: &str = "canary";

/// The name under which the language of `successCondition` and `failureCondition` is served.
pub const CONDITION_LANGUAGE: &str = "conditions";

/// All plugins by kind and name. A component is compiled when it is first asked for, or by [`warm`](Self::warm); never on the
/// caller's thread.
pub struct Plugins {
    runtime: Arc<Runtime>,
    strategies: Shelf<StrategyPlugin>,
    analyzers: Shelf<AnalyzerPlugin>,
    conditions: Shelf<ConditionPlugin>,
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
        Ok(Self {
            runtime: Arc::new(Runtime::start(limits, timing)?),
            strategies: Shelf::of(STRATEGIES),
            analyzers: Shelf::of(ANALYZERS),
            conditions: Shelf::of(CONDITIONS),
        })
    }

    /// Serves a component under a name, in place of any of its kind that had it. Those who hold the old one keep it.
    pub fn insert(&self, kind: Kind, name: impl Into<String>, component: Vec<u8>) {
        let (name, bytes) = (name.into(), Cow::Owned(component));
        match kind {
            Kind::Strategy => self.strategies.put(name, bytes),
            Kind::Analyzer => self.analyzers.put(name, bytes),
            Kind::Condition => self.conditions.put(name, bytes),
        }
    }

    /// In alphabetical order.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::Strategy => self.strategies.names(),
            Kind::Analyzer => self.analyzers.names(),
            Kind::Condition => self.conditions.names(),
        }
    }

    /// The strategy of that name. Compiles it if nobody has yet, which takes milliseconds to seconds; later calls answer at once.
    pub async fn strategy(&self, name: &str) -> Result<Arc<StrategyPlugin>, LookupError> {
        self.strategies.take(&self.runtime, name).await
    }

    /// The analyzer of that name; as [`strategy`](Self::strategy).
    pub async fn analyzer(&self, name: &str) -> Result<Arc<AnalyzerPlugin>, LookupError> {
        self.analyzers.take(&self.runtime, name).await
    }

    /// The condition language of that name; as [`strategy`](Self::strategy).
    pub async fn condition(&self, name: &str) -> Result<Arc<ConditionPlugin>, LookupError> {
        self.conditions.take(&self.runtime, name).await
    }

    /// Compiles what nearly every rollout needs; the others are compiled when somebody first needs them, and take no memory until then.
    /// Run it in the background.
    pub async fn warm(&self) {
        if let Err(error) = self.strategy(MAIN_STRATEGY).await {
            tracing::warn!(plugin = MAIN_STRATEGY, "compile ahead of use: {error}");
        }
    }
}

/// A component of one kind.
pub(crate) trait Served: Sized {
    const KIND: Kind;

    async fn load(runtime: Arc<Runtime>, name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, LoadError>;
}

/// The components of one kind, by name.
struct Shelf<P> {
    entries: RwLock<BTreeMap<String, Arc<Entry<P>>>>,
}

struct Entry<P> {
    bytes: Cow<'static, [u8]>,
    /// A refusal is kept as well: the same bytes would be refused again.
    loaded: OnceCell<Result<Arc<P>, LoadError>>,
}

impl<P: Served> Shelf<P> {
    fn of(built_in: &[(&str, &'static [u8])]) -> Self {
        let shelf = Self { entries: RwLock::default() };
        for (name, bytes) in built_in {
            shelf.put((*name).to_owned(), Cow::Borrowed(bytes));
        }
        shelf
    }

    fn put(&self, name: String, bytes: Cow<'static, [u8]>) {
        let entry = Arc::new(Entry { bytes, loaded: OnceCell::new() });
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(name, entry);
    }

    fn names(&self) -> Vec<String> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    async fn take(&self, runtime: &Arc<Runtime>, name: &str) -> Result<Arc<P>, LookupError> {
        let entry = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let Some(entry) = entry else {
            return Err(LookupError::Unknown { kind: P::KIND, name: name.to_owned(), served: self.names() });
        };
        let load = async || match P::load(Arc::clone(runtime), name, entry.bytes.clone()).await {
            Err(error) if !error.is_final() => Err(error),
            loaded => Ok(loaded.map(Arc::new)),
        };
        let loaded = entry.loaded.get_or_try_init(load).await;
        loaded
            .and_then(|loaded| loaded.as_ref().map(Arc::clone).map_err(Clone::clone))
            .map_err(|source| LookupError::Load { kind: P::KIND, name: name.to_owned(), source })
    }
}
