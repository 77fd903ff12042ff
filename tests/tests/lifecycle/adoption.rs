//! Adoption from Argo Rollouts: ReplicaSets, Services and statuses as Argo leaves them; no pod is restarted.

use anyhow::{Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, rights, start, updated, updated_to},
    manifests::{self, Canary},
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

use crate::{WEB, annotation, living_uids, name, replica_set, text, uid, until_paused_at, until_pods};

const HASH_KEY: &str = "rollouts-pod-template-hash";
/// The form of Argo's hashes: ten characters of a small alphabet.
const FIRST: &str = "5847b96c8d";
const SECOND: &str = "75dcb5ddd6";
const STEPS: &str = "6fc4d9b587";

/// A ReplicaSet as Argo creates it for a version of the canary.
fn argos_replica_set(rollout: &DynamicObject, hash: &str, revision: u32, replicas: u32) -> Value {
    let mut template = rollout.data.pointer("/spec/template").cloned().unwrap_or_default();
    json_patch::merge(&mut template, &json!({"metadata": {"labels": {HASH_KEY: hash}}}));
    let labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{WEB}-{hash}"), "labels": labels,
            "annotations": {
                "rollout.argoproj.io/desired-replicas": "2", "rollout.argoproj.io/revision": revision.to_string(),
            },
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": WEB, "uid": uid(rollout),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": WEB, HASH_KEY: hash}}, "template": template,
        },
    })
}

/// A Service as Argo leaves it: it selects one revision.
fn argos_service(service: &str, hash: &str) -> Value {
    let mut object = manifests::service(service, &json!({"app": WEB, HASH_KEY: hash}));
    let managed = json!({"metadata": {"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": WEB}}});
    json_patch::merge(&mut object, &managed);
    object
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastUpdateTime": at, "lastTransitionTime": at})
}

async fn applied(scenario: &Scenario, canary: &Canary, revision: u32) -> Result<DynamicObject> {
    let noted = canary.clone().metadata(json!({"annotations": {"rollout.argoproj.io/revision": revision.to_string()}}));
    scenario.apply(noted.version(&format!("v{revision}")).rollout()).await
}

async fn until_ready(scenario: &Scenario, hash: &str, count: i64) -> Result<()> {
    scenario
        .until(&kinds::replica_set(), &format!("{WEB}-{hash}"), "its pods", |set| {
            api::number(set, "/status/availableReplicas") == count
        })
        .await?;
    Ok(())
}

async fn store_status(scenario: &Scenario, status: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "status": status }));
    scenario.api(&kinds::rollout()).patch_status(WEB, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Argo's objects of a routed canary whose first revision is stable.
async fn argo_at_rest(scenario: &Scenario, canary: &Canary) -> Result<()> {
    rights(scenario).await?;
    for service in [canary.stable_service(), canary.canary_service()] {
        scenario.apply(argos_service(&service, FIRST)).await?;
    }
    scenario.apply(canary.route(&scenario.namespace)).await?;
    let rollout = applied(scenario, canary, 1).await?;
    scenario.apply(argos_replica_set(&rollout, FIRST, 1, 2)).await?;
    until_ready(scenario, FIRST, 2).await?;
    let weight =
        |weight: i32, service: String| json!({"weight": weight, "serviceName": service, "podTemplateHash": FIRST});
    store_status(scenario, json!({
        "HPAReplicas": 2, "availableReplicas": 2, "readyReplicas": 2, "replicas": 2, "updatedReplicas": 2,
        "blueGreen": {}, "currentPodHash": FIRST, "currentStepHash": STEPS, "currentStepIndex": 2, "stableRS": FIRST,
        "observedGeneration": "1", "phase": "Healthy", "selector": "app=web",
        "canary": {"weights": {"canary": weight(0, canary.canary_service()), "stable": weight(100, canary.stable_service())}},
        "conditions": [
            condition("Available", "True", "AvailableReason", "Rollout has minimum availability"),
            condition("Progressing", "True", "NewReplicaSetAvailable", "ReplicaSet \"web-5847b96c8d\" has successfully progressed."),
            condition("Healthy", "True", "RolloutHealthy", "Rollout is healthy"),
            condition("Completed", "True", "RolloutCompleted", "RolloutCompleted"),
        ],
    }))
    .await
}

/// … and of its second revision, paused at 50 %.
async fn argo_in_mid_update(scenario: &Scenario, canary: &Canary) -> Result<()> {
    argo_at_rest(scenario, canary).await?;
    let rollout = applied(scenario, canary, 2).await?;
    scenario.apply(argos_replica_set(&rollout, SECOND, 2, 1)).await?;
    until_ready(scenario, SECOND, 1).await?;
    scenario.apply(argos_service(&canary.canary_service(), SECOND)).await?;
    let backends = [(canary.stable_service(), 50), (canary.canary_service(), 50)];
    scenario.apply(manifests::http_route(WEB, &canary.host(&scenario.namespace), &backends)).await?;
    let weight = |service: String, hash: &str| json!({"weight": 50, "serviceName": service, "podTemplateHash": hash});
    store_status(
        scenario,
        json!({
            "HPAReplicas": 3, "availableReplicas": 3, "readyReplicas": 3, "replicas": 3, "updatedReplicas": 1,
            "currentPodHash": SECOND, "currentStepIndex": 1, "observedGeneration": "2", "controllerPause": true,
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z"}],
            "phase": "Paused", "message": "CanaryPauseStep",
            "canary": {"weights": {
                "canary": weight(canary.canary_service(), SECOND), "stable": weight(canary.stable_service(), FIRST)}},
            "conditions": [
                condition("Available", "True", "AvailableReason", "Rollout has minimum availability"),
                condition("Healthy", "False", "RolloutHealthy", "Rollout is not healthy"),
                condition("Completed", "False", "RolloutCompleted", "RolloutCompleted"),
                condition("Progressing", "Unknown", "RolloutPaused", "Rollout is paused"),
                condition("Paused", "True", "RolloutPaused", "Rollout is paused"),
            ],
        }),
    )
    .await
}

/// Waits until KULTA has reconciled the Rollout and stored its record.
async fn until_taken_over(scenario: &Scenario) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), WEB, "KULTA's record", |rollout| rollout.data.pointer("/status/kulta").is_some())
        .await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_idle_rollout_is_adopted_without_restarting_a_pod() -> Result<()> {
    let scenario = Scenario::begin("adopt-rest").await?;
    let canary = Canary::new(WEB);
    argo_at_rest(&scenario, &canary).await?;
    let before = living_uids(&scenario, WEB, "v1").await?;

    let controller = start(&scenario, None).await?;

    let seen = until_taken_over(&scenario).await?;
    ensure!(text(&seen, "/status/stableRS") == FIRST && text(&seen, "/status/phase") == "Healthy", "{:?}", seen.data);
    scenario
        .until(&kinds::replica_set(), &format!("{WEB}-{FIRST}"), "its canonical hash", |set| {
            annotation(set, "kulta.io/template-hash").is_some()
        })
        .await?;
    ensure!(pods(&scenario, WEB).await? == [2], "no second ReplicaSet");
    ensure!(living_uids(&scenario, WEB, "v1").await? == before, "no pod is created again");
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;

    // Later updates work as for KULTA's own.
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    ensure!(living_uids(&scenario, WEB, "v1").await? == before, "stable stays whole");
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_in_progress_continues_after_its_adoption() -> Result<()> {
    let scenario = Scenario::begin("adopt-mid").await?;
    let canary = Canary::new(WEB);
    argo_in_mid_update(&scenario, &canary).await?;
    let old = living_uids(&scenario, WEB, "v1").await?;
    let new = living_uids(&scenario, WEB, "v2").await?;

    let controller = start(&scenario, None).await?;

    let seen = until_taken_over(&scenario).await?;
    ensure!(text(&seen, "/status/pauseConditions/0/startTime") == "2026-01-01T00:00:00Z", "{:?}", seen.data);
    let seen = until_paused_at(&scenario, WEB, 1).await?;
    ensure!(
        text(&seen, "/status/currentPodHash") == SECOND && text(&seen, "/status/stableRS") == FIRST,
        "{:?}",
        seen.data
    );
    scenario.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    scenario
        .until(&kinds::replica_set(), &format!("{WEB}-{SECOND}"), "its canonical hash", |set| {
            annotation(set, "kulta.io/template-hash").is_some()
        })
        .await?;
    ensure!(pods(&scenario, WEB).await? == [2, 1], "the ReplicaSets that were there");
    ensure!(living_uids(&scenario, WEB, "v1").await? == old, "no stable pod is created again");
    ensure!(living_uids(&scenario, WEB, "v2").await? == new, "no canary pod is created again");

    scenario.verbs(WEB).promote().await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(text(&seen, "/status/stableRS") == SECOND, "{:?}", seen.data);
    ensure!(living_uids(&scenario, WEB, "v2").await?.is_superset(&new), "the canary's pod stayed");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollback_to_argos_revision_finds_its_replica_set() -> Result<()> {
    let scenario = Scenario::begin("adopt-undo").await?;
    let canary = Canary::new(WEB);
    argo_in_mid_update(&scenario, &canary).await?;
    let old = living_uids(&scenario, WEB, "v1").await?;
    let controller = start(&scenario, None).await?;
    until_taken_over(&scenario).await?;

    // The template as a user writes it: without the defaults in Argo's ReplicaSet, and without a hash of KULTA's.
    updated_to(&scenario, &canary, "v1").await?;

    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(text(&seen, "/status/currentPodHash") == FIRST, "{:?}", seen.data);
    ensure!(pods(&scenario, WEB).await?.len() == 2, "no third ReplicaSet");
    ensure!(living_uids(&scenario, WEB, "v1").await? == old, "no pod is created again");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_name_that_a_foreign_object_has_is_not_taken_and_counted() -> Result<()> {
    let scenario = Scenario::begin("collision").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().spec(json!({"revisionHistoryLimit": 0}));
    deployed(&scenario, &canary).await?;
    let held = name(&replica_set(&scenario, WEB, 1).await?);
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    wait::until_gone(&scenario.api(&kinds::replica_set()), &held, SOON).await?;
    let stranger = scenario.apply(manifests::replica_set(&held, 1, "other")).await?;

    updated_to(&scenario, &canary, "v1").await?;

    let seen = until_paused_at(&scenario, WEB, 1).await?;
    ensure!(api::number(&seen, "/status/collisionCount") == 1, "{:?}", seen.data);
    let hash = text(&seen, "/status/currentPodHash");
    ensure!(format!("{WEB}-{hash}") != held, "another name");
    ensure!(name(&replica_set(&scenario, WEB, 2).await?) != held, "revision 2 is stable");
    let third = replica_set(&scenario, WEB, 3).await?;
    ensure!(name(&third) == format!("{WEB}-{hash}"), "{:?}", third.metadata);
    let after = scenario.get(&kinds::replica_set(), &held).await?;
    ensure!(uid(&after) == uid(&stranger) && after.metadata.owner_references.is_none(), "{:?}", after.metadata);
    // Three updates, each started once.
    scenario.until_events_with("Rollout", WEB, "RolloutUpdated", 3).await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    until_pods(&scenario, WEB, &[2]).await?;
    controller.stop().await?;
    scenario.end().await
}
