//! User actions: promote, abort, retry, pause, set an image; and the controller instance of a Rollout.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, start_with, updated, updated_to},
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::json;

use crate::{WEB, let_be_ready, living_uids, name, replica_set, text, until_paused_at, until_pods};

/// A Rollout of each kind: without and with routes.
fn both() -> [Canary; 2] {
    [Canary::new("basic").without_routing(), Canary::new("routed")]
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pauses_end_by_themselves_in_every_notation_of_their_duration() -> Result<()> {
    let scenario = Scenario::begin("timed").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().steps(json!([
        {"setWeight": 50}, {"pause": {"duration": "1s"}}, {"pause": {"duration": 1}}, {"pause": {"duration": "1"}},
        {"pause": {"duration": "1m"}},
    ]));
    deployed(&scenario, &canary).await?;
    let began = Timestamp::now();

    updated(&scenario, &canary).await?;

    until_paused_at(&scenario, WEB, 4).await?;
    let took = Timestamp::now().duration_since(began).as_secs_f64();
    ensure!(took >= 3.0, "three pauses of a second took {took} s");
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn promote_ends_a_pause_and_nothing_else() -> Result<()> {
    let scenario = Scenario::begin("promote").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).steps(json!([
        {"setWeight": 10}, {"pause": {}}, {"pause": {}}, {"setWeight": 60}, {"pause": {}},
    ]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;

    for (step, weight) in [(1, 10), (2, 10), (4, 60)] {
        let seen = until_paused_at(&scenario, WEB, step).await?;
        ensure!(api::number(&seen, "/status/canary/weights/canary/weight") == weight, "{:?}", seen.data);
        scenario.verbs(WEB).promote().await?;
    }

    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn promote_between_pauses_skips_the_current_step() -> Result<()> {
    let scenario = Scenario::begin("skip").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing().canary(json!({"maxUnavailable": 0})).steps(json!([
        {"setWeight": 25}, {"setWeight": 50}, {"pause": {}},
    ]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary.clone().pod_label("kulta.test/ready", "never")).await?;
    until_pods(&scenario, WEB, &[4, 1]).await?;

    scenario.verbs(WEB).promote().await?;

    scenario
        .until(&kinds::rollout(), WEB, "the second step", |rollout| {
            api::number(rollout, "/status/currentStepIndex") == 1 && text(rollout, "/status/phase") == "Progressing"
        })
        .await?;
    let_be_ready(&scenario, WEB, usize::MAX).await?;
    until_pods(&scenario, WEB, &[3, 2]).await?;
    // The second pod is created shortly after its ReplicaSet was scaled.
    wait::poll("the pause at step 2", SOON, || async {
        let_be_ready(&scenario, WEB, usize::MAX).await?;
        let rollout = scenario.get(&kinds::rollout(), WEB).await?;
        let paused = text(&rollout, "/status/phase") == "Paused";
        Ok((paused && api::number(&rollout, "/status/currentStepIndex") == 2).then_some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn promote_full_skips_all_steps_also_of_an_aborted_update() -> Result<()> {
    let scenario = Scenario::begin("full").await?;
    let controller = start(&scenario, None).await?;
    for canary in both() {
        let name = &canary.name;
        let canary = canary.clone().steps(json!([
            {"setWeight": 50}, {"pause": {}}, {"setWeight": 60}, {"pause": {}},
        ]));
        deployed(&scenario, &canary).await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, name, 1).await?;
        scenario.verbs(name).promote_full().await?;
        let seen = scenario.until_phase(name, "Healthy").await?;
        ensure!(api::number(&seen, "/status/currentStepIndex") == 4, "{:?}", seen.data);
        ensure!(text(&seen, "/status/duration/completionStatus") == "FastPromoted", "{:?}", seen.data);

        updated_to(&scenario, &canary, "v3").await?;
        until_paused_at(&scenario, name, 1).await?;
        scenario.verbs(name).abort().await?;
        scenario.until_phase(name, "Degraded").await?;
        scenario.verbs(name).promote_full().await?;

        let seen = scenario.until_phase(name, "Healthy").await?;
        ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
        ensure!(seen.data.pointer("/status/abort").is_none(), "{:?}", seen.data);
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn abort_restores_stable_and_retry_begins_at_the_first_step() -> Result<()> {
    let scenario = Scenario::begin("abort").await?;
    let controller = start(&scenario, None).await?;
    for canary in both() {
        let name = &canary.name;
        let canary = canary.clone().canary(json!({"abortScaleDownDelaySeconds": 1}));
        deployed(&scenario, &canary).await?;
        let stable = living_uids(&scenario, name, "v1").await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, name, 1).await?;

        scenario.verbs(name).abort().await?;

        let seen = scenario.until_phase(name, "Degraded").await?;
        ensure!(
            text(&seen, "/status/message") == "RolloutAborted: Rollout aborted update to revision 2",
            "{:?}",
            seen.data
        );
        ensure!(api::number(&seen, "/status/currentStepIndex") == 0, "{:?}", seen.data);
        until_pods(&scenario, name, &[2, 0]).await?;
        if name == "routed" {
            ensure!(living_uids(&scenario, name, "v1").await? == stable, "behind routes stable stays whole");
        }
        scenario.verbs(name).retry().await?;
        let seen = until_paused_at(&scenario, name, 1).await?;
        ensure!(seen.data.pointer("/status/abort").is_none_or(|abort| abort == false), "{:?}", seen.data);
        ensure!(seen.data.pointer("/status/abortedAt").is_none(), "{:?}", seen.data);
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn abort_of_a_completed_rollout_does_nothing() -> Result<()> {
    let scenario = Scenario::begin("abort-at-rest").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&scenario, &canary).await?;

    scenario.verbs(WEB).abort().await?;

    let seen = scenario
        .until(&kinds::rollout(), WEB, "the abort taken back", |rollout| {
            rollout.data.pointer("/status/abort").is_none() && text(rollout, "/status/phase") == "Healthy"
        })
        .await?;
    ensure!(seen.data.pointer("/status/abortedAt").is_none(), "{:?}", seen.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_paused_by_its_spec_creates_no_pods_until_it_is_promoted() -> Result<()> {
    let scenario = Scenario::begin("stopped").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).pause().await?;
    let seen = scenario.until_phase(WEB, "Paused").await?;
    ensure!(text(&seen, "/status/message") == "manually paused", "{:?}", seen.data);

    // A third version while it is paused: as with Argo, the second one is scaled down and nothing is created.
    updated_to(&scenario, &canary, "v3").await?;
    scenario.until_phase(WEB, "Paused").await?;
    ensure!(pods(&scenario, WEB).await?.len() == 2, "no third ReplicaSet while stopped");
    scenario.verbs(WEB).promote().await?;

    until_paused_at(&scenario, WEB, 1).await?;
    until_pods(&scenario, WEB, &[1, 0, 1]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_timed_pause_waits_while_the_spec_pauses_the_rollout() -> Result<()> {
    let scenario = Scenario::begin("stopped-pause").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().steps(json!([{"setWeight": 50}, {"pause": {"duration": "2s"}}]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let seen = until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).pause().await?;
    let start: Timestamp = text(&seen, "/status/pauseConditions/0/startTime").parse()?;
    let set = name(&replica_set(&scenario, WEB, 2).await?);

    let later = start.as_second() + 4;
    kulta_tests::wait::poll("the end of the pause's time", kulta_tests::scenario::SOON, || async {
        Ok((Timestamp::now().as_second() >= later).then_some(()))
    })
    .await?;
    let still = scenario.get(&kinds::rollout(), WEB).await?;
    ensure!(api::number(&still, "/status/currentStepIndex") == 1, "{:?}", still.data);
    ensure!(
        api::number(&scenario.get(&kinds::replica_set(), &set).await?, "/spec/replicas") == 1,
        "its pods did not move"
    );
    scenario.verbs(WEB).patch_spec(json!({"spec": {"paused": false}})).await?;

    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_new_image_starts_an_update() -> Result<()> {
    let scenario = Scenario::begin("image").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&scenario, &canary).await?;

    scenario.verbs(WEB).set_image("example.test/app:v9").await?;

    until_paused_at(&scenario, WEB, 1).await?;
    let set = replica_set(&scenario, WEB, 2).await?;
    ensure!(text(&set, "/spec/template/spec/containers/0/image") == "example.test/app:v9", "{:?}", set.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn each_controller_serves_the_rollouts_of_its_own_instance_id() -> Result<()> {
    let scenario = Scenario::begin("instances").await?;
    let plain = start(&scenario, None).await?;
    let blue = start_with(&scenario, None, &[("KULTA_INSTANCE_ID", "blue")]).await?;
    let id = "argo-rollouts.argoproj.io/controller-instance-id";
    let labelled = |name: &str, value: &str| {
        Canary::new(name).without_routing().metadata(json!({"labels": {id: value}})).rollout()
    };
    scenario.apply(labelled("nobodys", "green")).await?;
    scenario.apply(labelled("blues", "blue")).await?;
    scenario.apply(Canary::new("plains").without_routing().rollout()).await?;

    scenario.until_phase("blues", "Healthy").await?;
    scenario.until_phase("plains", "Healthy").await?;
    blue.stop().await?;
    // Without the controller of its instance a Rollout waits; the other controller serves only its own.
    scenario.apply(Canary::new("plains").without_routing().version("v2").rollout()).await?;
    until_paused_at(&scenario, "plains", 1).await?;

    let waits = scenario.get(&kinds::rollout(), "nobodys").await?;
    ensure!(waits.data.get("status").is_none(), "no controller serves it: {:?}", waits.data);
    let log = plain.log();
    ensure!(!log.contains("/blues") && !log.contains("/nobodys"), "the plain controller looked at what is not its own");
    plain.stop().await?;
    scenario.end().await
}
