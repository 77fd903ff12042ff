//! A component that is compiled, validated and described, with the kinds that it serves.

use crate::analyzer::AnalyzerPlugin;
use crate::code_cache::CodeCache;
use crate::compile::Compiler;
use crate::component::{self, Checked};
use crate::condition::ConditionPlugin;
use crate::enricher::EnricherPlugin;
use crate::error::{LoadError, shortened};
use crate::limits::Limits;
use crate::log::Speaker;
use crate::plugin::{Kind, Plugin};
use crate::runtime::{CallState, Runtime};
use crate::step::StepPlugin;
use crate::strategy::StrategyPlugin;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use wasmtime::component::{Component, InstancePre};

/// A component as one of its kinds.
pub(crate) trait Handle: Sized {
    const KIND: Kind;

    fn new(plugin: Arc<Plugin>, instance: InstancePre<CallState>) -> Result<Self, LoadError>;
}

/// One component, ready to be called.
#[derive(Debug)]
pub struct Loaded {
    plugin: Arc<Plugin>,
    kinds: Vec<Kind>,
    imports: Vec<String>,
    exports: Vec<String>,
    strategy: Option<Arc<StrategyPlugin>>,
    analyzer: Option<Arc<AnalyzerPlugin>>,
    enricher: Option<Arc<EnricherPlugin>>,
    step: Option<Arc<StepPlugin>>,
    condition: Option<Arc<ConditionPlugin>>,
}

impl Deref for Loaded {
    type Target = Plugin;

    fn deref(&self) -> &Plugin {
        &self.plugin
    }
}

impl Loaded {
    /// Its kinds, in the order of [`Kind::ALL`]; at least one.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Names of its imports; imports of types only give no permission.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Names of its exports, with their versions.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    pub fn strategy(&self) -> Option<&Arc<StrategyPlugin>> {
        self.strategy.as_ref()
    }

    pub fn analyzer(&self) -> Option<&Arc<AnalyzerPlugin>> {
        self.analyzer.as_ref()
    }

    pub fn enricher(&self) -> Option<&Arc<EnricherPlugin>> {
        self.enricher.as_ref()
    }

    pub fn step(&self) -> Option<&Arc<StepPlugin>> {
        self.step.as_ref()
    }

    pub fn condition(&self) -> Option<&Arc<ConditionPlugin>> {
        self.condition.as_ref()
    }
}

/// Loads a component from its bytes.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) compiler: Compiler,
    pub(crate) cache: Option<CodeCache>,
}

impl Loader {
    pub(crate) async fn load(
        &self,
        name: &str,
        bytes: Cow<'static, [u8]>,
        limits: Limits,
    ) -> Result<Loaded, LoadError> {
        if bytes.len() > limits.component_bytes {
            return Err(LoadError::TooLarge { bytes: bytes.len(), limit: limits.component_bytes });
        }
        let digest = component::digest(&bytes);
        let component = self.component(&digest, bytes).await?;
        let Checked { instance, kinds, imports, exports } = component::check(&self.runtime, &component)?;
        let speaker = Speaker { plugin: name.to_owned(), digest };
        let plugin = Plugin::describe(Arc::clone(&self.runtime), limits, speaker, instance.clone()).await?;
        let parts = Parts { plugin: Arc::new(plugin), instance, kinds: &kinds };
        Ok(Loaded {
            strategy: parts.handle()?,
            analyzer: parts.handle()?,
            enricher: parts.handle()?,
            step: parts.handle()?,
            condition: parts.handle()?,
            plugin: parts.plugin,
            kinds,
            imports,
            exports,
        })
    }

    async fn component(&self, digest: &str, bytes: Cow<'static, [u8]>) -> Result<Component, LoadError> {
        if let Some(file) = self.cache.as_ref().and_then(|cache| cache.find(&self.runtime.engine, digest)) {
            match self.runtime.read_code_file(&file) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(file = %file.display(), "compiled code is ignored: {error:#}"),
            }
        }
        let code = self.compiler.compile(&self.runtime.engine, bytes.into_owned()).await?;
        let kept = self.cache.as_ref().map(|cache| cache.keep(&self.runtime.engine, digest, &code));
        let read = match kept {
            // Pages of a mapped file that are never used take no memory.
            Some(Ok(file)) => self.runtime.read_code_file(&file),
            Some(Err(error)) => {
                tracing::warn!(digest, "compiled code is not stored for the next start: {error}");
                self.runtime.read_code(&code)
            }
            None => self.runtime.read_code(&code),
        };
        read.map_err(|error| LoadError::Compiler(shortened(format!("{error:#}"))))
    }
}

struct Parts<'a> {
    plugin: Arc<Plugin>,
    instance: InstancePre<CallState>,
    kinds: &'a [Kind],
}

impl Parts<'_> {
    fn handle<H: Handle>(&self) -> Result<Option<Arc<H>>, LoadError> {
        if !self.kinds.contains(&H::KIND) {
            return Ok(None);
        }
        H::new(Arc::clone(&self.plugin), self.instance.clone()).map(|handle| Some(Arc::new(handle)))
    }
}
