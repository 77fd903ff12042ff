//! `status.kulta`: KULTA's own record of a rollout, in addition to Argo's status. All of it is small and bounded.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outbox::OutboxEntry;

/// Entries of the decision log: enough to explain the current step and the ones before it.
pub const DECISION_LOG_LENGTH: usize = 8;

/// Characters of a failure's reason that are stored until its events are; events have room for fewer.
pub const FAILURE_CHARS: usize = 160;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KultaStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<KultaPhase>,
    /// Number of the last transition; incremented by the patch that stores a transition.
    pub sequence: u64,
    /// Transitions whose CDEvent has not been delivered yet, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxEntry>,
    /// Number of `progressed` events that were dropped because the outbox was full.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// The transition that began the revision in progress; its event id is the chain id.
    pub revision_sequence: u64,
    /// When the current step began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Time>,
    /// Traffic has reached the canary in this revision.
    pub exposed: bool,
    /// Time since which the canary's Service sends requests to this revision alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving_since: Option<Time>,
    /// Full promotion has begun and its event is stored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub promoting: bool,
    /// Hash of the revision whose traffic is being shifted back to stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restoring: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// The reason of the failure; at most [`FAILURE_CHARS`] characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Sequence of the transition that reported the failed analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_cause: Option<u64>,
    /// Reasons of the last decisions, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionEntry>,
    /// The strategy's own state, as hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub memory: String,
    /// The components that the revision in progress began with, by `<kind>/<name>`: `built-in`, or `sha256:` and hex.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, String>,
    /// Consecutive failed calls of the strategy plugin.
    #[serde(skip_serializing_if = "is_zero")]
    pub plugin_failures: u64,
    /// The canary's share at the end of the last completed step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_weight: Option<u32>,
    /// The background analysis for which the rollout paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_run: Option<InconclusiveRun>,
    /// Time of the next call of the strategy plugin after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_retry_at: Option<Time>,
}

/// An inconclusive background analysis for which the rollout paused. If the status has no pause condition
/// `InconclusiveAnalysisRun` any more, a user has promoted the rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InconclusiveRun {
    /// Name of the AnalysisRun.
    pub name: String,
    /// Index of the step of the pause.
    pub step: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KultaPhase {
    Initializing,
    Progressing,
    Paused,
    Completed,
    Failed,
}

/// Why an update failed: the values that are proposed for CDEvents' deployment events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    Analysis,
    Gate,
    Deployment,
    Evaluation,
}

impl FailureKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Gate => "gate",
            Self::Deployment => "deployment",
            Self::Evaluation => "evaluation",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionEntry {
    pub time: Time,
    pub step: u32,
    /// The canary's desired share, in parts of the maximum weight.
    pub weight: u32,
    pub reason: String,
}

impl KultaStatus {
    /// Appends to the decision log, unless it equals the last entry.
    pub fn record_decision(&mut self, entry: DecisionEntry) {
        let same = self
            .decisions
            .last()
            .is_some_and(|last| last.step == entry.step && last.weight == entry.weight && last.reason == entry.reason);
        if same {
            return;
        }
        self.decisions.push(entry);
        let excess = self.decisions.len().saturating_sub(DECISION_LOG_LENGTH);
        self.decisions.drain(..excess);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
