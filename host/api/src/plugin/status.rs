//! What has become of a Plugin.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of the one condition: what the spec names is served.
pub const READY: &str = "Ready";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginStatus {
    /// `metadata.generation` that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the component that is served can be asked for: strategy, analyzer, enricher, step, condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What it imports: the log and types, or it would not be served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// Of the component that is served: `sha256:` and hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// What the image's tag was resolved to, once: `sha256:` and hex of its manifest.
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

/// Why a Plugin is ready, or not. Where it is not, what was served before still is, unless the reason says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginReason {
    /// The component that the spec names is served.
    Serving,
    InvalidSpec,
    /// An image without a digest, and tags are not allowed.
    DigestRequired,
    /// What was fetched is not what the digest says.
    DigestMismatch,
    /// No key that the controller trusts has signed it.
    Unsigned,
    /// The source cannot be had now.
    SourceUnavailable,
    /// The source says no, or has no such thing.
    SourceRefused,
    /// It imports what plugins may not have, is no plugin, or cannot say what it is.
    Refused,
    /// It could not be compiled within its limits.
    CompileFailed,
    /// A configuration that is in use is not one that it takes.
    ConfigRejected,
    /// Another Plugin serves one of the names already.
    NameTaken,
    /// It is being deleted: nothing of it is served, and it is gone once nobody names it.
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
