//! `strategy.blueGreen` (`reference/argo-rollouts.md` section 1.4).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::RolloutAnalysis;
use crate::foreign_status::AnalysisRunSummary;
use crate::strategy::{AntiAffinity, CanaryFields, PodMetadata};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlueGreenStrategy {
    pub active_service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_service: Option<String>,
    /// Pods of the preview before the switch; default: `spec.replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_replica_count: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_promotion_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_promotion_seconds: Option<i32>,
    /// Used when pods are restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_revision_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_scale_down_delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis: Option<RolloutAnalysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis: Option<RolloutAnalysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<AntiAffinity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_metadata: Option<PodMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_metadata: Option<PodMetadata>,
}

impl BlueGreenStrategy {
    /// The settings as fields of a canary: the active Service is the stable one, and the preview Service the canary's.
    #[must_use]
    pub fn as_fields(&self) -> CanaryFields {
        CanaryFields {
            stable_service: Some(self.active_service.clone()),
            canary_service: self.preview_service.clone().filter(|name| !name.is_empty()),
            max_unavailable: self.max_unavailable.clone(),
            anti_affinity: self.anti_affinity.clone(),
            canary_metadata: self.preview_metadata.clone(),
            stable_metadata: self.active_metadata.clone(),
            scale_down_delay_seconds: self.scale_down_delay_seconds,
            scale_down_delay_revision_limit: self.scale_down_delay_revision_limit,
            abort_scale_down_delay_seconds: self.abort_scale_down_delay_seconds,
            ..CanaryFields::default()
        }
    }
}

/// `status.blueGreen` (section 2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlueGreenStatus {
    /// Hash of the revision that the preview Service selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_selector: Option<String>,
    /// Hash of the revision that the active Service selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_selector: Option<String>,
    /// The preview has been judged and grows to all pods, although `previewReplicaCount` is smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up_preview_check_point: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<AnalysisRunSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<AnalysisRunSummary>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_active_service_is_the_stable_one_and_the_preview_service_the_canarys() {
        let strategy: BlueGreenStrategy =
            serde_json::from_value(json!({ "activeService": "live", "previewService": "next" })).unwrap();

        let fields = strategy.as_fields();

        assert_eq!((fields.stable_service.as_deref(), fields.canary_service.as_deref()), (Some("live"), Some("next")));
    }

    #[test]
    fn an_empty_preview_service_is_none() {
        let strategy: BlueGreenStrategy =
            serde_json::from_value(json!({ "activeService": "live", "previewService": "" })).unwrap();

        assert_eq!(strategy.as_fields().canary_service, None);
    }
}
