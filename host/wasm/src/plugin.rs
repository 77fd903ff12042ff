//! The part that all kinds of plugins share: they describe themselves and check their configuration.

use crate::bindings::any::AnyPluginPre;
use crate::bindings::any::exports::kulta::plugin::plugin::Info as Described;
use crate::error::{CallError, CheckError, ConfigError, LoadError, Report, shortened};
use crate::limits::Limits;
use crate::log::{CallLog, Speaker};
use crate::runtime::{CallState, Runtime};
use crate::schema::ConfigSchema;
use crate::ticker::Running;
use serde_json::Value;
use std::fmt::{Display, Formatter};
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::InstancePre;

/// The kinds of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Strategy,
    Analyzer,
    Enricher,
    Step,
    Condition,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Strategy, Self::Analyzer, Self::Enricher, Self::Step, Self::Condition];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Analyzer => "analyzer",
            Self::Enricher => "enricher",
            Self::Step => "step",
            Self::Condition => "condition",
        }
    }

    /// The interface that a component of this kind exports.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Strategy => "kulta:plugin/strategy",
            Self::Analyzer => "kulta:plugin/analyzer",
            Self::Enricher => "kulta:plugin/enricher",
            Self::Step => "kulta:plugin/step",
            Self::Condition => "kulta:plugin/condition",
        }
    }
}

/// With its article.
impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let article = if matches!(self, Self::Analyzer | Self::Enricher) { "an" } else { "a" };
        write!(f, "{article} {}", self.as_str())
    }
}

/// A plugin's description of itself. It may be served under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// At most 1 KiB, like version and summary.
    pub name: String,
    pub version: String,
    pub summary: String,
}

/// A loaded component. Every call gets a new instance, so calls are independent of each other, and a trap ends only its
/// own call.
pub struct Plugin {
    runtime: Arc<Runtime>,
    limits: Limits,
    pre: AnyPluginPre<CallState>,
    speaker: Arc<Speaker>,
    info: Info,
    schema: ConfigSchema,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("info", &self.info).field("digest", &self.speaker.digest).finish_non_exhaustive()
    }
}

impl Plugin {
    /// Calls the component's `describe`.
    pub(crate) async fn describe(
        runtime: Arc<Runtime>,
        limits: Limits,
        speaker: Speaker,
        instance: InstancePre<CallState>,
    ) -> Result<Self, LoadError> {
        let pre = AnyPluginPre::new(instance).map_err(|error| incompatible(&error))?;
        let speaker = Arc::new(speaker);
        let described = describe(&runtime, &limits, &pre, &speaker).await.map_err(LoadError::Describe)?;
        let info = Info {
            name: shortened(described.name),
            version: shortened(described.version),
            summary: shortened(described.summary),
        };
        let schema = ConfigSchema::parse(described.config_schema)?;
        Ok(Self { runtime, limits, pre, speaker, info, schema })
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    /// `sha256:` and the hex digest of the component.
    pub fn digest(&self) -> &str {
        &self.speaker.digest
    }

    /// The configuration's JSON Schema (2020-12), as text.
    pub fn config_schema(&self) -> &str {
        self.schema.text()
    }

    /// A configuration without the fields that the plugin's schema does not know, and the paths of these fields.
    #[must_use]
    pub fn prune_config(&self, config: &Value) -> (Value, Vec<String>) {
        self.schema.prune(config)
    }

    /// Checks a configuration against the plugin's schema, then, if it is valid, with the plugin's own `check-config`.
    /// The result is not cached: call it when the configuration has changed.
    pub async fn check_config(&self, config: &Value) -> Result<(), CheckError> {
        let errors = self.schema.errors(config);
        if !errors.is_empty() {
            return Err(CheckError::Invalid(errors));
        }
        let (mut store, _running) = self.begin_call(String::new());
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_plugin().call_check_config(&mut store, &config.to_string()).await
        };
        match answer.await.map_err(|error| CallError::from_wasmtime(&error))? {
            Ok(()) => Ok(()),
            Err(error) => Err(match Report::from(error) {
                Report::InvalidConfig(message) => {
                    CheckError::Invalid(vec![ConfigError { path: String::new(), message }])
                }
                report => CheckError::Call(CallError::Reported(report)),
            }),
        }
    }

    /// Creates the state of a call; `about` is the object that the plugin's log lines name, as `<namespace>/<name>`.
    pub(crate) fn begin_call(&self, about: String) -> (Store<CallState>, Option<Running<'_>>) {
        self.runtime.begin_call(&self.limits, CallLog::new(Arc::clone(&self.speaker), about))
    }
}

pub(crate) fn incompatible(error: &wasmtime::Error) -> LoadError {
    LoadError::Incompatible(shortened(format!("{error:#}")))
}

async fn describe(
    runtime: &Runtime,
    limits: &Limits,
    pre: &AnyPluginPre<CallState>,
    speaker: &Arc<Speaker>,
) -> Result<Described, CallError> {
    let log = CallLog::new(Arc::clone(speaker), String::new());
    let (mut store, _running) = runtime.begin_call(limits, log);
    let described = async {
        let instance = pre.instantiate_async(&mut store).await?;
        instance.kulta_plugin_plugin().call_describe(&mut store).await
    };
    described.await.map_err(|error| CallError::from_wasmtime(&error))
}
