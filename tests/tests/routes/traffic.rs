//! Real requests through Envoy while pods, weights and revisions change: which version answers, and that no request
//! fails.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, updated, updated_to},
    load::{self, Load, Plan, Split},
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

use crate::{blocked_traffic, until_paused_at, until_share, until_stable};

/// Between a gateway's acceptance of a route and its proxy's configuration.
const PROXY_DELAY: Duration = Duration::from_millis(500);
/// Requests of a window for counting shares.
const WINDOW: usize = 4_000;

/// Request rate of a scenario; several run in parallel on a small machine.
fn load(canary: &Canary, scenario: &Scenario) -> Result<Load> {
    Load::start(Plan { per_second: 500, ..Plan::to(&canary.host(&scenario.namespace)) })
}

/// A window of requests of which a version answers `percent`, within 3 points.
async fn share(running: &Load, version: &str, percent: f64) -> Result<()> {
    tokio::time::sleep(PROXY_DELAY).await;
    let split = running.next(WINDOW).await?;
    let seen = split.percent(version);
    ensure!((seen - percent).abs() <= 3.0, "{version} has {seen} % instead of {percent} %: {split}");
    Ok(())
}

/// Ends the stream; no request may have failed.
async fn nobody_was_turned_away(running: Load) -> Result<Split> {
    let all = load::total(&running.stop().await);
    ensure!(all.failed() == 0 && all.answered() > 0, "{all}");
    Ok(all)
}

/// Waits until the ReplicaSets have these desired pods, oldest first.
async fn until_pods(scenario: &Scenario, wanted: &[i64]) -> Result<()> {
    wait::poll(&format!("the pods {wanted:?}"), SOON, || async {
        let seen = pods(scenario, "web").await?;
        if seen == wanted { Ok(Some(())) } else { Err(anyhow::anyhow!("pods are {seen:?}")) }
    })
    .await
}

/// Deploys v1 and sends requests to it.
async fn served(scenario: &Scenario, canary: &Canary) -> Result<Load> {
    deployed(scenario, canary).await?;
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    load(canary, scenario)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn set_canary_scale_separates_pods_from_weights() -> Result<()> {
    let scenario = Scenario::begin("scale").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([
        { "setCanaryScale": { "replicas": 3 } }, { "setWeight": 10 }, { "pause": {} },
        { "setCanaryScale": { "weight": 50 } }, { "pause": {} },
        { "setWeight": 50 }, { "setCanaryScale": { "matchTrafficWeight": true } }, { "pause": {} },
    ]));
    let canary = canary.canary(json!({ "scaleDownDelaySeconds": 1 }));
    let running = served(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 2).await?;
    until_share(&scenario, 10).await?;
    let three = pods(&scenario, "web").await?;
    share(&running, "v2", 10.0).await?;
    scenario.verbs("web").promote().await?;
    until_paused_at(&scenario, 4).await?;
    until_share(&scenario, 10).await?;
    let two = pods(&scenario, "web").await?;
    scenario.verbs("web").promote().await?;
    until_paused_at(&scenario, 7).await?;
    until_share(&scenario, 50).await?;
    share(&running, "v2", 50.0).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    until_pods(&scenario, &[0, 4]).await?;
    share(&running, "v2", 100.0).await?;

    ensure!((three.as_slice(), two.as_slice()) == (&[4, 3], &[4, 2]), "{three:?}, {two:?}");
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

fn dynamic(steps: Value) -> Canary {
    Canary::new("web")
        .replicas(4)
        .steps(steps)
        .canary(json!({ "dynamicStableScale": true, "abortScaleDownDelaySeconds": 1 }))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_dynamic_stable_shrinks_with_its_share_and_is_restored_after_an_abort() -> Result<()> {
    let scenario = Scenario::begin("dynamic").await?;
    let controller = start(&scenario, None).await?;
    let canary = dynamic(json!([{ "setWeight": 25 }, { "pause": {} }, { "setWeight": 75 }, { "pause": {} }]));
    let running = served(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    until_pods(&scenario, &[3, 1]).await?;
    share(&running, "v2", 25.0).await?;
    scenario.verbs("web").promote().await?;
    until_paused_at(&scenario, 3).await?;
    until_pods(&scenario, &[1, 3]).await?;
    share(&running, "v2", 75.0).await?;
    scenario.verbs("web").abort().await?;
    until_share(&scenario, 0).await?;
    until_pods(&scenario, &[4, 0]).await?;
    share(&running, "v1", 100.0).await?;
    scenario.verbs("web").retry().await?;
    until_paused_at(&scenario, 1).await?;
    scenario.verbs("web").promote_full().await?;
    until_stable(&scenario, "web").await?;
    until_pods(&scenario, &[0, 4]).await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_third_revision_and_a_rollback_during_an_update_fail_no_request() -> Result<()> {
    let scenario = Scenario::begin("third").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    let running = served(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    share(&running, "v2", 50.0).await?;

    updated_to(&scenario, &canary, "v3").await?;
    until_pods(&scenario, &[4, 0, 2]).await?;
    until_paused_at(&scenario, 1).await?;
    until_share(&scenario, 50).await?;
    share(&running, "v3", 50.0).await?;
    updated_to(&scenario, &canary, "v1").await?;
    until_share(&scenario, 0).await?;
    until_stable(&scenario, "web").await?;
    share(&running, "v1", 100.0).await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_third_revision_and_a_rollback_fail_no_request_if_stable_has_shrunk_to_zero() -> Result<()> {
    let scenario = Scenario::begin("shrunk").await?;
    let controller = start(&scenario, None).await?;
    let canary = dynamic(json!([{ "setWeight": 100 }, { "pause": {} }]));
    let running = served(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    until_pods(&scenario, &[0, 4]).await?;

    updated_to(&scenario, &canary, "v3").await?;
    until_pods(&scenario, &[0, 0, 4]).await?;
    until_paused_at(&scenario, 1).await?;
    share(&running, "v3", 100.0).await?;
    updated_to(&scenario, &canary, "v1").await?;
    until_share(&scenario, 0).await?;
    until_stable(&scenario, "web").await?;
    share(&running, "v1", 100.0).await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn scaling_during_an_update_scales_both_sides_and_fails_no_request() -> Result<()> {
    let scenario = Scenario::begin("rescale").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    let running = served(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;

    for (replicas, wanted) in [(8, [8, 4]), (2, [2, 1])] {
        scenario.verbs("web").patch_spec(json!({ "spec": { "replicas": replicas } })).await?;
        until_pods(&scenario, &wanted).await?;
        until_paused_at(&scenario, 1).await?;
        share(&running, "v2", 50.0).await?;
    }
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;

    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_without_replicas_goes_through_its_steps_and_serves_once_it_has_some() -> Result<()> {
    let scenario = Scenario::begin("zero").await?;
    let controller = start(&scenario, None).await?;
    let canary =
        Canary::new("web").replicas(0).steps(json!([{ "setWeight": 50 }, { "pause": {} }, { "setWeight": 80 }]));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    let rested = scenario.get(&kinds::rollout(), "web").await?;
    scenario.verbs("web").patch_spec(json!({ "spec": { "replicas": 2 } })).await?;
    until_stable(&scenario, "web").await?;
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    let running = load(&canary, &scenario)?;
    share(&running, "v2", 100.0).await?;

    ensure!(blocked_traffic(&rested).is_none(), "{:?}", blocked_traffic(&rested));
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_canary_that_never_becomes_ready_gets_no_traffic() -> Result<()> {
    let scenario = Scenario::begin("never").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    let canary = canary.spec(json!({ "progressDeadlineSeconds": 5 }));
    let running = served(&scenario, &canary).await?;

    scenario.apply(canary.clone().version("v2").pod_label("kulta.test/ready", "never").rollout()).await?;
    scenario.until_phase("web", "Degraded").await?;
    share(&running, "v1", 100.0).await?;
    let weights = scenario.weights("web").await?;
    let pods = pods(&scenario, "web").await?;
    scenario.apply(canary.clone().version("v3").rollout()).await?;
    until_paused_at(&scenario, 1).await?;
    share(&running, "v3", 50.0).await?;

    ensure!(weights == [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)], "{weights:?}");
    ensure!(pods == [2, 1], "{pods:?}");
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

/// Sets or removes the label that keeps a pod from being ready.
async fn keep_unready(scenario: &Scenario, pods: &[DynamicObject], value: Value) -> Result<()> {
    for pod in pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({ "metadata": { "labels": { "kulta.test/ready": value } } });
        scenario.patch(&kinds::pod(), name, patch).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_canary_whose_pods_become_unready_loses_its_traffic_and_regains_it_with_them() -> Result<()> {
    let scenario = Scenario::begin("unready").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    let canaries = scenario.list(&kinds::pod(), "app=web,version=v2").await?;

    keep_unready(&scenario, &canaries, json!("never")).await?;
    until_share(&scenario, 0).await?;
    // Requests fail for a moment: only the pod's status shows that it is unready.
    let running = load(&canary, &scenario)?;
    share(&running, "v1", 100.0).await?;
    keep_unready(&scenario, &canaries, Value::Null).await?;
    until_share(&scenario, 50).await?;
    share(&running, "v2", 50.0).await?;

    let rollout = scenario.get(&kinds::rollout(), "web").await?;
    ensure!(api::number(&rollout, "/status/currentStepIndex") == 1, "moved on");
    println!("in all: {}", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}
