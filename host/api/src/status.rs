//! `status` (`reference/argo-rollouts.md` section 2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blue_green::BlueGreenStatus;
use crate::conditions::RolloutCondition;
use crate::foreign_status::{AlbStatus, AnalysisRunSummary, StepPluginStatus};
use crate::kulta_status::KultaStatus;

/// Absent numbers are zero, absent texts are empty, as with Argo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// A user or the deadline aborted the update.
    #[serde(skip_serializing_if = "is_false")]
    pub abort: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pause_conditions: Vec<PauseCondition>,
    /// The controller set the pause. If there is no pause condition any more, a user has promoted the rollout.
    #[serde(skip_serializing_if = "is_false")]
    pub controller_pause: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_pod_hash: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_step_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    #[serde(rename = "stableRS", skip_serializing_if = "String::is_empty")]
    pub stable_rs: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub replicas: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub updated_replicas: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i32,
    /// The pods that a HorizontalPodAutoscaler counts.
    #[serde(rename = "HPAReplicas", skip_serializing_if = "is_zero")]
    pub hpa_replicas: i32,
    /// `spec.selector` as text, for the scale subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// A number as text, as Argo's readers expect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub observed_generation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_observed_generation: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RolloutCondition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// A user has skipped the remaining steps.
    #[serde(skip_serializing_if = "is_false")]
    pub promote_full: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    #[serde(skip_serializing_if = "CanaryStatus::is_empty")]
    pub canary: CanaryStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<AlbStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub albs: Vec<AlbStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<RolloutDuration>,
    /// KULTA's own record; Argo's stock CRD prunes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kulta: Option<KultaStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    Healthy,
    Degraded,
    Progressing,
    Paused,
}

impl RolloutPhase {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseCondition {
    pub reason: PauseReason,
    pub start_time: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PauseReason {
    CanaryPauseStep,
    BlueGreenPause,
    InconclusiveAnalysisRun,
    InconclusiveExperiment,
}

impl PauseReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CanaryPauseStep => "CanaryPauseStep",
            Self::BlueGreenPause => "BlueGreenPause",
            Self::InconclusiveAnalysisRun => "InconclusiveAnalysisRun",
            Self::InconclusiveExperiment => "InconclusiveExperiment",
        }
    }

    /// A pause that only a user can end takes precedence over a pause of the steps.
    const fn rank(self) -> u8 {
        match self {
            Self::InconclusiveAnalysisRun => 0,
            Self::InconclusiveExperiment => 1,
            Self::BlueGreenPause => 2,
            Self::CanaryPauseStep => 3,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    /// The weights that the data plane last confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<TrafficWeights>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<AnalysisRunSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<AnalysisRunSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_experiment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_ping_pong: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub step_plugin_statuses: Vec<StepPluginStatus>,
}

impl CanaryStatus {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficWeights {
    pub canary: WeightDestination,
    pub stable: WeightDestination,
    /// Shares of further ReplicaSets, such as an experiment's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional: Vec<WeightDestination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightDestination {
    /// Parts of the maximum weight.
    pub weight: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_template_hash: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutDuration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_pause_started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_manual_pause_duration_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_status: Option<CompletionStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompletionStatus {
    Promoted,
    FastPromoted,
    Aborted,
    Superseded,
    RolledBack,
    FastRolledBack,
}

impl RolloutStatus {
    /// True for a pause that the controller began and a user ended: `promote` leaves this state
    /// (`reference/argo-rollouts.md` section 2, "Verbs as writes").
    #[must_use]
    pub fn pause_lifted(&self) -> bool {
        self.controller_pause && self.pause_conditions.is_empty()
    }

    /// The pause of highest precedence, whichever began first.
    #[must_use]
    pub fn most_important_pause(&self) -> Option<&PauseCondition> {
        self.pause_conditions.iter().min_by_key(|condition| condition.reason.rank())
    }

    #[must_use]
    pub fn pause(&self, reason: PauseReason) -> Option<&PauseCondition> {
        self.pause_conditions.iter().find(|condition| condition.reason == reason)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_zero(value: &i32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_keeps_argos_field_names() {
        let status = RolloutStatus {
            stable_rs: "abc".into(),
            hpa_replicas: 2,
            observed_generation: "3".into(),
            ..RolloutStatus::default()
        };

        let written = serde_json::to_value(status).unwrap();

        assert_eq!(written, json!({ "stableRS": "abc", "HPAReplicas": 2, "observedGeneration": "3" }));
    }

    #[test]
    fn a_controller_pause_without_a_pause_condition_was_ended_by_a_user() {
        let status = RolloutStatus { controller_pause: true, ..RolloutStatus::default() };

        assert!(status.pause_lifted());
    }
}
