//! Selectors of Services follow the revisions, and only once their pods exist.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::json;

use crate::{HASH, emitted_once, until_paused_at, until_share, until_stable};

const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

fn selected(service: &DynamicObject) -> String {
    api::text(service, &format!("/spec/selector/{HASH}")).to_owned()
}

fn manager(service: &DynamicObject) -> Option<String> {
    service.metadata.annotations.as_ref()?.get(MANAGED_BY).cloned()
}

async fn hash_of(scenario: &Scenario, status: &str) -> Result<String> {
    Ok(api::text(&scenario.get(&kinds::rollout(), "web").await?, &format!("/status/{status}")).to_owned())
}

async fn until_selected(scenario: &Scenario, service: &str, hash: &str) -> Result<DynamicObject> {
    scenario
        .until(&kinds::service(), service, &format!("a selector for {hash}"), |object| selected(object) == hash)
        .await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn services_are_adopted_only_once_the_first_revision_has_all_pods() -> Result<()> {
    let scenario = Scenario::begin("adopt").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").pod_label("kulta.test/ready-after", "3s");
    scenario.apply_canary(&canary).await?;
    scenario
        .until(&kinds::rollout(), "web", "its pods", |rollout| api::number(rollout, "/status/replicas") == 2)
        .await?;

    let before = scenario.get(&kinds::service(), "web-stable").await?;
    until_stable(&scenario, "web").await?;
    let stable = hash_of(&scenario, "stableRS").await?;
    for service in ["web-stable", "web-canary"] {
        let after = until_selected(&scenario, service, &stable).await?;
        ensure!(manager(&after).as_deref() == Some("web"), "{service}: {:?}", manager(&after));
        ensure!(api::text(&after, "/spec/selector/app") == "web", "{service} lost its own selector");
    }

    ensure!(selected(&before).is_empty() && manager(&before).is_none(), "taken over without pods: {before:?}");
    emitted_once(&scenario, "SwitchService", "'web-stable'").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_canarys_service_follows_once_a_pod_is_ready_and_is_restored_at_once_on_abort() -> Result<()> {
    let scenario = Scenario::begin("follow").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    deployed(&scenario, &canary).await?;
    let first = hash_of(&scenario, "stableRS").await?;
    until_selected(&scenario, "web-canary", &first).await?;

    scenario.apply(canary.clone().version("v2").pod_label("kulta.test/ready", "never").rollout()).await?;
    scenario
        .until(&kinds::rollout(), "web", "the canary's pods", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 2
        })
        .await?;
    let waiting = scenario.get(&kinds::service(), "web-canary").await?;
    let second = hash_of(&scenario, "currentPodHash").await?;
    let pods = scenario.list(&kinds::pod(), "app=web,version=v2").await?;
    let one = pods.first().and_then(|pod| pod.metadata.name.clone()).unwrap_or_default();
    scenario.patch(&kinds::pod(), &one, json!({ "metadata": { "labels": { "kulta.test/ready": null } } })).await?;
    until_selected(&scenario, "web-canary", &second).await?;
    let weight = scenario.weights("web").await?;
    scenario.verbs("web").abort().await?;
    until_selected(&scenario, "web-canary", &first).await?;
    let stable = scenario.get(&kinds::service(), "web-stable").await?;

    ensure!(selected(&waiting) == first, "follows a revision without ready pods");
    ensure!(weight.last().is_some_and(|canary| canary.1 == 0), "weight for one of two pods: {weight:?}");
    ensure!(selected(&stable) == first, "the stable Service moved");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_stable_service_follows_at_the_end_and_both_are_released_with_the_rollout() -> Result<()> {
    let scenario = Scenario::begin("letgo").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    deployed(&scenario, &canary).await?;
    let first = hash_of(&scenario, "stableRS").await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    let second = hash_of(&scenario, "currentPodHash").await?;
    let during = scenario.get(&kinds::service(), "web-stable").await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    until_share(&scenario, 0).await?;
    for service in ["web-stable", "web-canary"] {
        until_selected(&scenario, service, &second).await?;
    }

    scenario.delete(&kinds::rollout(), "web").await?;
    for service in ["web-stable", "web-canary"] {
        scenario
            .until(&kinds::service(), service, "no trace of the rollout", |object| {
                selected(object).is_empty() && manager(object).is_none()
            })
            .await?;
    }

    ensure!(selected(&during) == first, "the stable Service moved in mid-rollout");
    controller.stop().await?;
    scenario.end().await
}
