//! What people do: promote, abort, retry, pause, set an image; and which controller a Rollout belongs to.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, start_with, updated, updated_to},
    manifests::Canary,
    story::{SOON, Story},
    wait,
};
use serde_json::json;

use crate::{WEB, let_be_ready, living_uids, name, replica_set, text, until_paused_at, until_pods};

/// A Rollout of each kind: without routes, and with.
fn both() -> [Canary; 2] {
    [Canary::new("basic").without_routing(), Canary::new("routed")]
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pauses_end_by_themselves_whatever_way_their_time_is_written() -> Result<()> {
    let story = Story::begin("timed").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).without_routing().steps(json!([
        {"setWeight": 50}, {"pause": {"duration": "1s"}}, {"pause": {"duration": 1}}, {"pause": {"duration": "1"}},
        {"pause": {"duration": "1m"}},
    ]));
    deployed(&story, &canary).await?;
    let began = Timestamp::now();

    updated(&story, &canary).await?;

    until_paused_at(&story, WEB, 4).await?;
    let took = Timestamp::now().duration_since(began).as_secs_f64();
    ensure!(took >= 3.0, "three pauses of a second took {took} s");
    story.verbs(WEB).promote().await?;
    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn promote_ends_a_pause_and_nothing_more() -> Result<()> {
    let story = Story::begin("promote").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).steps(json!([
        {"setWeight": 10}, {"pause": {}}, {"pause": {}}, {"setWeight": 60}, {"pause": {}},
    ]));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;

    for (step, weight) in [(1, 10), (2, 10), (4, 60)] {
        let seen = until_paused_at(&story, WEB, step).await?;
        ensure!(api::number(&seen, "/status/canary/weights/canary/weight") == weight, "{:?}", seen.data);
        story.verbs(WEB).promote().await?;
    }

    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn promote_between_pauses_skips_the_step_that_is_under_way() -> Result<()> {
    let story = Story::begin("skip").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing().canary(json!({"maxUnavailable": 0})).steps(json!([
        {"setWeight": 25}, {"setWeight": 50}, {"pause": {}},
    ]));
    deployed(&story, &canary).await?;
    updated(&story, &canary.clone().pod_label("kulta.test/ready", "never")).await?;
    until_pods(&story, WEB, &[4, 1]).await?;

    story.verbs(WEB).promote().await?;

    story
        .until(&kinds::rollout(), WEB, "the second step", |rollout| {
            api::number(rollout, "/status/currentStepIndex") == 1 && text(rollout, "/status/phase") == "Progressing"
        })
        .await?;
    let_be_ready(&story, WEB, usize::MAX).await?;
    until_pods(&story, WEB, &[3, 2]).await?;
    // The second pod comes a moment after its ReplicaSet was told to have it.
    wait::poll("the pause at step 2", SOON, || async {
        let_be_ready(&story, WEB, usize::MAX).await?;
        let rollout = story.get(&kinds::rollout(), WEB).await?;
        let paused = text(&rollout, "/status/phase") == "Paused";
        Ok((paused && api::number(&rollout, "/status/currentStepIndex") == 2).then_some(()))
    })
    .await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn promote_full_skips_all_steps_also_of_an_aborted_update() -> Result<()> {
    let story = Story::begin("full").await?;
    let controller = start(&story, None).await?;
    for canary in both() {
        let name = &canary.name;
        let canary = canary.clone().steps(json!([
            {"setWeight": 50}, {"pause": {}}, {"setWeight": 60}, {"pause": {}},
        ]));
        deployed(&story, &canary).await?;
        updated(&story, &canary).await?;
        until_paused_at(&story, name, 1).await?;
        story.verbs(name).promote_full().await?;
        let seen = story.until_phase(name, "Healthy").await?;
        ensure!(api::number(&seen, "/status/currentStepIndex") == 4, "{:?}", seen.data);
        ensure!(text(&seen, "/status/duration/completionStatus") == "FastPromoted", "{:?}", seen.data);

        updated_to(&story, &canary, "v3").await?;
        until_paused_at(&story, name, 1).await?;
        story.verbs(name).abort().await?;
        story.until_phase(name, "Degraded").await?;
        story.verbs(name).promote_full().await?;

        let seen = story.until_phase(name, "Healthy").await?;
        ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
        ensure!(seen.data.pointer("/status/abort").is_none(), "{:?}", seen.data);
    }
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn abort_goes_back_to_stable_and_retry_begins_at_the_first_step() -> Result<()> {
    let story = Story::begin("abort").await?;
    let controller = start(&story, None).await?;
    for canary in both() {
        let name = &canary.name;
        let canary = canary.clone().canary(json!({"abortScaleDownDelaySeconds": 1}));
        deployed(&story, &canary).await?;
        let stable = living_uids(&story, name, "v1").await?;
        updated(&story, &canary).await?;
        until_paused_at(&story, name, 1).await?;

        story.verbs(name).abort().await?;

        let seen = story.until_phase(name, "Degraded").await?;
        ensure!(
            text(&seen, "/status/message") == "RolloutAborted: Rollout aborted update to revision 2",
            "{:?}",
            seen.data
        );
        ensure!(api::number(&seen, "/status/currentStepIndex") == 0, "{:?}", seen.data);
        until_pods(&story, name, &[2, 0]).await?;
        if name == "routed" {
            ensure!(living_uids(&story, name, "v1").await? == stable, "behind routes stable stays whole");
        }
        story.verbs(name).retry().await?;
        let seen = until_paused_at(&story, name, 1).await?;
        ensure!(seen.data.pointer("/status/abort").is_none_or(|abort| abort == false), "{:?}", seen.data);
        ensure!(seen.data.pointer("/status/abortedAt").is_none(), "{:?}", seen.data);
    }
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn abort_of_a_completed_rollout_does_nothing() -> Result<()> {
    let story = Story::begin("abort-at-rest").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&story, &canary).await?;

    story.verbs(WEB).abort().await?;

    let seen = story
        .until(&kinds::rollout(), WEB, "the abort taken back", |rollout| {
            rollout.data.pointer("/status/abort").is_none() && text(rollout, "/status/phase") == "Healthy"
        })
        .await?;
    ensure!(seen.data.pointer("/status/abortedAt").is_none(), "{:?}", seen.data);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_stopped_by_its_spec_makes_no_new_pods_until_it_is_promoted() -> Result<()> {
    let story = Story::begin("stopped").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;
    story.verbs(WEB).pause().await?;
    let seen = story.until_phase(WEB, "Paused").await?;
    ensure!(text(&seen, "/status/message") == "manually paused", "{:?}", seen.data);

    // A third version while it is stopped: as Argo does, the second one goes and nothing new comes.
    updated_to(&story, &canary, "v3").await?;
    story.until_phase(WEB, "Paused").await?;
    ensure!(pods(&story, WEB).await?.len() == 2, "no third ReplicaSet while stopped");
    story.verbs(WEB).promote().await?;

    until_paused_at(&story, WEB, 1).await?;
    until_pods(&story, WEB, &[1, 0, 1]).await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_timed_pause_waits_while_the_spec_stops_the_rollout() -> Result<()> {
    let story = Story::begin("stopped-pause").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).without_routing().steps(json!([{"setWeight": 50}, {"pause": {"duration": "2s"}}]));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    let seen = until_paused_at(&story, WEB, 1).await?;
    story.verbs(WEB).pause().await?;
    let start: Timestamp = text(&seen, "/status/pauseConditions/0/startTime").parse()?;
    let set = name(&replica_set(&story, WEB, 2).await?);

    let later = start.as_second() + 4;
    kulta_tests::wait::poll("the end of the pause's time", kulta_tests::story::SOON, || async {
        Ok((Timestamp::now().as_second() >= later).then_some(()))
    })
    .await?;
    let still = story.get(&kinds::rollout(), WEB).await?;
    ensure!(api::number(&still, "/status/currentStepIndex") == 1, "{:?}", still.data);
    ensure!(
        api::number(&story.get(&kinds::replica_set(), &set).await?, "/spec/replicas") == 1,
        "its pods did not move"
    );
    story.verbs(WEB).patch_spec(json!({"spec": {"paused": false}})).await?;

    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_new_image_begins_an_update() -> Result<()> {
    let story = Story::begin("image").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&story, &canary).await?;

    story.verbs(WEB).set_image("example.test/app:v9").await?;

    until_paused_at(&story, WEB, 1).await?;
    let set = replica_set(&story, WEB, 2).await?;
    ensure!(text(&set, "/spec/template/spec/containers/0/image") == "example.test/app:v9", "{:?}", set.data);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn each_controller_serves_the_rollouts_of_its_own_instance_id() -> Result<()> {
    let story = Story::begin("instances").await?;
    let plain = start(&story, None).await?;
    let blue = start_with(&story, None, &[("KULTA_INSTANCE_ID", "blue")]).await?;
    let id = "argo-rollouts.argoproj.io/controller-instance-id";
    let labelled = |name: &str, value: &str| {
        Canary::new(name).without_routing().metadata(json!({"labels": {id: value}})).rollout()
    };
    story.apply(labelled("nobodys", "green")).await?;
    story.apply(labelled("blues", "blue")).await?;
    story.apply(Canary::new("plains").without_routing().rollout()).await?;

    story.until_phase("blues", "Healthy").await?;
    story.until_phase("plains", "Healthy").await?;
    blue.stop().await?;
    // With the controller of its instance gone a Rollout waits; the other one goes on with its own.
    story.apply(Canary::new("plains").without_routing().version("v2").rollout()).await?;
    until_paused_at(&story, "plains", 1).await?;

    let waits = story.get(&kinds::rollout(), "nobodys").await?;
    ensure!(waits.data.get("status").is_none(), "nobody serves it: {:?}", waits.data);
    let log = plain.log();
    ensure!(!log.contains("/blues") && !log.contains("/nobodys"), "the plain controller looked at what is not its own");
    plain.stop().await?;
    story.end().await
}
