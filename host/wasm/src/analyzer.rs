//! Analyzers: one measurement of a metric, and what it means.

use crate::answer;
use crate::bindings::analyzer::AnalyzerPluginPre;
use crate::error::{CallError, LoadError};
use crate::plugin::{Kind, Plugin, incompatible};
use crate::plugins::Served;
use crate::runtime::{CallState, Runtime};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

pub use crate::bindings::analyzer::exports::kulta::plugin::analyzer::{
    Action, Call, Fetching, Judged, Measured, Occasion, Waiting,
};
pub use crate::bindings::analyzer::kulta::plugin::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};
pub use crate::bindings::any::kulta::plugin::types::{Label, Revision, Rollout, Verdict};

/// One analyzer component.
pub struct AnalyzerPlugin {
    plugin: Plugin,
    pre: AnalyzerPluginPre<CallState>,
}

impl std::fmt::Debug for AnalyzerPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plugin.fmt(f)
    }
}

impl Deref for AnalyzerPlugin {
    type Target = Plugin;

    fn deref(&self) -> &Plugin {
        &self.plugin
    }
}

impl Served for AnalyzerPlugin {
    const KIND: Kind = Kind::Analyzer;

    async fn load(runtime: Arc<Runtime>, name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, LoadError> {
        let (plugin, instance) = Plugin::load(runtime, Self::KIND, name, bytes).await?;
        Ok(Self { plugin, pre: AnalyzerPluginPre::new(instance).map_err(|error| incompatible(&error))? })
    }
}

impl AnalyzerPlugin {
    /// Takes one round of a measurement. `config` is JSON that [`Plugin::check_config`] has accepted.
    ///
    /// An answer has been checked: sizes as the WIT names them, instants that can be written down.
    pub async fn analyze(&self, config: &str, occasion: &Occasion) -> Result<Action, CallError> {
        let (mut store, _running) = self.plugin.begin_call(format!("{} {}", occasion.run, occasion.metric));
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_analyzer().call_analyze(&mut store, config, occasion).await
        };
        let action = answer
            .await
            .map_err(|error| CallError::from_wasmtime(&error))?
            .map_err(|error| CallError::Reported(error.into()))?;
        answer::check_action(&action)?;
        Ok(action)
    }
}
