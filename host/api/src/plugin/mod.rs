//! Plugin (`kulta.io/v1alpha1`, cluster scope): a component that an admin lets KULTA run, and its permissions.

mod limits;
mod status;

pub use limits::{
    LimitError, Limits, MAX_MEMORY_BYTES, MAX_REQUESTS, MAX_RESPONSE_BYTES, MAX_TIME_MILLIS, parse_bytes,
};
pub use status::{PluginReason, PluginStatus, READY};

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::Opaque;

/// The kind's name and group, as in owner references and events.
pub const KIND: &str = "Plugin";
pub const API_VERSION: &str = "kulta.io/v1alpha1";

#[allow(clippy::duplicated_attributes, reason = "the columns of `kubectl get` are described alike")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kulta.io",
    version = "v1alpha1",
    kind = "Plugin",
    doc = "A WebAssembly component that KULTA may call, its source and its permissions.",
    plural = "plugins",
    status = "PluginStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Kinds",
        type_ = "string",
        json_path = ".status.kinds",
        description = "Kinds of plugins that the component implements"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "Version that the component reports"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the component of the spec is served"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Reason of the readiness"
    ),
    printcolumn(
        name = "Users",
        type_ = "integer",
        json_path = ".status.users",
        description = "Number of Rollouts and templates that name it"
    ),
    printcolumn(
        name = "Digest",
        type_ = "string",
        json_path = ".status.digest",
        priority = 1,
        description = "Digest of the served component"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginSpec {
    pub source: PluginSource,
    /// Names under which it is served, such as Argo's `argoproj-labs/sample`; default: its own name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// `sha256:` and hex: digest of the image's manifest for `oci`, of the component's bytes for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(skip_serializing_if = "PluginLimits::is_empty")]
    pub limits: PluginLimits,
    /// URLs that it may request. If empty, none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Defaults for the user's configuration, as JSON; the user's values override it field by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Opaque>,
    /// For enrichers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrich: Option<Enrich>,
    /// For step plugins: the steps that name it are skipped.
    #[serde(skip_serializing_if = "crate::status::is_false")]
    pub disabled: bool,
}

/// Exactly one of them is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    /// A file in the controller's own file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
}

/// A CNCF Wasm artifact in a registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OciSource {
    /// `registry/repository`, with a tag or a digest or neither.
    pub image: String,
    /// Secrets of type kubernetes.io/dockerconfigjson in the controller's namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<LocalSecret>,
}

/// A Secret in the controller's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalSecret {
    pub name: String,
}

/// A key of a ConfigMap, under `binaryData`. A ConfigMap can contain 1 MiB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapSource {
    pub namespace: String,
    pub name: String,
    pub key: String,
}

/// Limits of one call, and of one measurement, enrichment or step. They cannot exceed the controller's own limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginLimits {
    /// Memory of one call, such as `64Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Computing time of one call, such as `1s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Requests of one measurement, enrichment or call of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<i32>,
    /// Size of one answer to a request, such as `1Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<String>,
}

impl PluginLimits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Permission for requests below one URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Grant {
    /// `https://host[:port][/path]`; the host must be equal, the path must match by whole segments.
    pub url_prefix: String,
    /// Headers that the host adds to these requests; the plugin cannot read them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_from: Vec<HeaderFrom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<GrantTls>,
}

/// A header whose value is a key of a Secret in the controller's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderFrom {
    /// Name of the header, such as `Authorization`.
    pub name: String,
    /// Text before the Secret's value, such as `Bearer `.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    pub secret_key_ref: SecretKey,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretKey {
    pub name: String,
    pub key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrantTls {
    /// Accepts any certificate of the server.
    #[serde(skip_serializing_if = "crate::status::is_false")]
    pub insecure_skip_verify: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Enrich {
    /// Enrichers run in this order, smallest first, then by name.
    pub order: i32,
}

impl Plugin {
    /// The names under which it is served.
    #[must_use]
    pub fn serves(&self) -> Vec<String> {
        if self.spec.serves.is_empty() {
            return self.metadata.name.iter().cloned().collect();
        }
        self.spec.serves.clone()
    }
}
