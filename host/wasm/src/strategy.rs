//! A strategy that has been loaded: described, checked, and ready to be asked.

use crate::answer;
use crate::bindings::StrategyPluginPre;
use crate::bindings::exports::kulta::plugin::plugin::Info as Described;
use crate::component;
use crate::error::{CallError, CheckError, ConfigError, LoadError, Report, shortened};
use crate::log::{CallLog, Speaker};
use crate::runtime::{CallState, Runtime};
use crate::schema::ConfigSchema;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

pub use crate::bindings::exports::kulta::plugin::strategy::{
    Decision, Failure, FailureKind, Goal, HeaderMatch, ManagedRoute, Mirror, Next, Pause, PauseCause, RouteKind,
    RouteMatch, Run, RunPhase, Scale, Share, Situation, TextMatch, Waiting, WantedRun,
};
pub use crate::bindings::kulta::plugin::types::{Label, Revision, Rollout, Verdict};

/// What a plugin says of itself. The name it is served under may be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// At most 1 KiB, as version and summary.
    pub name: String,
    pub version: String,
    pub summary: String,
}

/// One strategy component. Every call gets an instance of its own, so calls know nothing of each other, and a trap ends with its call.
pub struct StrategyPlugin {
    runtime: Arc<Runtime>,
    pre: StrategyPluginPre<CallState>,
    speaker: Arc<Speaker>,
    info: Info,
    schema: ConfigSchema,
}

impl std::fmt::Debug for StrategyPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StrategyPlugin")
            .field("info", &self.info)
            .field("digest", &self.speaker.digest)
            .finish_non_exhaustive()
    }
}

impl StrategyPlugin {
    /// Compiles on a thread for blocking work, then asks the component to describe itself.
    pub(crate) async fn load(runtime: Arc<Runtime>, name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, LoadError> {
        let compiler = Arc::clone(&runtime);
        let compile = move || component::compile(&compiler, &bytes).map(|pre| (pre, component::digest(&bytes)));
        let (pre, digest) = tokio::task::spawn_blocking(compile).await.map_err(|_| LoadError::Interrupted)??;
        let speaker = Arc::new(Speaker { plugin: name.to_owned(), digest });
        let described = describe(&runtime, &pre, &speaker).await.map_err(LoadError::Describe)?;
        Ok(Self {
            runtime,
            pre,
            speaker,
            info: Info {
                name: shortened(described.name),
                version: shortened(described.version),
                summary: shortened(described.summary),
            },
            schema: ConfigSchema::parse(described.config_schema)?,
        })
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

    /// Checks a configuration against the plugin's schema, then, if it fits, by the plugin itself.
    /// Not cached: ask when the configuration has changed.
    pub async fn check_config(&self, config: &Value) -> Result<(), CheckError> {
        let errors = self.schema.errors(config);
        if !errors.is_empty() {
            return Err(CheckError::Invalid(errors));
        }
        let (mut store, _running) = self.runtime.begin_call(self.log(String::new()));
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

    /// Asks for a decision. `config` is JSON that [`check_config`](Self::check_config) has accepted.
    ///
    /// Runs on the calling task and lets other tasks have their turn every 10 ms. An answer has been checked: sizes as the WIT
    /// names them, weights together at most `max_weight`, step within steps, instants that can be written down.
    pub async fn decide(&self, config: &str, situation: &Situation) -> Result<Decision, CallError> {
        let rollout = format!("{}/{}", situation.rollout.namespace, situation.rollout.name);
        let (mut store, _running) = self.runtime.begin_call(self.log(rollout));
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_strategy().call_decide(&mut store, config, situation).await
        };
        let decision = answer
            .await
            .map_err(|error| CallError::from_wasmtime(&error))?
            .map_err(|error| CallError::Reported(error.into()))?;
        answer::check(&decision, situation)?;
        Ok(decision)
    }

    fn log(&self, rollout: String) -> CallLog {
        CallLog::new(Arc::clone(&self.speaker), rollout)
    }
}

async fn describe(
    runtime: &Runtime,
    pre: &StrategyPluginPre<CallState>,
    speaker: &Arc<Speaker>,
) -> Result<Described, CallError> {
    let log = CallLog::new(Arc::clone(speaker), String::new());
    let (mut store, _running) = runtime.begin_call(log);
    let described = async {
        let instance = pre.instantiate_async(&mut store).await?;
        instance.kulta_plugin_plugin().call_describe(&mut store).await
    };
    described.await.map_err(|error| CallError::from_wasmtime(&error))
}
