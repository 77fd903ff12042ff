//! The language of `successCondition` and `failureCondition`.

use crate::bindings::condition::ConditionPluginPre;
use crate::error::{CallError, LoadError};
use crate::plugin::{Kind, Plugin, incompatible};
use crate::plugins::Served;
use crate::runtime::{CallState, Runtime};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// One component that judges values by expressions.
pub struct ConditionPlugin {
    plugin: Plugin,
    pre: ConditionPluginPre<CallState>,
}

impl std::fmt::Debug for ConditionPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plugin.fmt(f)
    }
}

impl Deref for ConditionPlugin {
    type Target = Plugin;

    fn deref(&self) -> &Plugin {
        &self.plugin
    }
}

impl Served for ConditionPlugin {
    const KIND: Kind = Kind::Condition;

    async fn load(runtime: Arc<Runtime>, name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, LoadError> {
        let (plugin, instance) = Plugin::load(runtime, Self::KIND, name, bytes).await?;
        Ok(Self { plugin, pre: ConditionPluginPre::new(instance).map_err(|error| incompatible(&error))? })
    }
}

impl ConditionPlugin {
    /// Judges a value (JSON). `about` names the metric in the log. No expression can do more than fail: it runs within the limits of
    /// every call.
    pub async fn evaluate(&self, about: &str, expression: &str, value: &str) -> Result<bool, CallError> {
        let (mut store, _running) = self.plugin.begin_call(about.to_owned());
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_condition().call_evaluate(&mut store, expression, value).await
        };
        answer
            .await
            .map_err(|error| CallError::from_wasmtime(&error))?
            .map_err(|error| CallError::Reported(error.into()))
    }
}
