//! Parts of `status` that another controller wrote and this build stores unchanged (`reference/argo-rollouts.md`
//! section 2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::Opaque;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AnalysisRunSummary {
    pub name: String,
    /// The run's phase.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StepPluginStatus {
    /// Index of the step.
    pub index: i32,
    pub name: String,
    /// `Run`, `Terminate` or `Abort`.
    pub operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Text such as `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executions: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// The plugin's own record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Opaque>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlbStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<AwsResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_target_group: Option<AwsResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_target_group: Option<AwsResource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsResource {
    pub name: String,
    pub arn: String,
    pub full_name: String,
}
