//! The status of a Rollout, as Argo's readers expect it (upstream `utils/conditions/conditions.go`,
//! `utils/rollout/rolloututil.go`).

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{WEB, let_be_ready, said, says, text, until_paused_at};

const AVAILABLE: &str = "Rollout has minimum availability";
const NOT_AVAILABLE: &str = "Rollout does not have minimum availability";

/// The status without the parts that differ between runs: times, and KULTA's own record.
fn lasting(rollout: &DynamicObject) -> Value {
    let mut status = rollout.data.get("status").cloned().unwrap_or_default();
    if let Some(all) = status.as_object_mut() {
        for field in ["kulta", "conditions", "duration"] {
            all.remove(field);
        }
    }
    status
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_first_deploy_reports_what_it_waits_for_and_then_that_it_is_healthy() -> Result<()> {
    let scenario = Scenario::begin("status-first").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().pod_label("kulta.test/ready", "never");

    scenario.apply_canary(&canary).await?;
    let seen = scenario
        .until(&kinds::rollout(), WEB, "pods that are not available", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 2
        })
        .await?;

    let hash = text(&seen, "/status/currentPodHash");
    let progress = format!("ReplicaSet \"web-{hash}\" is progressing.");
    ensure!(says(&seen, "Progressing") == said("True", "ReplicaSetUpdated", &progress), "{:?}", seen.data);
    ensure!(says(&seen, "Available") == said("False", "AvailableReason", NOT_AVAILABLE), "{:?}", seen.data);
    ensure!(says(&seen, "Completed") == said("False", "RolloutCompleted", "RolloutCompleted"), "{:?}", seen.data);
    ensure!(says(&seen, "Healthy").is_none() && says(&seen, "Paused").is_none(), "{:?}", seen.data);
    let why =
        format!("updated replicas are still becoming available: ReplicaSet \"web-{hash}\" has 0 of 2 pods available");
    let wanted = json!({
        "phase": "Progressing", "message": why, "observedGeneration": "1",
        "currentPodHash": hash, "currentStepHash": text(&seen, "/status/currentStepHash"), "currentStepIndex": 0,
        "replicas": 2, "updatedReplicas": 2, "HPAReplicas": 2, "selector": "app=web",
    });
    ensure!(lasting(&seen) == wanted, "{}", lasting(&seen));

    let_be_ready(&scenario, WEB, usize::MAX).await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;

    let done = format!("ReplicaSet \"web-{hash}\" has successfully progressed.");
    ensure!(says(&seen, "Progressing") == said("True", "NewReplicaSetAvailable", &done), "{:?}", seen.data);
    ensure!(says(&seen, "Available") == said("True", "AvailableReason", AVAILABLE), "{:?}", seen.data);
    ensure!(says(&seen, "Completed") == said("True", "RolloutCompleted", "RolloutCompleted"), "{:?}", seen.data);
    ensure!(says(&seen, "Healthy") == said("True", "RolloutHealthy", "Rollout is healthy"), "{:?}", seen.data);
    let wanted = json!({
        "phase": "Healthy", "observedGeneration": "1",
        "currentPodHash": hash, "currentStepHash": text(&seen, "/status/currentStepHash"), "currentStepIndex": 2,
        "stableRS": hash, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "HPAReplicas": 2, "selector": "app=web",
    });
    ensure!(lasting(&seen) == wanted, "{}", lasting(&seen));
    ensure!(text(&seen, "/status/duration/completionStatus") == "Promoted", "{:?}", seen.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_paused_update_and_an_aborted_one_are_reported() -> Result<()> {
    let scenario = Scenario::begin("status-paused").await?;
    let controller = start(&scenario, None).await?;
    deployed(&scenario, &Canary::new(WEB)).await?;
    let stable = text(&scenario.get(&kinds::rollout(), WEB).await?, "/status/stableRS");
    updated(&scenario, &Canary::new(WEB)).await?;
    until_paused_at(&scenario, WEB, 1).await?;

    let seen = scenario
        .until(&kinds::rollout(), WEB, "all counts", |rollout| api::number(rollout, "/status/availableReplicas") == 3)
        .await?;

    let hash = text(&seen, "/status/currentPodHash");
    ensure!(says(&seen, "Progressing") == said("Unknown", "RolloutPaused", "Rollout is paused"), "{:?}", seen.data);
    ensure!(says(&seen, "Paused") == said("True", "RolloutPaused", "Rollout is paused"), "{:?}", seen.data);
    ensure!(says(&seen, "Completed") == said("False", "RolloutCompleted", "RolloutCompleted"), "{:?}", seen.data);
    ensure!(says(&seen, "Healthy") == said("False", "RolloutHealthy", "Rollout is not healthy"), "{:?}", seen.data);
    ensure!(says(&seen, "Available") == said("True", "AvailableReason", AVAILABLE), "{:?}", seen.data);
    let part = |weight: i32, service: &str, hash: &str| json!({"weight": weight, "serviceName": service, "podTemplateHash": hash});
    let wanted = json!({
        "phase": "Paused", "message": "CanaryPauseStep", "observedGeneration": "2", "controllerPause": true,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": text(&seen, "/status/pauseConditions/0/startTime")}],
        "currentPodHash": hash, "currentStepHash": text(&seen, "/status/currentStepHash"), "currentStepIndex": 1,
        "stableRS": stable, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3,
        "HPAReplicas": 2, "selector": "app=web",
        "canary": {"weights": {
            "canary": part(50, "web-canary", &hash), "stable": part(50, "web-stable", &stable), "verified": true}},
    });
    ensure!(lasting(&seen) == wanted, "{}", lasting(&seen));

    scenario.verbs(WEB).abort().await?;
    let seen = scenario.until_phase(WEB, "Degraded").await?;

    let message = "Rollout aborted update to revision 2";
    ensure!(says(&seen, "Progressing") == said("False", "RolloutAborted", message), "{:?}", seen.data);
    ensure!(says(&seen, "Paused") == said("False", "RolloutPaused", "Rollout is paused"), "{:?}", seen.data);
    ensure!(text(&seen, "/status/message") == format!("RolloutAborted: {message}"), "{:?}", seen.data);
    let status = lasting(&seen);
    ensure!(status["abort"] == true && status["abortedAt"].is_string(), "{status}");
    ensure!(status.get("pauseConditions").is_none() && status.get("controllerPause").is_none(), "{status}");
    ensure!(text(&seen, "/status/duration/completionStatus") == "Aborted", "{:?}", seen.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_invalid_spec_is_degraded_names_the_fields_and_recovers() -> Result<()> {
    let scenario = Scenario::begin("status-invalid").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    let bad = canary.clone().canary(json!({"maxSurge": 0, "maxUnavailable": 0}));

    scenario.apply(bad.steps(json!([{"setWeight": 250}])).rollout()).await?;

    let seen = scenario.until_phase(WEB, "Degraded").await?;
    let (status, reason, message) = says(&seen, "InvalidSpec").unwrap_or_default();
    ensure!((status.as_str(), reason.as_str()) == ("True", "InvalidSpec"), "{:?}", seen.data);
    ensure!(message.starts_with("The Rollout \"web\" is invalid: "), "{message}");
    for field in ["spec.strategy.canary.steps[0].setWeight", "spec.strategy.canary.maxSurge"] {
        ensure!(message.contains(field), "{field} is not named: {message}");
    }
    ensure!(text(&seen, "/status/message") == format!("InvalidSpec: {message}"), "{:?}", seen.data);
    scenario.apply(canary.rollout()).await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(says(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
    scenario.until_events_with("Rollout", WEB, "InvalidSpec", 1).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_completed_rollout_that_loses_a_pod_is_not_healthy_until_it_is_back() -> Result<()> {
    let scenario = Scenario::begin("status-lost").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&scenario, &canary).await?;
    let pod =
        crate::living(&scenario, WEB, "v1").await?.into_iter().next().map(|pod| crate::name(&pod)).unwrap_or_default();

    scenario.patch(&kinds::pod(), &pod, json!({"metadata": {"labels": {"kulta.test/ready": "never"}}})).await?;

    let seen = scenario
        .until(&kinds::rollout(), WEB, "Healthy to be false", |rollout| {
            says(rollout, "Healthy") == said("False", "RolloutHealthy", "Rollout is not healthy")
        })
        .await?;
    ensure!(says(&seen, "Progressing") == said("True", "ReplicaSetNotAvailable", NOT_AVAILABLE), "{:?}", seen.data);
    ensure!(says(&seen, "Completed") == said("True", "RolloutCompleted", "RolloutCompleted"), "{:?}", seen.data);
    ensure!(text(&seen, "/status/phase") == "Progressing", "{:?}", seen.data);
    scenario.patch(&kinds::pod(), &pod, json!({"metadata": {"labels": {"kulta.test/ready": null}}})).await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(says(&seen, "Healthy") == said("True", "RolloutHealthy", "Rollout is healthy"), "{:?}", seen.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn events_of_a_canary_without_routes_are_in_argos_order_each_once() -> Result<()> {
    let scenario = Scenario::begin("events").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(1).without_routing();
    let canary = canary.steps(json!([{"setWeight": 50}, {"pause": {"duration": "3s"}}]));
    deployed(&scenario, &canary).await?;
    let first = text(&scenario.get(&kinds::rollout(), WEB).await?, "/status/stableRS");

    updated(&scenario, &canary).await?;
    let second = text(&until_paused_at(&scenario, WEB, 1).await?, "/status/currentPodHash");
    scenario.verbs(WEB).abort().await?;
    scenario.until_phase(WEB, "Degraded").await?;
    crate::until_pods(&scenario, WEB, &[1, 0]).await?;
    scenario.verbs(WEB).retry().await?;
    scenario.until_phase(WEB, "Healthy").await?;

    let wanted: Vec<(String, String)> = [
        ("RolloutAddedToInformer", format!("Rollout resource added to informer: {}/{WEB}", scenario.namespace)),
        ("RolloutUpdated", "Rollout updated to revision 1".to_owned()),
        ("NewReplicaSetCreated", format!("Created ReplicaSet web-{first} (revision 1)")),
        ("RolloutNotCompleted", format!("Rollout not completed, started update to revision 1 ({first})")),
        ("ScalingReplicaSet", format!("Scaled up ReplicaSet web-{first} (revision 1) from 0 to 1")),
        ("RolloutCompleted", format!("Rollout completed update to revision 1 ({first}): Initial deploy")),
        ("RolloutUpdated", "Rollout updated to revision 2".to_owned()),
        ("NewReplicaSetCreated", format!("Created ReplicaSet web-{second} (revision 2)")),
        ("RolloutNotCompleted", format!("Rollout not completed, started update to revision 2 ({second})")),
        ("ScalingReplicaSet", format!("Scaled up ReplicaSet web-{second} (revision 2) from 0 to 1")),
        ("RolloutStepCompleted", "Rollout step 1/2 completed (setWeight: 50)".to_owned()),
        ("RolloutPaused", "Rollout is paused (CanaryPauseStep)".to_owned()),
        ("RolloutAborted", "Rollout aborted update to revision 2".to_owned()),
        ("ScalingReplicaSet", format!("Scaled down ReplicaSet web-{second} (revision 2) from 1 to 0")),
        ("RolloutRetry", "Retrying Rollout after abort".to_owned()),
        ("ScalingReplicaSet", format!("Scaled up ReplicaSet web-{second} (revision 2) from 0 to 1")),
        ("RolloutStepCompleted", "Rollout step 1/2 completed (setWeight: 50)".to_owned()),
        ("RolloutPaused", "Rollout is paused (CanaryPauseStep)".to_owned()),
        ("RolloutStepCompleted", "Rollout step 2/2 completed (pause: 3s)".to_owned()),
        ("RolloutResumed", "Rollout is resumed".to_owned()),
        (
            "RolloutCompleted",
            format!("Rollout completed update to revision 2 ({second}): Completed all 2 canary steps"),
        ),
        ("ScalingReplicaSet", format!("Scaled down ReplicaSet web-{first} (revision 1) from 1 to 0")),
    ]
    .map(|(reason, message)| (reason.to_owned(), message))
    .to_vec();
    until_told(&scenario, &wanted).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn events_of_a_routed_canary_are_emitted_once_each() -> Result<()> {
    let scenario = Scenario::begin("events-routed").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {}}]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 1}));
    deployed(&scenario, &canary).await?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    crate::until_pods(&scenario, WEB, &[0, 2]).await?;

    let wanted = [
        ("NewReplicaSetCreated", 2),
        ("RolloutAddedToInformer", 1),
        ("RolloutCompleted", 2),
        ("RolloutNotCompleted", 2),
        ("RolloutPaused", 1),
        ("RolloutResumed", 1),
        ("RolloutStepCompleted", 2),
        ("RolloutUpdated", 2),
        // 0 to 2; 0 to 1, 1 to 2, and 2 to 0 of the old one.
        ("ScalingReplicaSet", 4),
        // Both Services to the first revision, the canary one to the second, then the stable one.
        ("SwitchService", 4),
        // 50, 100, and back to 0 once stable is the new one.
        ("TrafficWeightUpdated", 3),
    ];
    scenario
        .until_events("Rollout", WEB, |events| {
            let mut counts = std::collections::BTreeMap::new();
            for (reason, _) in events {
                *counts.entry(reason.as_str()).or_insert(0) += 1;
            }
            counts.into_iter().eq(wanted)
        })
        .await?;
    controller.stop().await?;
    scenario.end().await
}

/// Waits until the events are these, in this order.
async fn until_told(scenario: &Scenario, wanted: &[(String, String)]) -> Result<()> {
    scenario.until_events("Rollout", WEB, |events| events == wanted).await.map(drop)
}
