//! Conditions with Argo's types, reasons and messages (`reference/argo-rollouts.md` section 2; upstream
//! `utils/conditions/conditions.go`). GitOps health checks and notifications read them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutCondition {
    /// A [`ConditionType`], as text: another controller may have written a type that this build does not know.
    #[serde(rename = "type")]
    pub kind: String,
    pub status: ConditionStatus,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
    pub last_update_time: Time,
    pub last_transition_time: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    InvalidSpec,
    Available,
    Progressing,
    ReplicaFailure,
    Paused,
    Completed,
    Healthy,
    /// KULTA's: false if something outside the rollout blocks the traffic; absent without traffic routing.
    TrafficReady,
    /// KULTA's: false if a call of the strategy plugin failed.
    StrategyReady,
    /// KULTA's: the CRD prunes what KULTA adds to the API.
    RecordKept,
}

impl ConditionType {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::ReplicaFailure => "ReplicaFailure",
            Self::Paused => "Paused",
            Self::Completed => "Completed",
            Self::Healthy => "Healthy",
            Self::TrafficReady => "TrafficReady",
            Self::StrategyReady => "StrategyReady",
            Self::RecordKept => "RecordKept",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionReason {
    InvalidSpec,
    Available,
    ReplicaSetUpdated,
    NewReplicaSetCreated,
    FoundNewReplicaSet,
    NewReplicaSetAvailable,
    ReplicaSetNotAvailable,
    ReplicaSetCreateError,
    RolloutPaused,
    RolloutResumed,
    RolloutAborted,
    RolloutRetry,
    RolloutCompleted,
    RolloutHealthy,
    ProgressDeadlineExceeded,
    FailedCreate,
    RoutesAccepted,
    RouteNotFound,
    BackendRefNotFound,
    RouteForbidden,
    RouteNotAccepted,
    RouteStatusUnversioned,
    RouteStatusWithoutPort,
    RouteConflict,
    ForeignWeight,
    ManagedRouteConflict,
    ManagedRouteLimit,
    ManagedRouteNotStored,
    GatewayApiNotInstalled,
    StrategyAnswers,
    PluginFailed,
    PluginTrapped,
    PluginDeadlineExceeded,
    PluginOutOfMemory,
    PluginBadAnswer,
    PluginInvalidConfig,
    PluginRefused,
    PluginUnknown,
    PluginUnavailable,
    PluginDigestGone,
    Pruned,
}

impl ConditionReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            // Argo's own spelling.
            Self::Available => "AvailableReason",
            Self::ReplicaSetUpdated => "ReplicaSetUpdated",
            Self::NewReplicaSetCreated => "NewReplicaSetCreated",
            Self::FoundNewReplicaSet => "FoundNewReplicaSet",
            Self::NewReplicaSetAvailable => "NewReplicaSetAvailable",
            Self::ReplicaSetNotAvailable => "ReplicaSetNotAvailable",
            Self::ReplicaSetCreateError => "ReplicaSetCreateError",
            Self::RolloutPaused => "RolloutPaused",
            Self::RolloutResumed => "RolloutResumed",
            Self::RolloutAborted => "RolloutAborted",
            Self::RolloutRetry => "RolloutRetry",
            Self::RolloutCompleted => "RolloutCompleted",
            Self::RolloutHealthy => "RolloutHealthy",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::FailedCreate => "FailedCreate",
            Self::RoutesAccepted => "RoutesAccepted",
            Self::RouteNotFound => "RouteNotFound",
            Self::BackendRefNotFound => "BackendRefNotFound",
            Self::RouteForbidden => "RouteForbidden",
            Self::RouteNotAccepted => "RouteNotAccepted",
            Self::RouteStatusUnversioned => "RouteStatusUnversioned",
            Self::RouteStatusWithoutPort => "RouteStatusWithoutPort",
            Self::RouteConflict => "RouteConflict",
            Self::ForeignWeight => "ForeignWeight",
            Self::ManagedRouteConflict => "ManagedRouteConflict",
            Self::ManagedRouteLimit => "ManagedRouteLimit",
            Self::ManagedRouteNotStored => "ManagedRouteNotStored",
            Self::GatewayApiNotInstalled => "GatewayApiNotInstalled",
            Self::StrategyAnswers => "StrategyAnswers",
            Self::PluginFailed => "PluginFailed",
            Self::PluginTrapped => "PluginTrapped",
            Self::PluginDeadlineExceeded => "PluginDeadlineExceeded",
            Self::PluginOutOfMemory => "PluginOutOfMemory",
            Self::PluginBadAnswer => "PluginBadAnswer",
            Self::PluginInvalidConfig => "PluginInvalidConfig",
            Self::PluginRefused => "PluginRefused",
            Self::PluginUnknown => "PluginUnknown",
            Self::PluginUnavailable => "PluginUnavailable",
            Self::PluginDigestGone => "PluginDigestGone",
            Self::Pruned => "Pruned",
        }
    }
}

/// The condition of that type.
#[must_use]
pub fn find(conditions: &[RolloutCondition], kind: ConditionType) -> Option<&RolloutCondition> {
    conditions.iter().find(|condition| condition.kind == kind.as_str())
}

/// Sets a condition. Times change only with the content: `lastTransitionTime` with the status, `lastUpdateTime` with
/// any field.
pub fn set(
    conditions: &mut Vec<RolloutCondition>,
    kind: ConditionType,
    status: ConditionStatus,
    reason: ConditionReason,
    message: &str,
    now: &Time,
) {
    let existing = conditions.iter_mut().find(|condition| condition.kind == kind.as_str());
    let Some(existing) = existing else {
        conditions.push(RolloutCondition {
            kind: kind.as_str().to_owned(),
            status,
            reason: reason.as_str().to_owned(),
            message: message.to_owned(),
            last_update_time: now.clone(),
            last_transition_time: now.clone(),
        });
        return;
    };
    if existing.status == status && existing.reason == reason.as_str() && existing.message == message {
        return;
    }
    if existing.status != status {
        existing.last_transition_time = now.clone();
    }
    existing.status = status;
    reason.as_str().clone_into(&mut existing.reason);
    message.clone_into(&mut existing.message);
    existing.last_update_time = now.clone();
}

pub fn remove(conditions: &mut Vec<RolloutCondition>, kind: ConditionType) {
    conditions.retain(|condition| condition.kind != kind.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn an_unchanged_condition_keeps_its_times() {
        let mut conditions = Vec::new();
        let say = |conditions: &mut Vec<_>, now: &Time| {
            set(
                conditions,
                ConditionType::Healthy,
                ConditionStatus::True,
                ConditionReason::RolloutHealthy,
                "fine",
                now,
            );
        };
        say(&mut conditions, &at(1));
        let before = conditions.clone();

        say(&mut conditions, &at(2));

        assert_eq!(conditions, before);
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let mut conditions = Vec::new();
        let kind = ConditionType::Progressing;
        set(&mut conditions, kind, ConditionStatus::True, ConditionReason::ReplicaSetUpdated, "a", &at(1));

        set(&mut conditions, kind, ConditionStatus::True, ConditionReason::NewReplicaSetAvailable, "b", &at(2));

        assert_eq!((&conditions[0].last_update_time, &conditions[0].last_transition_time), (&at(2), &at(1)));
    }
}
