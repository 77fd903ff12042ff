//! `status.kulta`: what KULTA remembers of a rollout beside Argo's status. All of it is small and bounded.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outbox::OutboxEntry;

/// Entries of the decision log that are kept: enough to explain the step at hand and the ones before it.
pub const DECISION_LOG_LENGTH: usize = 8;

/// Characters of a failure's reason that are kept until its events are stored, which have room for fewer.
pub const FAILURE_CHARS: usize = 160;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KultaStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<KultaPhase>,
    /// Number of the last transition; rises in the very patch that stores one.
    pub sequence: u64,
    /// Transitions whose CDEvent has not been delivered yet, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxEntry>,
    /// `progressed` events given up because the outbox was full.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// The transition that began the revision in progress; its event id names the chain.
    pub revision_sequence: u64,
    /// When the current step began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Time>,
    /// Traffic has reached the canary in this revision.
    pub exposed: bool,
    /// Since when requests reach this revision and no other by way of the canary's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving_since: Option<Time>,
    /// Full promotion has begun and been told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub promoting: bool,
    /// Hash of the revision whose traffic is still being taken back to stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restoring: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// What was said of the failure; at most [`FAILURE_CHARS`] characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Sequence of the transition that told of the failed analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_cause: Option<u64>,
    /// Why the last decisions were taken, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionEntry>,
    /// The strategy's own memory, as hex.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub memory: String,
    /// The components that the revision in progress began with, by `<kind>/<name>`: `built-in`, or `sha256:` and hex.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, String>,
    /// Answers in a row that the strategy plugin failed to give.
    #[serde(skip_serializing_if = "is_zero")]
    pub plugin_failures: u64,
    /// The canary's share with which the last completed step ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_weight: Option<u32>,
    /// The background analysis for which the rollout paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_run: Option<InconclusiveRun>,
    /// When the strategy plugin, which failed, is asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_retry_at: Option<Time>,
}

/// A background analysis that is inconclusive and for which the rollout paused. Once the status has no pause condition
/// `InconclusiveAnalysisRun`, a user has promoted past it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InconclusiveRun {
    /// Of the AnalysisRun.
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

/// Why an update failed: the values proposed for CDEvents' deployment events.
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
    /// The canary's share that was asked for, in parts of the maximum weight.
    pub weight: u32,
    pub reason: String,
}

impl KultaStatus {
    /// Adds to the decision log, unless the last entry says the same.
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
