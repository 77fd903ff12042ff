//! The steps of a canary (`reference/argo-rollouts.md` section 1.2).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::analysis::RolloutAnalysis;
use crate::experiment::ExperimentStep;
use crate::routes::{SetHeaderRoute, SetMirrorRoute};
use crate::status::is_false;
use crate::template::Opaque;

/// One step; exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present_pause")]
    pub pause: Option<Pause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_canary_scale: Option<SetCanaryScale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<RolloutAnalysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentStep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_header_route: Option<SetHeaderRoute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_mirror_route: Option<SetMirrorRoute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<StepPlugin>,
}

/// `pause: {}` and `pause: null` are both indefinite pauses in Argo Rollouts' manifests; without the key there is no
/// pause.
fn present_pause<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Pause>, D::Error> {
    Ok(Some(Option::<Pause>::deserialize(deserializer)?.unwrap_or_default()))
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// Seconds as a number, or text such as `30s`, `5m`, `1h`; default: until promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<IntOrString>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetCanaryScale {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_traffic_weight: Option<bool>,
}

/// A step that a plugin runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StepPlugin {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Opaque>,
    /// The step counts as successful without a call of the plugin.
    #[serde(skip_serializing_if = "is_false")]
    pub disabled: bool,
}

impl StepPlugin {
    /// The plugin's configuration; default: an empty object.
    #[must_use]
    pub fn configured(&self) -> Value {
        self.config.as_ref().map_or_else(|| json!({}), |config| config.0.clone())
    }
}
