//! Real requests through Envoy while pods, weights and revisions change: who answers, and that nobody is turned away.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, updated, updated_to},
    load::{self, Load, Plan, Split},
    manifests::Canary,
    story::{SOON, Story},
    wait,
};
use serde_json::{Value, json};

use crate::{obstacle, until_paused_at, until_share, until_stable};

/// Between a gateway's word that it took a route and its proxy's having it.
const PROXY_DELAY: Duration = Duration::from_millis(500);
/// Requests of a window that shares are counted in.
const WINDOW: usize = 4_000;

/// Requests as they come in a story; several run side by side on a small machine.
fn load(canary: &Canary, story: &Story) -> Result<Load> {
    Load::start(Plan { per_second: 500, ..Plan::to(&canary.host(&story.namespace)) })
}

/// A window of requests of which `percent` are answered by a version, within 3 points.
async fn share(running: &Load, version: &str, percent: f64) -> Result<()> {
    tokio::time::sleep(PROXY_DELAY).await;
    let split = running.next(WINDOW).await?;
    let seen = split.percent(version);
    ensure!((seen - percent).abs() <= 3.0, "{version} has {seen} % instead of {percent} %: {split}");
    Ok(())
}

/// Ends the stream; not one request of all may have failed.
async fn nobody_was_turned_away(running: Load) -> Result<Split> {
    let all = load::total(&running.stop().await);
    ensure!(all.failed() == 0 && all.answered() > 0, "{all}");
    Ok(all)
}

/// Waits until the ReplicaSets want these pods, oldest first.
async fn until_pods(story: &Story, wanted: &[i64]) -> Result<()> {
    wait::poll(&format!("the pods {wanted:?}"), SOON, || async {
        let seen = pods(story, "web").await?;
        if seen == wanted { Ok(Some(())) } else { Err(anyhow::anyhow!("pods are {seen:?}")) }
    })
    .await
}

/// Deploys v1 and sends requests to it.
async fn served(story: &Story, canary: &Canary) -> Result<Load> {
    deployed(story, canary).await?;
    story.until_served(&canary.host(&story.namespace)).await?;
    load(canary, story)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pods_and_weights_go_apart_with_set_canary_scale() -> Result<()> {
    let story = Story::begin("scale").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([
        { "setCanaryScale": { "replicas": 3 } }, { "setWeight": 10 }, { "pause": {} },
        { "setCanaryScale": { "weight": 50 } }, { "pause": {} },
        { "setWeight": 50 }, { "setCanaryScale": { "matchTrafficWeight": true } }, { "pause": {} },
    ]));
    let canary = canary.canary(json!({ "scaleDownDelaySeconds": 1 }));
    let running = served(&story, &canary).await?;

    updated(&story, &canary).await?;
    until_paused_at(&story, 2).await?;
    until_share(&story, 10).await?;
    let three = pods(&story, "web").await?;
    share(&running, "v2", 10.0).await?;
    story.verbs("web").promote().await?;
    until_paused_at(&story, 4).await?;
    until_share(&story, 10).await?;
    let two = pods(&story, "web").await?;
    story.verbs("web").promote().await?;
    until_paused_at(&story, 7).await?;
    until_share(&story, 50).await?;
    share(&running, "v2", 50.0).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    until_pods(&story, &[0, 4]).await?;
    share(&running, "v2", 100.0).await?;

    ensure!((three.as_slice(), two.as_slice()) == (&[4, 3], &[4, 2]), "{three:?}, {two:?}");
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

fn dynamic(steps: Value) -> Canary {
    Canary::new("web")
        .replicas(4)
        .steps(steps)
        .canary(json!({ "dynamicStableScale": true, "abortScaleDownDelaySeconds": 1 }))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_dynamic_stable_shrinks_with_its_share_and_is_whole_again_after_an_abort() -> Result<()> {
    let story = Story::begin("dynamic").await?;
    let controller = start(&story, None).await?;
    let canary = dynamic(json!([{ "setWeight": 25 }, { "pause": {} }, { "setWeight": 75 }, { "pause": {} }]));
    let running = served(&story, &canary).await?;

    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    until_pods(&story, &[3, 1]).await?;
    share(&running, "v2", 25.0).await?;
    story.verbs("web").promote().await?;
    until_paused_at(&story, 3).await?;
    until_pods(&story, &[1, 3]).await?;
    share(&running, "v2", 75.0).await?;
    story.verbs("web").abort().await?;
    until_share(&story, 0).await?;
    until_pods(&story, &[4, 0]).await?;
    share(&running, "v1", 100.0).await?;
    story.verbs("web").retry().await?;
    until_paused_at(&story, 1).await?;
    story.verbs("web").promote_full().await?;
    until_stable(&story, "web").await?;
    until_pods(&story, &[0, 4]).await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_third_revision_and_a_rollback_in_mid_rollout_turn_nobody_away() -> Result<()> {
    let story = Story::begin("third").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    let running = served(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    share(&running, "v2", 50.0).await?;

    updated_to(&story, &canary, "v3").await?;
    until_pods(&story, &[4, 0, 2]).await?;
    until_paused_at(&story, 1).await?;
    until_share(&story, 50).await?;
    share(&running, "v3", 50.0).await?;
    updated_to(&story, &canary, "v1").await?;
    until_share(&story, 0).await?;
    until_stable(&story, "web").await?;
    share(&running, "v1", 100.0).await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_third_revision_and_a_rollback_turn_nobody_away_when_stable_has_shrunk_to_nothing() -> Result<()> {
    let story = Story::begin("shrunk").await?;
    let controller = start(&story, None).await?;
    let canary = dynamic(json!([{ "setWeight": 100 }, { "pause": {} }]));
    let running = served(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    until_pods(&story, &[0, 4]).await?;

    updated_to(&story, &canary, "v3").await?;
    until_pods(&story, &[0, 0, 4]).await?;
    until_paused_at(&story, 1).await?;
    share(&running, "v3", 100.0).await?;
    updated_to(&story, &canary, "v1").await?;
    until_share(&story, 0).await?;
    until_stable(&story, "web").await?;
    share(&running, "v1", 100.0).await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn scaling_in_mid_rollout_scales_both_sides_and_turns_nobody_away() -> Result<()> {
    let story = Story::begin("rescale").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    let running = served(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;

    for (replicas, wanted) in [(8, [8, 4]), (2, [2, 1])] {
        story.verbs("web").patch_spec(json!({ "spec": { "replicas": replicas } })).await?;
        until_pods(&story, &wanted).await?;
        until_paused_at(&story, 1).await?;
        share(&running, "v2", 50.0).await?;
    }
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_without_replicas_goes_through_its_steps_and_serves_once_it_has_some() -> Result<()> {
    let story = Story::begin("zero").await?;
    let controller = start(&story, None).await?;
    let canary =
        Canary::new("web").replicas(0).steps(json!([{ "setWeight": 50 }, { "pause": {} }, { "setWeight": 80 }]));
    deployed(&story, &canary).await?;

    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    let rested = story.get(&kinds::rollout(), "web").await?;
    story.verbs("web").patch_spec(json!({ "spec": { "replicas": 2 } })).await?;
    until_stable(&story, "web").await?;
    story.until_served(&canary.host(&story.namespace)).await?;
    let running = load(&canary, &story)?;
    share(&running, "v2", 100.0).await?;

    ensure!(obstacle(&rested).is_none(), "{:?}", obstacle(&rested));
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_canary_that_never_becomes_ready_gets_no_traffic() -> Result<()> {
    let story = Story::begin("never").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    let canary = canary.spec(json!({ "progressDeadlineSeconds": 5 }));
    let running = served(&story, &canary).await?;

    story.apply(canary.clone().version("v2").pod_label("kulta.test/ready", "never").rollout()).await?;
    story.until_phase("web", "Degraded").await?;
    share(&running, "v1", 100.0).await?;
    let weights = story.weights("web").await?;
    let pods = pods(&story, "web").await?;
    story.apply(canary.clone().version("v3").rollout()).await?;
    until_paused_at(&story, 1).await?;
    share(&running, "v3", 50.0).await?;

    ensure!(weights == [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)], "{weights:?}");
    ensure!(pods == [2, 1], "{pods:?}");
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}

/// Sets or removes the label that keeps a pod from being ready.
async fn keep_unready(story: &Story, pods: &[DynamicObject], value: Value) -> Result<()> {
    for pod in pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({ "metadata": { "labels": { "kulta.test/ready": value } } });
        story.patch(&kinds::pod(), name, patch).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_canary_whose_pods_become_unready_loses_its_traffic_and_gets_it_back_with_them() -> Result<()> {
    let story = Story::begin("unready").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    story.until_served(&canary.host(&story.namespace)).await?;
    let canaries = story.list(&kinds::pod(), "app=web,version=v2").await?;

    keep_unready(&story, &canaries, json!("never")).await?;
    until_share(&story, 0).await?;
    // Requests of the moments in between fail: nobody can know before the pod says so.
    let running = load(&canary, &story)?;
    share(&running, "v1", 100.0).await?;
    keep_unready(&story, &canaries, Value::Null).await?;
    until_share(&story, 50).await?;
    share(&running, "v2", 50.0).await?;

    let rollout = story.get(&kinds::rollout(), "web").await?;
    ensure!(api::number(&rollout, "/status/currentStepIndex") == 1, "moved on");
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    story.end().await
}
