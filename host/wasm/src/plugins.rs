//! The plugins that are served, by kind and name.

use crate::analyzer::AnalyzerPlugin;
use crate::code_cache::CodeCache;
use crate::compile::Compiler;
use crate::condition::ConditionPlugin;
use crate::enricher::EnricherPlugin;
use crate::error::{LoadError, LookupError};
use crate::limits::Limits;
use crate::loaded::{Loaded, Loader};
use crate::plugin::Kind;
use crate::runtime::{Runtime, StartError, Timing};
use crate::step::StepPlugin;
use crate::strategy::StrategyPlugin;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::OnceCell;

macro_rules! built_in {
    ($kind:expr, $name:literal) => {
        built_in!($kind, $name, $name)
    };
    // The crate of a provider is named in lower case.
    ($kind:expr, $name:literal, $crate_name:literal) => {
        BuiltIn {
            kind: $kind,
            name: $name,
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $crate_name, ".wasm")),
            loaded: OnceCell::const_new(),
        }
    };
}

/// The strategy of `spec.strategy.canary`.
const MAIN_STRATEGY: &str = "canary";

/// The name under which the language of `successCondition` and `failureCondition` is served.
pub const CONDITION_LANGUAGE: &str = "conditions";

/// Built from `plugins/` together with this crate.
struct BuiltIn {
    kind: Kind,
    name: &'static str,
    bytes: &'static [u8],
    /// An error is cached as well: the same bytes would be rejected again.
    loaded: OnceCell<Result<Arc<Loaded>, LoadError>>,
}

fn built_in() -> Vec<BuiltIn> {
    vec![
        built_in!(Kind::Strategy, "canary"),
        built_in!(Kind::Strategy, "blue-green"),
        built_in!(Kind::Strategy, "linear"),
        built_in!(Kind::Analyzer, "prometheus"),
        built_in!(Kind::Analyzer, "web"),
        built_in!(Kind::Analyzer, "datadog"),
        built_in!(Kind::Analyzer, "graphite"),
        built_in!(Kind::Analyzer, "influxdb"),
        built_in!(Kind::Analyzer, "newRelic", "newrelic"),
        built_in!(Kind::Analyzer, "skywalking"),
        built_in!(Kind::Analyzer, "wavefront"),
        built_in!(Kind::Analyzer, "threshold"),
        built_in!(Kind::Analyzer, "sequential"),
        built_in!(Kind::Enricher, "commit"),
        built_in!(Kind::Condition, "conditions"),
    ]
}

/// The built-in plugins by kind and name; also loads other components. A built-in plugin is compiled at its first use
/// or by [`warm`](Self::warm), never on the caller's thread.
pub struct Plugins {
    loader: Loader,
    limits: Limits,
    built_in: Vec<BuiltIn>,
}

impl Plugins {
    /// With the built-in plugins, under these limits. Compiles nothing yet; compilation is in this process.
    pub fn new(limits: Limits) -> Result<Self, StartError> {
        Self::start(limits, Timing::Deadline)
    }

    /// As [`new`](Self::new), for a deterministic simulation: calls have no deadline, and there is no thread that
    /// enforces deadlines. Use it for built-in plugins only.
    pub fn untimed(limits: Limits) -> Result<Self, StartError> {
        Self::start(limits, Timing::None)
    }

    fn start(limits: Limits, timing: Timing) -> Result<Self, StartError> {
        let runtime = Arc::new(Runtime::start(timing)?);
        let loader = Loader { runtime, compiler: Compiler::Here, cache: None };
        Ok(Self { loader, limits, built_in: built_in() })
    }

    /// Sets where components are compiled.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.loader.compiler = compiler;
        self
    }

    /// Sets the cache of compiled code for the next start.
    #[must_use]
    pub fn with_cache(mut self, cache: CodeCache) -> Self {
        self.loader.cache = Some(cache);
        self
    }

    /// Digests of the built-in plugins.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Compiles, validates and describes a component without serving it. `name` is the plugin's name in log lines.
    ///
    /// # Errors
    /// If it is not a component, has imports that are not allowed, does not fit the interface, or cannot describe
    /// itself.
    pub async fn load(&self, name: &str, component: Vec<u8>, limits: Limits) -> Result<Arc<Loaded>, LoadError> {
        self.loader.load(name, Cow::Owned(component), limits).await.map(Arc::new)
    }

    /// Names of the built-in plugins, in alphabetical order.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.built_in.iter().filter(|plugin| plugin.kind == kind);
        let mut names: Vec<String> = of_kind.map(|plugin| plugin.name.to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// The strategy of that name. The first call compiles it, which takes milliseconds to seconds; later calls return
    /// at once.
    pub async fn strategy(&self, name: &str) -> Result<Arc<StrategyPlugin>, LookupError> {
        self.take(Kind::Strategy, name, Loaded::strategy).await
    }

    /// The analyzer of that name; as [`strategy`](Self::strategy).
    pub async fn analyzer(&self, name: &str) -> Result<Arc<AnalyzerPlugin>, LookupError> {
        self.take(Kind::Analyzer, name, Loaded::analyzer).await
    }

    /// The enricher of that name; as [`strategy`](Self::strategy).
    pub async fn enricher(&self, name: &str) -> Result<Arc<EnricherPlugin>, LookupError> {
        self.take(Kind::Enricher, name, Loaded::enricher).await
    }

    /// The step plugin of that name; as [`strategy`](Self::strategy).
    pub async fn step(&self, name: &str) -> Result<Arc<StepPlugin>, LookupError> {
        self.take(Kind::Step, name, Loaded::step).await
    }

    /// The condition language of that name; as [`strategy`](Self::strategy).
    pub async fn condition(&self, name: &str) -> Result<Arc<ConditionPlugin>, LookupError> {
        self.take(Kind::Condition, name, Loaded::condition).await
    }

    /// Compiles the plugins that nearly every rollout needs. The others are compiled at their first use, and take no
    /// memory until then. Run it in the background.
    pub async fn warm(&self) {
        if let Err(error) = self.strategy(MAIN_STRATEGY).await {
            tracing::warn!(plugin = MAIN_STRATEGY, "compile ahead of use: {error}");
        }
    }

    async fn take<P>(
        &self,
        kind: Kind,
        name: &str,
        handle: fn(&Loaded) -> Option<&Arc<P>>,
    ) -> Result<Arc<P>, LookupError> {
        let unknown = || LookupError::Unknown { kind, name: name.to_owned(), served: self.names(kind) };
        let loaded = self.loaded(kind, name).await?.ok_or_else(unknown)?;
        handle(&loaded).cloned().ok_or_else(unknown)
    }

    async fn loaded(&self, kind: Kind, name: &str) -> Result<Option<Arc<Loaded>>, LookupError> {
        let Some(plugin) = self.built_in.iter().find(|plugin| plugin.kind == kind && plugin.name == name) else {
            return Ok(None);
        };
        let load = async || match self.loader.load(name, Cow::Borrowed(plugin.bytes), self.limits).await {
            Err(error) if !error.is_final() => Err(error),
            loaded => Ok(loaded.map(Arc::new)),
        };
        let loaded = plugin.loaded.get_or_try_init(load).await;
        loaded
            .and_then(|loaded| loaded.as_ref().map(|loaded| Some(Arc::clone(loaded))).map_err(Clone::clone))
            .map_err(|source| LookupError::Load { kind, name: name.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each provider of Argo Rollouts is embedded in every binary, whoever uses it.
    const PROVIDER_BYTES: usize = 350 << 10;

    #[test]
    fn the_component_of_a_provider_is_small() {
        let providers = ["prometheus", "web", "datadog", "graphite", "influxdb", "newRelic", "skywalking", "wavefront"];
        for plugin in built_in().iter().filter(|plugin| providers.contains(&plugin.name)) {
            assert!(plugin.bytes.len() <= PROVIDER_BYTES, "{}: {} bytes", plugin.name, plugin.bytes.len());
        }
    }
}
