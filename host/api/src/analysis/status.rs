//! `status` of an AnalysisRun.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize};

use crate::status::{is_false, is_zero};

/// Of a run, of a metric and of a single measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AnalysisPhase {
    Pending,
    Running,
    Successful,
    Failed,
    Error,
    Inconclusive,
}

impl AnalysisPhase {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
        }
    }

    /// True if it is final.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Severity: the worst metric determines the run's phase.
    #[must_use]
    pub const fn severity(self) -> u8 {
        match self {
            Self::Successful => 0,
            Self::Running => 1,
            Self::Pending => 2,
            Self::Inconclusive => 3,
            Self::Error => 4,
            Self::Failed => 5,
        }
    }
}

impl std::fmt::Display for AnalysisPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Absent numbers are zero, absent texts are empty, as with Argo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisRunStatus {
    /// Absent before the run's first reconciliation; Argo's controller creates runs with an empty text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "phase_or_empty")]
    pub phase: Option<AnalysisPhase>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_results: Vec<MetricResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// The metrics that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_summary: Option<RunSummary>,
    /// The metrics in dry-run mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

fn phase_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AnalysisPhase>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if text.is_empty() { Ok(None) } else { AnalysisPhase::deserialize(text.into_deserializer()).map(Some) }
}

/// The number of metrics in all and by result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunSummary {
    #[serde(skip_serializing_if = "is_zero")]
    pub count: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub successful: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub inconclusive: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub error: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricResult {
    pub name: String,
    pub phase: AnalysisPhase,
    /// The last ones, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Measurements without errors: successful, failed and inconclusive ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: i32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub successful: i32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: i32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inconclusive: i32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub error: i32,
    /// Consecutive errors up to now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub consecutive_error: i32,
    /// Consecutive successful measurements up to now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub consecutive_success: i32,
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// The provider's data about the metric as a whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl MetricResult {
    /// For a metric whose first measurement is in progress.
    #[must_use]
    pub fn new(name: &str, dry_run: bool) -> Self {
        Self {
            name: name.to_owned(),
            phase: AnalysisPhase::Running,
            measurements: Vec::new(),
            message: String::new(),
            count: 0,
            successful: 0,
            failed: 0,
            inconclusive: 0,
            error: 0,
            consecutive_error: 0,
            consecutive_success: 0,
            dry_run,
            metadata: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    pub phase: AnalysisPhase,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Absent while the value is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Time of the next call for a measurement in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Time>,
}

impl AnalysisRunStatus {
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.phase.is_some_and(AnalysisPhase::is_completed)
    }

    #[must_use]
    pub fn result(&self, metric: &str) -> Option<&MetricResult> {
        self.metric_results.iter().find(|result| result.name == metric)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_argos_controller_created_has_no_phase_yet() {
        let status: AnalysisRunStatus =
            serde_json::from_value(json!({ "phase": "", "runSummary": {}, "dryRunSummary": {} })).unwrap();

        assert_eq!(status.phase, None);
    }

    #[test]
    fn an_unknown_phase_is_rejected() {
        assert!(serde_json::from_value::<AnalysisRunStatus>(json!({ "phase": "Odd" })).is_err());
    }

    #[test]
    fn a_measurement_keeps_argos_field_names() {
        let written = json!({
            "phase": "Running", "startedAt": "2026-03-04T05:06:07Z", "resumeAt": "2026-03-04T05:07:07Z",
            "metadata": { "job": "a" },
        });

        let read: Measurement = serde_json::from_value(written.clone()).unwrap();

        assert_eq!(serde_json::to_value(read).unwrap(), written);
    }
}
