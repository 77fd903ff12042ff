//! What plugins find wrong with configurations.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use kulta_api::FieldError;
use kulta_wasm::{CallError, CheckError, Kind, Plugin};
use serde_json::Value;

use super::choice::{CallFailure, Choice};

/// Checked configurations that are remembered; beyond that the memory starts anew.
const CHECKED_AT_MOST: usize = 10_000;

/// What is wrong, by the path below the plugin's name and configuration.
type Complaints = Vec<(String, String)>;

/// Remembers what `check-config` said: it is a pure function.
#[derive(Default)]
pub struct Checks {
    /// By kind, name, component and configuration.
    known: Mutex<HashMap<(Kind, String, String, String), Complaints>>,
}

impl Checks {
    /// What a plugin finds wrong with its configuration, which is below `path`; empty when nothing is.
    ///
    /// # Errors
    /// When it failed to answer, or rests because it has failed too often: that is no verdict, and it is asked again the next time.
    pub async fn check<P: Deref<Target = Plugin>>(
        &self,
        kind: Kind,
        name: &str,
        choice: &Choice<P>,
        config: &Value,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<FieldError>, CallFailure> {
        let config = choice.terms.configured(config);
        let question = (kind, name.to_owned(), choice.pin.to_string(), config.to_string());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&question).cloned();
        let complaints = match known {
            Some(complaints) => complaints,
            None => {
                let complaints = choice.guarded(now, ask(&choice.plugin, &config)).await?;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= CHECKED_AT_MOST {
                    known.clear();
                }
                known.insert(question, complaints.clone());
                complaints
            }
        };
        let error = |(below, message): (String, String)| FieldError { path: format!("{path}{below}"), message };
        Ok(complaints.into_iter().map(error).collect())
    }
}

async fn ask(plugin: &Plugin, config: &Value) -> Result<Complaints, CallError> {
    match plugin.check_config(config).await {
        Ok(()) => Ok(Vec::new()),
        Err(CheckError::Invalid(errors)) => {
            let complaints = errors.into_iter().map(|error| (format!(".config{}", dotted(&error.path)), error.message));
            Ok(complaints.collect())
        }
        Err(CheckError::Call(error)) => Err(error),
    }
}

/// A JSON pointer as the path that users read: `/steps/0/x` becomes `.steps[0].x`.
pub(crate) fn dotted(pointer: &str) -> String {
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
    use crate::plugins::{Catalog, Entry, Terms, Version};

    async fn hostile() -> Choice<StrategyPlugin> {
        let plugins = Arc::new(Plugins::new(Limits::default()).unwrap());
        let loaded = plugins.load("hostile", fixtures::HOSTILE.to_vec(), Limits::default()).await.unwrap();
        let catalog = Catalog::new(plugins);
        let current = Arc::new(Version::new("hostile".to_owned(), loaded));
        let terms = Arc::new(Terms::built_in());
        let serves = vec!["hostile".to_owned()];
        let entry = Entry { terms, serves, created: Timestamp::UNIX_EPOCH, current, source: None };
        catalog.serve("hostile", entry);
        catalog.strategy("hostile", None).await.unwrap()
    }

    async fn checked(choice: &Choice<StrategyPlugin>, misdeed: &str) -> Result<Vec<FieldError>, PluginFailure> {
        let config = json!({ "misdeed": misdeed, "on_check": true });
        let now = Timestamp::UNIX_EPOCH;
        let checked = Checks::default().check(Kind::Strategy, "hostile", choice, &config, "spec.plugin", now).await;
        checked.map_err(|error| error.class())
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
