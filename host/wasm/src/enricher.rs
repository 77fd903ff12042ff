//! Enrichers: add facts to a CDEvent.

use crate::answer;
use crate::bindings::enricher::EnricherPluginPre;
use crate::error::CallError;
use crate::handle::handle;
use crate::plugin::Kind;

pub use crate::bindings::any::kulta::plugin::types::{Label, Revision, Rollout};
pub use crate::bindings::enricher::exports::kulta::plugin::enricher::{Action, Fetching, Occasion};
pub use crate::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};

handle! {
    /// One enricher component.
    EnricherPlugin, EnricherPluginPre, Kind::Enricher
}

impl EnricherPlugin {
    /// Makes one call for an event. `config` is JSON that [`Plugin::check_config`](crate::Plugin::check_config) has
    /// accepted.
    ///
    /// The answer is validated: sizes are within the WIT's limits, and the addition is a JSON object.
    pub async fn enrich(&self, config: &str, input: &Occasion) -> Result<Action, CallError> {
        let about = format!("{}/{}", input.rollout.namespace, input.rollout.name);
        let (mut store, _running) = self.plugin.begin_call(about);
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_enricher().call_enrich(&mut store, config, input).await
        };
        let action = answer
            .await
            .map_err(|error| CallError::from_wasmtime(&error))?
            .map_err(|error| CallError::Reported(error.into()))?;
        answer::check_addition(&action)?;
        Ok(action)
    }
}
