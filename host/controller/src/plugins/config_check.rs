//! What plugins find wrong with configurations.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kulta_api::FieldError;
use kulta_wasm::{CallError, CheckError, ConfigError, Kind, Plugin};
use serde_json::Value;

use super::handle::{CallFailure, PluginHandle};

/// Checked configurations that are remembered; beyond that all of them are forgotten.
const CHECKED_AT_MOST: usize = 10_000;

/// What is wrong with a configuration, by the path of the field in it.
pub type ConfigErrors = Arc<Vec<ConfigError>>;

/// One configuration to check.
pub struct ConfigCheck<'a, P> {
    pub kind: Kind,
    pub name: &'a str,
    pub handle: &'a PluginHandle<P>,
    /// As the user wrote it; the admin's goes below it.
    pub config: &'a Value,
}

/// Asks plugins whether they take a configuration. What `check-config` answers is remembered: it is a pure function.
#[derive(Default)]
pub struct ConfigChecks {
    /// By kind, name, component and configuration.
    known: Mutex<HashMap<Question, ConfigErrors>>,
}

impl ConfigChecks {
    /// The errors that a plugin reports in a configuration.
    ///
    /// # Errors
    /// The call failed, or the plugin's circuit breaker is open. Nothing is remembered, so the next check calls the plugin again.
    pub async fn check<P: Deref<Target = Plugin>>(
        &self,
        check: ConfigCheck<'_, P>,
        now: Timestamp,
    ) -> Result<ConfigErrors, CallFailure> {
        let (question, config) = question(&check);
        if let Some(known) = self.known(&question) {
            return Ok(known);
        }
        let errors = check.handle.with_breaker(now, ask(&check.handle.plugin, &config)).await?;
        self.remember(question, &errors);
        Ok(errors)
    }

    /// The same past the circuit breaker: a failure neither counts nor keeps the plugin from being asked for other things.
    ///
    /// # Errors
    /// When it failed to answer.
    pub async fn check_without_breaker<P: Deref<Target = Plugin>>(
        &self,
        check: ConfigCheck<'_, P>,
        remember: bool,
    ) -> Result<ConfigErrors, CallError> {
        let (question, config) = question(&check);
        if let Some(known) = self.known(&question) {
            return Ok(known);
        }
        let errors = ask(&check.handle.plugin, &config).await?;
        if remember {
            self.remember(question, &errors);
        }
        Ok(errors)
    }

    fn known(&self, question: &Question) -> Option<ConfigErrors> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(question).cloned()
    }

    fn remember(&self, question: Question, errors: &ConfigErrors) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CHECKED_AT_MOST {
            known.clear();
        }
        known.insert(question, Arc::clone(errors));
    }
}

type Question = (Kind, String, String, String);

fn question<P>(check: &ConfigCheck<'_, P>) -> (Question, Value) {
    let ConfigCheck { kind, name, handle, config } = *check;
    let config = handle.policy.configured(config);
    ((kind, name.to_owned(), handle.pin.to_string(), config.to_string()), config)
}

async fn ask(plugin: &Plugin, config: &Value) -> Result<ConfigErrors, CallError> {
    match plugin.check_config(config).await {
        Ok(()) => Ok(ConfigErrors::default()),
        Err(CheckError::Invalid(errors)) => Ok(Arc::new(errors)),
        Err(CheckError::Call(error)) => Err(error),
    }
}

/// The errors of a configuration that is in the field `config` below `path`.
#[must_use]
pub fn errors_below(path: &str, errors: &ConfigErrors) -> Vec<FieldError> {
    let error = |error: &ConfigError| FieldError {
        path: format!("{path}.config{}", dotted(&error.path)),
        message: error.message.clone(),
    };
    errors.iter().map(error).collect()
}

/// A JSON pointer as the path that users read: `/steps/0/x` becomes `.steps[0].x`.
#[must_use]
pub fn dotted(pointer: &str) -> String {
    if pointer.is_empty() {
        return String::new();
    }
    if !pointer.starts_with('/') {
        return format!(".{pointer}");
    }
    pointer.split('/').skip(1).fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) => format!("{path}.{part}"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kulta_core::plugin_failure::FailureClass as PluginFailure;
    use kulta_wasm::{Limits, Plugins, StrategyPlugin, fixtures};
    use serde_json::json;

    use super::*;
    use crate::plugins::{Entry, PluginPolicy, PluginRegistry, Version};

    async fn hostile() -> PluginHandle<StrategyPlugin> {
        let plugins = Arc::new(Plugins::new(Limits::default()).unwrap());
        let loaded = plugins.load("hostile", fixtures::HOSTILE.to_vec(), Limits::default()).await.unwrap();
        let registry = PluginRegistry::new(plugins);
        let current = Arc::new(Version::new("hostile".to_owned(), loaded));
        let policy = Arc::new(PluginPolicy::built_in());
        let serves = vec!["hostile".to_owned()];
        let entry = Entry { policy, serves, created: Timestamp::UNIX_EPOCH, current, source: None };
        registry.serve("hostile", entry);
        registry.strategy("hostile", None).await.unwrap()
    }

    async fn checked(handle: &PluginHandle<StrategyPlugin>, misdeed: &str) -> Result<Vec<FieldError>, PluginFailure> {
        let config = json!({ "misdeed": misdeed, "on_check": true });
        let check = ConfigCheck { kind: Kind::Strategy, name: "hostile", handle, config: &config };
        let checked = ConfigChecks::default().check(check, Timestamp::UNIX_EPOCH).await;
        checked.map(|errors| errors_below("spec.plugin", &errors)).map_err(|error| error.class())
    }

    #[tokio::test]
    async fn a_configuration_that_a_plugin_refuses_is_named_by_its_path() {
        let errors = checked(&hostile().await, "invalidConfig").await.unwrap();

        assert_eq!(errors.into_iter().map(|error| error.path).collect::<Vec<_>>(), ["spec.plugin.config"]);
    }

    #[tokio::test]
    async fn a_plugin_that_traps_or_does_not_come_to_an_end_has_found_nothing_wrong() {
        let plugin = hostile().await;

        assert_eq!(checked(&plugin, "trap").await, Err(PluginFailure::Trapped));
        assert_eq!(checked(&plugin, "spin").await, Err(PluginFailure::DeadlineExceeded));
    }

    #[test]
    fn a_pointer_becomes_the_path_that_users_read() {
        assert_eq!(dotted("/steps/0/setWeight"), ".steps[0].setWeight");
    }
}
