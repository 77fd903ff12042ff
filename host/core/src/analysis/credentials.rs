//! The Secrets of Argo Rollouts' providers. Argo reads them under fixed names, mostly in the controller's namespace, and so does KULTA:
//! templates need no change. This table is all that a built-in provider may be given; it gets placeholders for the secret values.

use serde_json::Value;

/// The Secret of a provider, and what is read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub namespace: SecretNamespace,
    /// Name of the Secret.
    pub name: String,
    /// Field of the provider's configuration that names the Secret.
    pub field: &'static str,
    pub keys: Vec<CredentialKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretNamespace {
    Controller,
    Run,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialKey {
    /// The name under which the provider gets the value.
    pub name: &'static str,
    /// Key of the Secret.
    pub key: String,
    pub required: bool,
    pub kind: CredentialKind,
    /// Variable of the controller's environment with the same value. If all variables of a provider are set, they count before the
    /// Secret.
    pub variable: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The provider gets a placeholder.
    Secret,
    /// The beginning of a URL, which may contain a password: the provider gets a placeholder.
    Url,
}

impl CredentialKey {
    fn secret(key: &'static str) -> Self {
        Self { name: key, key: key.to_owned(), required: true, kind: CredentialKind::Secret, variable: None }
    }

    fn url(key: &'static str) -> Self {
        Self { kind: CredentialKind::Url, ..Self::secret(key) }
    }

    fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    fn or_variable(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }
}

impl Credentials {
    /// The credentials that a provider needs with this configuration; `None` for a provider without any.
    #[must_use]
    pub fn of(provider: &str, config: &Value) -> Option<Self> {
        match provider {
            "datadog" => Some(datadog(config)),
            _ => None,
        }
    }
}

/// A Secret that the template names may be in the run's namespace. The environment counts only before the default Secret.
fn datadog(config: &Value) -> Credentials {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let named = text("/secretRef/name");
    let namespaced = config.pointer("/secretRef/namespaced") == Some(&Value::Bool(true));
    let keys = [
        (CredentialKey::secret("api-key"), "DD_API_KEY"),
        (CredentialKey::secret("app-key"), "DD_APP_KEY"),
        (CredentialKey::url("address").optional(), "DD_ADDRESS"),
    ];
    let keys = keys.map(|(key, variable)| if named.is_none() { key.or_variable(variable) } else { key });
    Credentials {
        namespace: if namespaced { SecretNamespace::Run } else { SecretNamespace::Controller },
        name: named.unwrap_or("datadog").to_owned(),
        field: "secretRef",
        keys: keys.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(provider: &str, config: Value) -> (SecretNamespace, String) {
        let credentials = Credentials::of(provider, &config).unwrap();
        (credentials.namespace, credentials.name)
    }

    #[test]
    fn datadog_reads_the_secret_that_the_template_names_or_argos_default() {
        for (config, namespace, name) in [
            (json!({}), SecretNamespace::Controller, "datadog"),
            (json!({ "secretRef": { "name": "" } }), SecretNamespace::Controller, "datadog"),
            (json!({ "secretRef": { "name": "mine" } }), SecretNamespace::Controller, "mine"),
            (json!({ "secretRef": { "name": "mine", "namespaced": true } }), SecretNamespace::Run, "mine"),
        ] {
            assert_eq!(place("datadog", config), (namespace, name.to_owned()));
        }
    }

    #[test]
    fn the_environment_replaces_only_the_default_secret() {
        let variables = |config: Value| {
            let keys = Credentials::of("datadog", &config).unwrap().keys;
            keys.into_iter().map(|key| key.variable).collect::<Vec<_>>()
        };

        assert_eq!(variables(json!({})), [Some("DD_API_KEY"), Some("DD_APP_KEY"), Some("DD_ADDRESS")]);
        assert_eq!(variables(json!({ "secretRef": { "name": "mine" } })), [None, None, None]);
    }

    #[test]
    fn a_provider_without_a_secret_gets_nothing() {
        for provider in ["prometheus", "web", "graphite", "threshold", "acme/own"] {
            assert_eq!(Credentials::of(provider, &json!({})), None, "{provider}");
        }
    }
}
