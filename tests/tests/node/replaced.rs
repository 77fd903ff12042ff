//! KULTA's pod is replaced while a rollout is in progress.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds, load,
    manifests::Canary,
    node::{app::Behaviour, images::NEXT, install as installation},
    scenario::Scenario,
};
use serde_json::json;

use crate::{WEB, begin, deployed, load_by_route, pod_uids, until_ready_pods, updated};

pub fn canary() -> Canary {
    let steps = json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": "5s"}}]);
    Canary::new(WEB).replicas(2).steps(steps).canary(json!({"scaleDownDelaySeconds": 3}))
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn an_upgrade_by_the_manifests_in_the_middle_of_a_rollout_changes_no_pod_and_loses_no_request() -> Result<()> {
    let scenario = begin("upgrade").await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_route(&scenario, &canary).await?;
    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    let before = paused_at_the_first_step(&scenario).await?;
    let pods = pod_uids(&scenario, WEB).await?;

    let pod = installation::apply(&scenario.client, |deployment| {
        if let Some(container) = installation::container(deployment) {
            container["image"] = json!(NEXT);
        }
    })
    .await?;
    let after = paused_at_the_first_step(&scenario).await?;

    ensure!(api::text(&pod, "/spec/containers/0/image") == NEXT, "{:?}", pod.data["spec"]["containers"]);
    ensure!(pod_uids(&scenario, WEB).await? == pods, "the upgrade changed the rollout's pods");
    ensure!(after.metadata.generation == before.metadata.generation, "the upgrade changed the rollout's spec");
    scenario.verbs(WEB).promote().await?;
    healthy_without_a_lost_request(&scenario, load).await?;
    scenario.end().await
}

pub async fn paused_at_the_first_step(scenario: &Scenario) -> Result<DynamicObject> {
    scenario.until_weights(WEB, &[("web-stable", 75), ("web-canary", 25)]).await?;
    scenario
        .until(&kinds::rollout(), WEB, "a pause at step 1", |rollout| {
            api::text(rollout, "/status/phase") == "Paused" && api::number(rollout, "/status/currentStepIndex") == 1
        })
        .await
}

pub async fn healthy_without_a_lost_request(scenario: &Scenario, load: load::Load) -> Result<()> {
    scenario.until_phase(WEB, "Healthy").await?;
    until_ready_pods(scenario, WEB, &[("v2", 2)]).await?;
    load.next(200).await?;
    let all = load::total(&load.stop().await);
    println!("{all}");
    ensure!(all.failed() == 0, "{all}");
    Ok(())
}
