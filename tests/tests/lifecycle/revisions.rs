//! Changes of the template: forward, back, and during an update.

use anyhow::{Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated, updated_to},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::json;

use crate::{WEB, living_uids, replica_set, text, until_a_new_second, until_paused_at, until_pods};

/// A Rollout of each kind: without and with routes.
fn both() -> [Canary; 2] {
    [Canary::new("basic").without_routing(), Canary::new("routed")]
}

/// Revisions 1 to `last`, each promoted, created in different seconds.
async fn revisions(scenario: &Scenario, canary: &Canary, last: i64) -> Result<()> {
    deployed(scenario, canary).await?;
    for number in 2..=last {
        until_a_new_second(&replica_set(scenario, &canary.name, number - 1).await?).await?;
        updated_to(scenario, canary, &format!("v{number}")).await?;
        until_paused_at(scenario, &canary.name, 1).await?;
        scenario.verbs(&canary.name).promote_full().await?;
        scenario.until_phase(&canary.name, "Healthy").await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollback_within_the_window_skips_the_steps() -> Result<()> {
    let scenario = Scenario::begin("window").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().spec(json!({"rollbackWindow": {"revisions": 1}}));
    revisions(&scenario, &canary, 2).await?;

    updated_to(&scenario, &canary, "v1").await?;

    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(api::number(&seen, "/status/currentStepIndex") == 2, "{:?}", seen.data);
    let told =
        scenario.until_events("Rollout", WEB, |events| events.iter().any(|(reason, _)| reason == "SkipSteps")).await?;
    ensure!(told.iter().filter(|(reason, _)| reason == "RolloutPaused").count() == 1, "paused once, for v2: {told:?}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollback_outside_the_window_goes_through_the_steps() -> Result<()> {
    let scenario = Scenario::begin("outside").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().spec(json!({"rollbackWindow": {"revisions": 1}}));
    revisions(&scenario, &canary, 3).await?;

    updated_to(&scenario, &canary, "v1").await?;

    until_paused_at(&scenario, WEB, 1).await?;
    let set = replica_set(&scenario, WEB, 4).await?;
    let history = crate::annotation(&set, "rollout.argoproj.io/revision-history");
    ensure!(history.as_deref() == Some("1"), "{:?}", set.metadata.annotations);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_new_revision_during_an_update_replaces_the_one_before() -> Result<()> {
    let scenario = Scenario::begin("superseded").await?;
    let controller = start(&scenario, None).await?;
    for canary in both() {
        let name = &canary.name;
        deployed(&scenario, &canary).await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, name, 1).await?;
        let stable = living_uids(&scenario, name, "v1").await?;

        updated_to(&scenario, &canary, "v3").await?;

        let hash = |rollout: &kube::api::DynamicObject| text(rollout, "/status/currentPodHash");
        let third = format!("{name}-{}", hash(&scenario.until_phase(name, "Progressing").await?));
        let seen = until_paused_at(&scenario, name, 1).await?;
        ensure!(third == format!("{name}-{}", hash(&seen)), "the third revision is what is paused");
        let wanted: [i64; 3] = if name == "basic" { [1, 0, 1] } else { [2, 0, 1] };
        until_pods(&scenario, name, &wanted).await?;
        ensure!(living_uids(&scenario, name, "v1").await?.is_subset(&stable), "stable pods are not created again");
    }
    scenario.until_weights("routed", &[("routed-stable", 50), ("routed-canary", 50)]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollback_to_stable_during_an_update_skips_the_steps_and_restarts_no_pod() -> Result<()> {
    let scenario = Scenario::begin("undo").await?;
    let controller = start(&scenario, None).await?;
    for canary in both() {
        let name = &canary.name;
        deployed(&scenario, &canary).await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, name, 1).await?;
        let stable = living_uids(&scenario, name, "v1").await?;

        scenario.verbs(name).undo(&replica_set(&scenario, name, 1).await?).await?;

        let seen = scenario.until_phase(name, "Healthy").await?;
        ensure!(api::number(&seen, "/status/currentStepIndex") == 2, "{:?}", seen.data);
        ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
        // The ReplicaSet of the first revision is the third now.
        until_pods(&scenario, name, &[0, 2]).await?;
        ensure!(living_uids(&scenario, name, "v1").await?.is_superset(&stable), "stable pods stayed");
        let skipped = ("SkipSteps".to_owned(), "Rollback to stable".to_owned());
        scenario.until_events("Rollout", name, |events| events.contains(&skipped)).await?;
    }
    scenario.until_weights("routed", &[("routed-stable", 100), ("routed-canary", 0)]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_change_of_the_steps_restarts_the_update() -> Result<()> {
    let scenario = Scenario::begin("steps").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing();
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let before = until_paused_at(&scenario, WEB, 1).await?;

    let canary = canary.steps(json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]));
    updated(&scenario, &canary).await?;

    let after = until_paused_at(&scenario, WEB, 1).await?;
    let hash = "/status/currentStepHash";
    ensure!(text(&before, hash) != text(&after, hash), "{:?}", after.data);
    until_pods(&scenario, WEB, &[3, 1]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_change_of_the_steps_of_an_idle_rollout_restarts_nothing() -> Result<()> {
    let scenario = Scenario::begin("steps-at-rest").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&scenario, &canary).await?;
    let pods = living_uids(&scenario, WEB, "v1").await?;

    scenario.apply(canary.steps(json!([{"setWeight": 10}, {"pause": {}}, {"setWeight": 20}])).rollout()).await?;

    scenario
        .until(&kinds::rollout(), WEB, "the end of the new steps", |rollout| {
            text(rollout, "/status/phase") == "Healthy" && api::number(rollout, "/status/currentStepIndex") == 3
        })
        .await?;
    ensure!(living_uids(&scenario, WEB, "v1").await? == pods, "no pod was created again");
    controller.stop().await?;
    scenario.end().await
}
