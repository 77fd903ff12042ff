//! Canaries by pods: good versions, and versions that fail as real pods do.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_tests::{api, kinds, load, manifests::Canary, node::app::Behaviour, scenario::Scenario};
use serde_json::json;

use crate::{WEB, begin, deployed, load_by_service, until_ready_pods, updated};

/// Five pods, of which a stable one is taken away only when a new one is available.
fn canary() -> Canary {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
    Canary::new(WEB).replicas(5).without_routing().steps(steps).canary(json!({"maxSurge": 1, "maxUnavailable": 0}))
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_canary_by_pods_goes_from_20_to_60_to_100_percent() -> Result<()> {
    let scenario = begin("by-pods").await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::Serves).await?;

    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    scenario.until_phase(WEB, "Paused").await?;
    until_ready_pods(&scenario, WEB, &[("v1", 4), ("v2", 1)]).await?;
    scenario.verbs(WEB).promote().await?;
    until_ready_pods(&scenario, WEB, &[("v1", 2), ("v2", 3)]).await?;
    scenario.until_phase(WEB, "Paused").await?;
    scenario.verbs(WEB).promote().await?;

    scenario.until_phase(WEB, "Healthy").await?;
    until_ready_pods(&scenario, WEB, &[("v2", 5)]).await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_version_that_crashes_is_aborted_at_its_deadline_while_stable_serves() -> Result<()> {
    aborted_at_its_deadline("crashes", Behaviour::Crashes, |status| {
        status.pointer("/lastState/terminated/exitCode").or_else(|| status.pointer("/state/terminated/exitCode"))
            == Some(&json!(3))
    })
    .await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_version_that_runs_out_of_memory_is_aborted_at_its_deadline_while_stable_serves() -> Result<()> {
    aborted_at_its_deadline("out-of-memory", Behaviour::OutOfMemory, |status| {
        let reasons = ["/lastState/terminated/reason", "/state/terminated/reason"].map(|path| status.pointer(path));
        reasons.contains(&Some(&json!("OOMKilled")))
    })
    .await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_version_whose_image_cannot_be_pulled_is_aborted_at_its_deadline_while_stable_serves() -> Result<()> {
    aborted_at_its_deadline("no-image", Behaviour::NoImage, |status| {
        let reason = status.pointer("/state/waiting/reason");
        [Some(&json!("ErrImagePull")), Some(&json!("ImagePullBackOff"))].contains(&reason)
    })
    .await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_version_that_never_becomes_ready_stays_at_its_step_until_a_user_aborts_it() -> Result<()> {
    let scenario = begin("never-ready").await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_service(&scenario, WEB).await?;

    updated(&scenario, &canary, "v2", Behaviour::NeverReady).await?;
    until_running(&scenario, |status| status.pointer("/state/running").is_some()).await?;
    load.next(600).await?;
    let waiting = scenario.get(&kinds::rollout(), WEB).await?;
    scenario.verbs(WEB).abort().await?;
    scenario.until_phase(WEB, "Degraded").await?;
    until_ready_pods(&scenario, WEB, &[("v1", 5)]).await?;

    ensure!(api::text(&waiting, "/status/phase") == "Progressing", "{:?}", waiting.data["status"]["phase"]);
    ensure!(api::number(&waiting, "/status/currentStepIndex") == 0, "{:?}", waiting.data["status"]);
    only_stable_answered(load).await?;
    scenario.end().await
}

/// Updates to a version that never becomes available. `failed` recognizes the container status of its pod.
async fn aborted_at_its_deadline(
    name: &str,
    behaviour: Behaviour,
    failed: impl Fn(&serde_json::Value) -> bool,
) -> Result<()> {
    let scenario = begin(name).await?;
    let canary = canary().spec(json!({"progressDeadlineSeconds": 15, "progressDeadlineAbort": true}));
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_service(&scenario, WEB).await?;

    updated(&scenario, &canary, "v2", behaviour).await?;
    until_running(&scenario, failed).await?;
    let rollout = scenario.until_phase(WEB, "Degraded").await?;
    until_ready_pods(&scenario, WEB, &[("v1", 5)]).await?;
    load.next(200).await?;

    let aborted = rollout.data.pointer("/status/abort") == Some(&json!(true));
    ensure!(aborted, "{:?}", rollout.data);
    only_stable_answered(load).await?;
    scenario.end().await
}

/// Waits until a pod of version v2 has a container status like this.
async fn until_running(scenario: &Scenario, wanted: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
    kulta_tests::wait::poll("the state of the new version's container", Duration::from_secs(60), || async {
        let pods = scenario.list(&kinds::pod(), &format!("app={WEB},version=v2")).await?;
        let statuses: Vec<_> =
            pods.iter().filter_map(|pod| pod.data.pointer("/status/containerStatuses/0").cloned()).collect();
        ensure!(statuses.iter().any(&wanted), "{statuses:?}");
        Ok(Some(()))
    })
    .await
}

async fn only_stable_answered(load: load::Load) -> Result<()> {
    let all = load::total(&load.stop().await);
    println!("{all}");
    ensure!(all.failed() == 0 && all.versions.keys().eq(["v1"]), "{all}");
    Ok(())
}
