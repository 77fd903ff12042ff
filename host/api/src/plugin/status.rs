//! `status` of a Plugin.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of the only condition: the component of the spec is served.
pub const READY: &str = "Ready";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginStatus {
    /// `metadata.generation` of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Kinds of the served component: strategy, analyzer, enricher, step, condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// The version that it reports.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Its imports: only the log and types are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// Digest of the served component: `sha256:` and hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The digest of the manifest that the image's tag was resolved to, once: `sha256:` and hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resolved: String,
    /// The image, with its tag, that `resolved` belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resolved_image: String,
    /// Rollouts and templates that name it.
    pub users: i32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Why a Plugin is ready or not. If it is not, the previous component is still served, unless the reason says
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginReason {
    /// The component of the spec is served.
    Serving,
    InvalidSpec,
    /// An image without a digest, and tags are not allowed.
    DigestRequired,
    /// The fetched bytes do not have the digest.
    DigestMismatch,
    /// No trusted key has signed it.
    Unsigned,
    /// The source is temporarily unavailable.
    SourceUnavailable,
    /// The source denies access, or does not have it.
    SourceRefused,
    /// It has imports that are not allowed, is not a plugin, or cannot describe itself.
    Refused,
    /// It could not be compiled within its limits.
    CompileFailed,
    /// It rejects a configuration that is in use.
    ConfigRejected,
    /// Another Plugin already serves one of the names.
    NameTaken,
    /// It is being deleted: it is not served, and it is removed once no object names it.
    Deleting,
}

impl PluginReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::InvalidSpec => "InvalidSpec",
            Self::DigestRequired => "DigestRequired",
            Self::DigestMismatch => "DigestMismatch",
            Self::Unsigned => "Unsigned",
            Self::SourceUnavailable => "SourceUnavailable",
            Self::SourceRefused => "SourceRefused",
            Self::Refused => "Refused",
            Self::CompileFailed => "CompileFailed",
            Self::ConfigRejected => "ConfigRejected",
            Self::NameTaken => "NameTaken",
            Self::Deleting => "Deleting",
        }
    }
}
