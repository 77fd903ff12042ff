//! Strategies: where a revision should be now.

use crate::answer;
use crate::bindings::strategy::StrategyPluginPre;
use crate::error::{CallError, LoadError};
use crate::plugin::{Kind, Plugin, incompatible};
use crate::plugins::Served;
use crate::runtime::{CallState, Runtime};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

pub use crate::bindings::any::kulta::plugin::types::{Label, Revision, Rollout, Verdict};
pub use crate::bindings::strategy::exports::kulta::plugin::strategy::{
    Decision, Failure, FailureKind, Goal, HeaderMatch, ManagedRoute, Mirror, Next, Pause, PauseCause, RouteKind,
    RouteMatch, Run, RunPhase, Scale, Share, Situation, TextMatch, Waiting, WantedRun,
};

/// One strategy component.
pub struct StrategyPlugin {
    plugin: Plugin,
    pre: StrategyPluginPre<CallState>,
}

impl std::fmt::Debug for StrategyPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plugin.fmt(f)
    }
}

impl Deref for StrategyPlugin {
    type Target = Plugin;

    fn deref(&self) -> &Plugin {
        &self.plugin
    }
}

impl Served for StrategyPlugin {
    const KIND: Kind = Kind::Strategy;

    async fn load(runtime: Arc<Runtime>, name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, LoadError> {
        let (plugin, instance) = Plugin::load(runtime, Self::KIND, name, bytes).await?;
        Ok(Self { plugin, pre: StrategyPluginPre::new(instance).map_err(|error| incompatible(&error))? })
    }
}

impl StrategyPlugin {
    /// Asks for a decision. `config` is JSON that [`Plugin::check_config`] has accepted.
    ///
    /// Runs on the calling task and lets other tasks have their turn every 10 ms. An answer has been checked: sizes as the WIT
    /// names them, weights together at most `max_weight`, step within steps, instants that can be written down.
    pub async fn decide(&self, config: &str, situation: &Situation) -> Result<Decision, CallError> {
        let about = format!("{}/{}", situation.rollout.namespace, situation.rollout.name);
        let (mut store, _running) = self.plugin.begin_call(about);
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
}
