//! The `experiment` step (`reference/argo-rollouts.md` section 1.2), and the Experiment kind (section 1.7), which is stored and not run.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::analysis::{AnalysisArgument, DryRun, RunMetadata};
use crate::strategy::PodMetadata;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStep {
    pub templates: Vec<ExperimentTemplate>,
    /// Text such as `30s`, `5m`, `1h`; default: until the analyses end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Seconds after the end of the experiment until its pods are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<ExperimentAnalysis>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<RunMetadata>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentTemplate {
    pub name: String,
    /// The pod template: `canary` or `stable`.
    pub spec_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Share of the traffic in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ExperimentService>,
}

/// Requests a Service for the template's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExperimentService {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentAnalysis {
    pub name: String,
    pub template_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_scope: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<AnalysisArgument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_for_completion: Option<bool>,
}

/// The spec of an Experiment, stored unchanged.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "Experiment",
    doc = "An Experiment of Argo Rollouts. This version of KULTA stores Experiments, so that `kubectl argo rollouts` can list them, and does not run them: a later version does.",
    plural = "experiments",
    shortname = "exp",
    namespaced,
    derive = "PartialEq",
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase", description = "Experiment status"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(transparent)]
pub struct ExperimentSpec(pub Value);

impl JsonSchema for ExperimentSpec {
    fn schema_name() -> Cow<'static, str> {
        "ExperimentSpec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}
