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
    /// Not secret: the provider gets the value.
    Setting,
}

impl CredentialKey {
    fn secret(key: &'static str) -> Self {
        Self { name: key, key: key.to_owned(), required: true, kind: CredentialKind::Secret, variable: None }
    }

    fn url(key: &'static str) -> Self {
        Self { kind: CredentialKind::Url, ..Self::secret(key) }
    }

    fn setting(key: &'static str) -> Self {
        Self { kind: CredentialKind::Setting, ..Self::secret(key) }
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
            "influxdb" => {
                let keys =
                    [CredentialKey::secret("authToken"), CredentialKey::url("address"), CredentialKey::setting("org")];
                Some(Self::of_profile(config, "influxdb", keys.into()))
            }
            "newRelic" => {
                let keys = [
                    CredentialKey::secret("personal-api-key"),
                    CredentialKey::setting("account-id"),
                    CredentialKey::setting("region").optional(),
                    CredentialKey::url("base-url-nerdgraph").optional(),
                ];
                Some(Self::of_profile(config, "newrelic", keys.into()))
            }
            "wavefront" => Some(wavefront(config)),
            _ => None,
        }
    }

    /// A Secret of the controller's namespace that the field `profile` names.
    fn of_profile(config: &Value, default: &str, keys: Vec<CredentialKey>) -> Self {
        let name = text(config, "/profile").unwrap_or(default).to_owned();
        Self { namespace: SecretNamespace::Controller, name, field: "profile", keys }
    }
}

/// A text that is not empty.
fn text<'a>(config: &'a Value, pointer: &str) -> Option<&'a str> {
    config.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// One Secret has the tokens of all servers, each under the server's address.
fn wavefront(config: &Value) -> Credentials {
    let key = text(config, "/address").unwrap_or_default().to_owned();
    Credentials {
        namespace: SecretNamespace::Controller,
        name: "wavefront-api-tokens".to_owned(),
        field: "address",
        keys: vec![CredentialKey { key, ..CredentialKey::secret("token") }],
    }
}

/// A Secret that the template names may be in the run's namespace. The environment counts only before the default Secret.
fn datadog(config: &Value) -> Credentials {
    let named = text(config, "/secretRef/name");
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
    fn a_profile_is_a_secret_of_the_controllers_namespace() {
        for (provider, default) in [("influxdb", "influxdb"), ("newRelic", "newrelic")] {
            let controller = SecretNamespace::Controller;
            assert_eq!(place(provider, json!({})), (controller, default.to_owned()));
            assert_eq!(place(provider, json!({ "profile": "mine" })), (controller, "mine".to_owned()));
        }
    }

    #[test]
    fn the_token_of_wavefront_is_found_by_the_servers_address() {
        let credentials = Credentials::of("wavefront", &json!({ "address": "example.wavefront.com" })).unwrap();

        assert_eq!(credentials.name, "wavefront-api-tokens");
        let keys: Vec<_> = credentials.keys.iter().map(|key| (key.name, key.key.as_str())).collect();
        assert_eq!(keys, [("token", "example.wavefront.com")]);
    }

    #[test]
    fn what_is_not_secret_is_shown_to_the_provider() {
        let shown = |provider: &str| {
            let keys = Credentials::of(provider, &json!({})).unwrap().keys;
            keys.into_iter().filter(|key| key.kind == CredentialKind::Setting).map(|key| key.name).collect::<Vec<_>>()
        };

        assert_eq!(shown("influxdb"), ["org"]);
        assert_eq!(shown("newRelic"), ["account-id", "region"]);
        assert_eq!(shown("datadog"), [""; 0]);
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
