//! Analyzers: one measurement of a metric, and what it means.

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
    /// Takes one round of a measurement. `config` is JSON that [`Plugin::check_config`](crate::Plugin::check_config) has accepted.
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
        answer::check_measurement(&action)?;
        Ok(action)
    }
}
