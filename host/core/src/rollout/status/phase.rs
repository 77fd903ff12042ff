//! The phase, in Argo's order and with Argo's messages, followed by the objects that the rollout waits for
//! (`reference/argo-rollouts.md` section 2, "Phase order").

use kulta_api::conditions::ConditionReason;
use kulta_api::{ConditionType, RolloutPhase, RolloutSpec, RolloutStatus};

use super::waits::Wait;

pub(super) fn of(spec: &RolloutSpec, status: &RolloutStatus, wait: Option<&Wait>) -> (RolloutPhase, String) {
    for condition in &status.conditions {
        if condition.kind == ConditionType::InvalidSpec.as_str() {
            return (RolloutPhase::Degraded, format!("InvalidSpec: {}", condition.message));
        }
        let degraded = [ConditionReason::RolloutAborted.as_str(), ConditionReason::ProgressDeadlineExceeded.as_str()];
        if degraded.contains(&condition.reason.as_str()) {
            return (RolloutPhase::Degraded, format!("{}: {}", condition.reason, condition.message));
        }
    }
    if spec.paused() {
        return (RolloutPhase::Paused, "manually paused".to_owned());
    }
    if let Some(pause) = status.most_important_pause() {
        return (RolloutPhase::Paused, pause.reason.as_str().to_owned());
    }
    let progressing = |why: &str| (RolloutPhase::Progressing, why.to_owned());
    if spec.restart_at.is_some() && spec.restart_at != status.restarted_at {
        return progressing("rollout is restarting");
    }
    let pods = match wait {
        Some(Wait::Routes(text)) => return progressing(&format!("waiting for traffic routing: {text}")),
        Some(Wait::Runs(text)) => return progressing(&format!("waiting for {text}")),
        Some(Wait::Pods(text)) => format!(": {text}"),
        None => String::new(),
    };
    if status.updated_replicas < i32::try_from(spec.replicas()).unwrap_or(i32::MAX) {
        return progressing(&format!("more replicas need to be updated{pods}"));
    }
    if status.available_replicas < status.updated_replicas {
        return progressing(&format!("updated replicas are still becoming available{pods}"));
    }
    if spec.strategy.blue_green.is_some() {
        let active = status.blue_green.as_ref().and_then(|blue_green| blue_green.active_selector.as_deref());
        if active != Some(status.current_pod_hash.as_str()) {
            return progressing("active service cutover pending");
        }
        if status.stable_rs != status.current_pod_hash {
            return progressing("waiting for analysis to complete");
        }
        return (RolloutPhase::Healthy, String::new());
    }
    let routed = spec.strategy.fields().is_some_and(|fields| fields.traffic_routing.is_some());
    if !routed && status.replicas > status.updated_replicas {
        return progressing("old replicas are pending termination");
    }
    if status.stable_rs.is_empty() || status.stable_rs != status.current_pod_hash {
        return progressing("waiting for all steps to complete");
    }
    (RolloutPhase::Healthy, String::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    fn phase(strategy: serde_json::Value, status: serde_json::Value) -> (RolloutPhase, String) {
        of(&fixtures::rollout(strategy).spec, &serde_json::from_value(status).unwrap(), None)
    }

    fn condition(kind: &str, reason: &str) -> serde_json::Value {
        json!({ "type": kind, "status": "False", "reason": reason, "message": "m",
            "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z" })
    }

    #[test]
    fn an_aborted_update_is_degraded_before_anything_else() {
        let status = json!({ "conditions": [condition("Progressing", "RolloutAborted")],
            "pauseConditions": [{ "reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z" }] });

        assert_eq!(phase(json!({ "canary": {} }), status), (RolloutPhase::Degraded, "RolloutAborted: m".into()));
    }

    #[test]
    fn a_pause_step_is_named() {
        let status =
            json!({ "pauseConditions": [{ "reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z" }] });

        assert_eq!(phase(json!({ "canary": {} }), status), (RolloutPhase::Paused, "CanaryPauseStep".into()));
    }

    #[test]
    fn an_inconclusive_analysis_is_named_before_the_step_that_was_paused_first() {
        let pause = |reason: &str| json!({ "reason": reason, "startTime": "2026-01-01T00:00:00Z" });

        for other in ["CanaryPauseStep", "BlueGreenPause"] {
            for inconclusive in ["InconclusiveAnalysisRun", "InconclusiveExperiment"] {
                let status = json!({ "pauseConditions": [pause(other), pause(inconclusive)] });

                assert_eq!(phase(json!({ "canary": {} }), status).1, inconclusive, "beside {other}");
            }
        }
    }

    #[test]
    fn old_pods_keep_a_canary_without_routes_progressing() {
        let status = json!({ "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2, "stableRS": "a", "currentPodHash": "a" });

        let phases = [json!({ "canary": {} }), json!({ "canary": { "trafficRouting": {} } })]
            .map(|strategy| phase(strategy, status.clone()).0);

        assert_eq!(phases, [RolloutPhase::Progressing, RolloutPhase::Healthy]);
    }

    #[test]
    fn a_revision_that_is_not_stable_yet_waits_for_its_steps() {
        let status = json!({ "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "stableRS": "a", "currentPodHash": "b" });

        assert_eq!(phase(json!({ "canary": {} }), status).1, "waiting for all steps to complete");
    }
}
