//! Strategies: decide where a revision should be now.

use crate::answer;
use crate::bindings::strategy::StrategyPluginPre;
use crate::error::CallError;
use crate::handle::handle;
use crate::plugin::Kind;

pub use crate::bindings::any::kulta::plugin::types::{Label, Revision, Rollout, Verdict};
pub use crate::bindings::strategy::exports::kulta::plugin::strategy::{
    Decision, Failure, FailureKind, Goal, HeaderMatch, ManagedRoute, Mirror, Next, Pause, PauseCause, RouteKind,
    RouteMatch, Run, RunPhase, Scale, Share, Situation, TextMatch, Waiting, WantedRun,
};

handle! {
    /// One strategy component.
    StrategyPlugin, StrategyPluginPre, Kind::Strategy
}

impl StrategyPlugin {
    /// Gets a decision. `config` is JSON that [`Plugin::check_config`](crate::Plugin::check_config) has accepted.
    ///
    /// Runs on the calling task and yields to other tasks every 10 ms. The answer is validated: sizes are within the
    /// WIT's limits, weights sum to at most `max_weight`, the step index is in range, instants are representable.
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
