//! Plugin (`kulta.io/v1alpha1`, cluster scope): a component that an admin lets KULTA run, and what it may do.

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

/// The kind's name and group, as owners and events write them.
pub const KIND: &str = "Plugin";
pub const API_VERSION: &str = "kulta.io/v1alpha1";

#[allow(clippy::duplicated_attributes, reason = "the columns of `kubectl get` are described alike")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kulta.io",
    version = "v1alpha1",
    kind = "Plugin",
    doc = "A WebAssembly component that KULTA may ask, where it comes from and what it may do.",
    plural = "plugins",
    status = "PluginStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Kinds",
        type_ = "string",
        json_path = ".status.kinds",
        description = "What it can be asked for"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "What it says of itself"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the component that the spec names is served"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why, or why not"
    ),
    printcolumn(
        name = "Users",
        type_ = "integer",
        json_path = ".status.users",
        description = "Rollouts and templates that name it"
    ),
    printcolumn(
        name = "Digest",
        type_ = "string",
        json_path = ".status.digest",
        priority = 1,
        description = "What is served"
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
    /// Names that it answers to, such as Argo's `argoproj-labs/sample`; its own name when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// `sha256:` and hex: of the image's manifest for `oci`, of the component's bytes for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(skip_serializing_if = "PluginLimits::is_empty")]
    pub limits: PluginLimits,
    /// Where it may have requests sent. None: nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// A configuration, as JSON; what a user writes goes over it, field by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Opaque>,
    /// For enrichers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrich: Option<Enrich>,
    /// For step plugins: the steps that name it are skipped.
    #[serde(skip_serializing_if = "crate::status::is_false")]
    pub disabled: bool,
}

/// Exactly one of them.
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

/// A key of a ConfigMap, under `binaryData`. A ConfigMap holds 1 MiB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapSource {
    pub namespace: String,
    pub name: String,
    pub key: String,
}

/// What one call, and one measurement, enrichment or step, may use. Absent: the default, and never more than the controller's own limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginLimits {
    /// Memory of one call, such as `64Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Computing time of one call, such as `1s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Requests of one measurement, enrichment or round of a step.
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

/// Requests to one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Grant {
    /// `https://host[:port][/path]`; the host is compared whole, the path by whole segments.
    pub url_prefix: String,
    /// Headers that the host adds to these requests; the plugin does not see them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_from: Vec<HeaderFrom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<GrantTls>,
}

/// A header whose value is a key of a Secret in the controller's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderFrom {
    /// Of the header, such as `Authorization`.
    pub name: String,
    /// What stands before the Secret's value, such as `Bearer `.
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
    /// Takes whatever certificate the server shows.
    #[serde(skip_serializing_if = "crate::status::is_false")]
    pub insecure_skip_verify: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Enrich {
    /// Enrichers add to an event in this order, smallest first, then by name.
    pub order: i32,
}

impl Plugin {
    /// The names that it answers to.
    #[must_use]
    pub fn serves(&self) -> Vec<String> {
        if self.spec.serves.is_empty() {
            return self.metadata.name.iter().cloned().collect();
        }
        self.spec.serves.clone()
    }
}
