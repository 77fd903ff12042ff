//! Analyzers: measure a metric and judge the value.

use crate::answer;
use crate::bindings::analyzer::AnalyzerPluginPre;
use crate::error::CallError;
use crate::handle::handle;
use crate::plugin::Kind;

pub use crate::bindings::analyzer::exports::kulta::plugin::analyzer::{
    Action, Call, Fetching, Judged, Measured, Occasion, Waiting,
};
pub use crate::bindings::any::kulta::plugin::types::{Label, Revision, Rollout, Verdict};
pub use crate::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};

handle! {
    /// One analyzer component.
    AnalyzerPlugin, AnalyzerPluginPre, Kind::Analyzer
}

impl AnalyzerPlugin {
    /// Makes one call of a measurement. `config` is JSON that [`Plugin::check_config`](crate::Plugin::check_config) has
    /// accepted.
    ///
    /// The answer is validated: sizes are within the WIT's limits, instants are representable.
    pub async fn analyze(&self, config: &str, input: &Occasion) -> Result<Action, CallError> {
        let (mut store, _running) = self.plugin.begin_call(format!("{} {}", input.run, input.metric));
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_analyzer().call_analyze(&mut store, config, input).await
        };
        let action = answer
            .await
            .map_err(|error| CallError::from_wasmtime(&error))?
            .map_err(|error| CallError::Reported(error.into()))?;
        answer::check_measurement(&action)?;
        Ok(action)
    }
}
