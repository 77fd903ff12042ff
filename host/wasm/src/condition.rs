//! The language of `successCondition` and `failureCondition`.

use crate::bindings::condition::ConditionPluginPre;
use crate::error::CallError;
use crate::handle::handle;
use crate::plugin::Kind;

handle! {
    /// One component that evaluates expressions on values.
    ConditionPlugin, ConditionPluginPre, Kind::Condition
}

impl ConditionPlugin {
    /// Evaluates a value (JSON). `about` names the metric in the log. An expression can do no harm: it runs within the
    /// limits of every call.
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
