//! Selectors of Services follow the revisions, and only to pods that are there.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    story::Story,
};
use serde_json::json;

use crate::{HASH, told_once, until_paused_at, until_share, until_stable};

const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

fn selected(service: &DynamicObject) -> String {
    api::text(service, &format!("/spec/selector/{HASH}")).to_owned()
}

fn manager(service: &DynamicObject) -> Option<String> {
    service.metadata.annotations.as_ref()?.get(MANAGED_BY).cloned()
}

async fn hash_of(story: &Story, status: &str) -> Result<String> {
    Ok(api::text(&story.get(&kinds::rollout(), "web").await?, &format!("/status/{status}")).to_owned())
}

async fn until_selected(story: &Story, service: &str, hash: &str) -> Result<DynamicObject> {
    story.until(&kinds::service(), service, &format!("a selector for {hash}"), |object| selected(object) == hash).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn services_are_taken_over_only_once_the_first_revision_is_whole() -> Result<()> {
    let story = Story::begin("adopt").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").pod_label("kulta.test/ready-after", "3s");
    story.apply_canary(&canary).await?;
    story.until(&kinds::rollout(), "web", "its pods", |rollout| api::number(rollout, "/status/replicas") == 2).await?;

    let before = story.get(&kinds::service(), "web-stable").await?;
    until_stable(&story, "web").await?;
    let stable = hash_of(&story, "stableRS").await?;
    for service in ["web-stable", "web-canary"] {
        let after = until_selected(&story, service, &stable).await?;
        ensure!(manager(&after).as_deref() == Some("web"), "{service}: {:?}", manager(&after));
        ensure!(api::text(&after, "/spec/selector/app") == "web", "{service} lost its own selector");
    }

    ensure!(selected(&before).is_empty() && manager(&before).is_none(), "taken over without pods: {before:?}");
    told_once(&story, "SwitchService", "'web-stable'").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_canarys_service_follows_when_a_pod_is_there_and_goes_back_at_once_on_abort() -> Result<()> {
    let story = Story::begin("follow").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").replicas(4).steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    deployed(&story, &canary).await?;
    let first = hash_of(&story, "stableRS").await?;
    until_selected(&story, "web-canary", &first).await?;

    story.apply(canary.clone().version("v2").pod_label("kulta.test/ready", "never").rollout()).await?;
    story
        .until(&kinds::rollout(), "web", "the canary's pods", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 2
        })
        .await?;
    let waiting = story.get(&kinds::service(), "web-canary").await?;
    let second = hash_of(&story, "currentPodHash").await?;
    let pods = story.list(&kinds::pod(), "app=web,version=v2").await?;
    let one = pods.first().and_then(|pod| pod.metadata.name.clone()).unwrap_or_default();
    story.patch(&kinds::pod(), &one, json!({ "metadata": { "labels": { "kulta.test/ready": null } } })).await?;
    until_selected(&story, "web-canary", &second).await?;
    let weight = story.weights("web").await?;
    story.verbs("web").abort().await?;
    until_selected(&story, "web-canary", &first).await?;
    let stable = story.get(&kinds::service(), "web-stable").await?;

    ensure!(selected(&waiting) == first, "follows a revision without ready pods");
    ensure!(weight.last().is_some_and(|canary| canary.1 == 0), "weight for one of two pods: {weight:?}");
    ensure!(selected(&stable) == first, "the stable Service moved");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_stable_service_follows_at_the_end_and_both_are_let_go_with_the_rollout() -> Result<()> {
    let story = Story::begin("letgo").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]));
    deployed(&story, &canary).await?;
    let first = hash_of(&story, "stableRS").await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    let second = hash_of(&story, "currentPodHash").await?;
    let during = story.get(&kinds::service(), "web-stable").await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    until_share(&story, 0).await?;
    for service in ["web-stable", "web-canary"] {
        until_selected(&story, service, &second).await?;
    }

    story.delete(&kinds::rollout(), "web").await?;
    for service in ["web-stable", "web-canary"] {
        story
            .until(&kinds::service(), service, "no trace of the rollout", |object| {
                selected(object).is_empty() && manager(object).is_none()
            })
            .await?;
    }

    ensure!(selected(&during) == first, "the stable Service moved in mid-rollout");
    controller.stop().await?;
    story.end().await
}
