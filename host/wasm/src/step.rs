//! Steps: do the work of a canary's `steps[].plugin`.

use crate::answer;
use crate::bindings::step::StepPluginPre;
use crate::error::CallError;
use crate::handle::handle;
use crate::plugin::Kind;

pub use crate::bindings::any::kulta::plugin::types::{Label, Revision, Rollout};
pub use crate::bindings::step::exports::kulta::plugin::step::{
    Action, Call, Fetching, Finished, Occasion, Outcome, Waiting,
};
pub use crate::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};

handle! {
    /// One step component.
    StepPlugin, StepPluginPre, Kind::Step
}

impl StepPlugin {
    /// Makes one call of a step. `config` is JSON that [`Plugin::check_config`](crate::Plugin::check_config) has
    /// accepted.
    ///
    /// The answer is validated: sizes are within the WIT's limits, instants are representable.
    pub async fn act(&self, config: &str, input: &Occasion) -> Result<Action, CallError> {
        let about = format!("{}/{} step {}", input.rollout.namespace, input.rollout.name, input.index);
        let (mut store, _running) = self.plugin.begin_call(about);
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.kulta_plugin_step().call_act(&mut store, config, input).await
        };
        let action = answer
            .await
            .map_err(|error| CallError::from_wasmtime(&error))?
            .map_err(|error| CallError::Reported(error.into()))?;
        answer::check_work(&action)?;
        Ok(action)
    }
}
