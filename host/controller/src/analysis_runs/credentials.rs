//! The credentials of Argo Rollouts' providers: read from their Secrets, and given to the built-in analyzers as placeholders.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::FieldError;
use kulta_api::analysis::Metric;
use kulta_api::validation::Path;
use kulta_core::analysis::{CredentialKey, CredentialKind, Credentials, SecretNamespace, at_provider};
use kulta_fetch::Secrets;
use kulta_wasm::analyzer::Label;

use crate::key::Key;
use crate::plugins::{Grants, Pin, PluginRegistry};
use crate::secrets::SecretReader;

/// The key of a fact about a credential begins with it.
const CREDENTIAL_FACT: &str = "credential.";

/// Facts for analyzers, by metric.
pub type CredentialFacts = BTreeMap<String, Vec<Label>>;

/// Variables of the controller's environment that Argo Rollouts' providers read.
const VARIABLES: [&str; 3] = ["DD_API_KEY", "DD_APP_KEY", "DD_ADDRESS"];

/// The values of the variables that are set, by name.
#[derive(Clone, Default)]
pub struct ProviderEnvironment(BTreeMap<&'static str, String>);

/// Prints only the names.
impl fmt::Debug for ProviderEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ProviderEnvironment {
    /// Reads the process's environment; an empty value counts as unset.
    #[must_use]
    pub fn of_process() -> Self {
        let set = VARIABLES.into_iter().filter_map(|name| Some((name, env::var(name).ok()?)));
        Self(set.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The values of these keys; `None` unless each has a variable that is set.
    fn values(&self, keys: &[CredentialKey]) -> Option<Vec<Option<String>>> {
        keys.iter()
            .map(|key| Some(self.0.get(key.variable?).cloned()))
            .collect::<Option<Vec<_>>>()
            .filter(|values| values.iter().all(Option::is_some))
    }
}

/// Reads credentials.
pub struct CredentialReader {
    pub registry: Arc<PluginRegistry>,
    pub secrets: Arc<SecretReader>,
    pub environment: ProviderEnvironment,
    /// The controller's own.
    pub namespace: String,
}

impl CredentialReader {
    /// The facts about the credentials of a run's metrics; values are added to `secrets`. The inner error is what is missing, with its
    /// path. `namespace` is the run's.
    ///
    /// # Errors
    /// When the API server does not answer: nothing is known of the Secrets then.
    pub async fn read(
        &self,
        namespace: &str,
        metrics: &[Metric],
        pins: &BTreeMap<String, String>,
        secrets: &mut Secrets,
        now: Timestamp,
    ) -> Result<Result<CredentialFacts, Vec<FieldError>>, kube::Error> {
        let (mut facts, mut errors) = (CredentialFacts::new(), Vec::new());
        for (index, metric) in metrics.iter().enumerate() {
            let path = Path::new("spec").field("metrics").index(index).field("provider");
            let Some((path, name, config)) = at_provider(&metric.provider, &path) else { continue };
            let Some(wanted) = Credentials::of(name, config) else { continue };
            if !self.is_built_in(name, pins).await {
                continue;
            }
            let path = path.field(wanted.field);
            match self.values(namespace, &wanted, now).await? {
                Ok(values) => {
                    let of_metric: Result<Vec<Label>, _> =
                        values.into_iter().map(|(key, value)| fact(key, &value, secrets)).collect();
                    match of_metric {
                        Ok(of_metric) => {
                            facts.insert(metric.name.clone(), of_metric);
                        }
                        Err(error) => errors.push(path.error(format!("metric {:?}: {error}", metric.name))),
                    }
                }
                Err(why) => errors.push(path.error(format!("metric {:?}: {why}", metric.name))),
            }
        }
        Ok(if errors.is_empty() { Ok(facts) } else { Err(errors) })
    }

    /// A user's component of the same name gets no credentials: its Plugin object grants what it may use.
    async fn is_built_in(&self, name: &str, pins: &BTreeMap<String, String>) -> bool {
        let pin = pins.get(name).and_then(|pin| Pin::read(pin));
        let handle = self.registry.analyzer(name, pin.as_ref()).await;
        handle.is_ok_and(|handle| handle.policy.grants == Grants::BuiltIn)
    }

    /// The values that exist, with their keys. The inner error is why a required one is missing.
    async fn values<'a>(
        &self,
        namespace: &str,
        wanted: &'a Credentials,
        now: Timestamp,
    ) -> Result<Result<Vec<(&'a CredentialKey, String)>, String>, kube::Error> {
        if let Some(values) = self.environment.values(&wanted.keys) {
            return Ok(Ok(wanted.keys.iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect()));
        }
        let namespace = match wanted.namespace {
            SecretNamespace::Controller => self.namespace.as_str(),
            SecretNamespace::Run => namespace,
        };
        let secret = Key::new(namespace, wanted.name.as_str());
        let data = match self.secrets.data(&secret, now).await? {
            Ok(data) => data,
            Err(why) => return Ok(Err(format!("{why} (namespace {namespace})"))),
        };
        let mut values = Vec::new();
        for key in &wanted.keys {
            match data.get(&key.key).map(|value| value.trim()).filter(|value| !value.is_empty()) {
                Some(value) => values.push((key, value.to_owned())),
                None if key.required => return Ok(Err(format!("Secret {secret} has no key {:?}", key.key))),
                None => {}
            }
        }
        Ok(Ok(values))
    }
}

fn fact(key: &CredentialKey, value: &str, secrets: &mut Secrets) -> Result<Label, kulta_fetch::NoRandomness> {
    let value = match key.kind {
        CredentialKind::Secret => secrets.add(value)?,
        // A path is appended.
        CredentialKind::Url => secrets.add(value.trim_end_matches('/'))?,
        CredentialKind::Setting => value.to_owned(),
    };
    Ok(Label { key: format!("{CREDENTIAL_FACT}{}", key.name), value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_environment_counts_only_as_a_whole() {
        let keys = Credentials::of("datadog", &json!({})).unwrap().keys;
        let mut environment =
            ProviderEnvironment([("DD_API_KEY", "a".to_owned()), ("DD_APP_KEY", "b".to_owned())].into());
        assert_eq!(environment.values(&keys), None);

        environment.0.insert("DD_ADDRESS", "https://c".to_owned());

        assert_eq!(environment.values(&keys), Some(["a", "b", "https://c"].map(|value| Some(value.to_owned())).into()));
    }

    #[test]
    fn the_debug_output_of_the_environment_contains_no_value() {
        let environment = ProviderEnvironment([("DD_API_KEY", "hunter2".to_owned())].into());

        assert_eq!(format!("{environment:?}"), r#"{"DD_API_KEY"}"#);
    }

    #[test]
    fn an_analyzer_gets_a_placeholder_for_each_value() {
        let keys = Credentials::of("datadog", &json!({})).unwrap().keys;
        let mut secrets = Secrets::new();

        let facts: Vec<_> = keys.iter().map(|key| fact(key, "https://s3cret/", &mut secrets).unwrap()).collect();

        let names: Vec<_> = facts.iter().map(|fact| fact.key.as_str()).collect();
        assert_eq!(names, ["credential.api-key", "credential.app-key", "credential.address"]);
        assert!(facts.iter().all(|fact| secrets.is_in(&fact.value) && !fact.value.contains("s3cret")), "{names:?}");
    }
}
