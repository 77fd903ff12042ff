//! `spec.replicas`: written down, changed at rest and in mid-update, by people and by autoscalers.

use anyhow::{Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    story::Story,
};
use serde_json::json;

use crate::{WEB, living_uids, text, until_paused_at, until_pods};

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_without_routes_keeps_its_share_when_it_is_scaled() -> Result<()> {
    let story = Story::begin("scale-basic").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing().steps(json!([{"setWeight": 25}, {"pause": {}}]));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;
    until_pods(&story, WEB, &[3, 1]).await?;

    for (replicas, wanted) in [(8, [6, 2]), (4, [3, 1])] {
        story.verbs(WEB).patch_spec(json!({"spec": {"replicas": replicas}})).await?;
        until_pods(&story, WEB, &wanted).await?;
        until_paused_at(&story, WEB, 1).await?;
    }

    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_routed_update_keeps_its_share_when_it_is_scaled() -> Result<()> {
    let story = Story::begin("scale-routed").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).replicas(2);
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;
    until_pods(&story, WEB, &[2, 1]).await?;

    for (replicas, wanted) in [(6, [6, 3]), (4, [4, 2])] {
        story.verbs(WEB).patch_spec(json!({"spec": {"replicas": replicas}})).await?;
        until_pods(&story, WEB, &wanted).await?;
        until_paused_at(&story, WEB, 1).await?;
    }

    story.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    story.verbs(WEB).promote().await?;
    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_that_is_stopped_by_its_spec_is_still_scaled() -> Result<()> {
    let story = Story::begin("scale-paused").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing();
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;
    story.verbs(WEB).pause().await?;

    story.verbs(WEB).patch_spec(json!({"spec": {"replicas": 8}})).await?;

    until_pods(&story, WEB, &[4, 4]).await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_autoscaler_finds_replicas_and_selector_and_its_scale_is_followed() -> Result<()> {
    let story = Story::begin("autoscaler").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).replicas(2).without_routing();
    deployed(&story, &canary).await?;
    let rollouts = story.api(&kinds::rollout());

    let scale = rollouts.get_scale(WEB).await?;
    let status = scale.status.unwrap_or_default();
    ensure!(scale.spec.and_then(|spec| spec.replicas) == Some(2), "spec.replicas");
    ensure!((status.replicas, status.selector.as_deref()) == (2, Some("app=web")), "{status:?}");
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;
    rollouts.patch_scale(WEB, &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 6}}))).await?;

    until_pods(&story, WEB, &[3, 3]).await?;
    story
        .until(&kinds::rollout(), WEB, "pods of both revisions in HPAReplicas", |rollout| {
            api::number(rollout, "/status/HPAReplicas") == 6
        })
        .await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_autoscaler_is_told_of_the_stable_pods_behind_a_route_unless_all_are_asked_for() -> Result<()> {
    let story = Story::begin("autoscaler-routed").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).replicas(2);
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;
    let counts = |rollout: &DynamicObject| {
        (api::number(rollout, "/status/replicas"), api::number(rollout, "/status/HPAReplicas"))
    };

    story.until(&kinds::rollout(), WEB, "the stable pods in HPAReplicas", |rollout| counts(rollout) == (3, 2)).await?;
    let annotation = json!({"metadata": {"annotations": {"kulta.io/hpa-counts-all-pods": "true"}}});
    story.verbs(WEB).patch_spec(annotation).await?;
    story.until(&kinds::rollout(), WEB, "all pods in HPAReplicas", |rollout| counts(rollout) == (3, 3)).await?;

    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_of_no_pods_is_healthy_takes_its_steps_and_can_grow() -> Result<()> {
    let story = Story::begin("zero").await?;
    let controller = start(&story, None).await?;
    for canary in [Canary::new("basic").without_routing(), Canary::new("routed")] {
        let name = canary.name.clone();
        let canary = canary.replicas(0);
        deployed(&story, &canary).await?;
        updated(&story, &canary).await?;
        until_paused_at(&story, &name, 1).await?;
        story.verbs(&name).promote().await?;
        let seen = story.until_phase(&name, "Healthy").await?;
        ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);

        story.verbs(&name).patch_spec(json!({"spec": {"replicas": 2}})).await?;

        until_pods(&story, &name, &[0, 2]).await?;
        story.until_phase(&name, "Healthy").await?;
        ensure!(living_uids(&story, &name, "v1").await?.is_empty(), "no pod of the old version");
    }
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_is_scaled_to_no_pods_in_mid_update_and_back() -> Result<()> {
    let story = Story::begin("to-zero").await?;
    let controller = start(&story, None).await?;
    for canary in [Canary::new("basic").without_routing(), Canary::new("routed")] {
        let name = &canary.name;
        deployed(&story, &canary).await?;
        updated(&story, &canary).await?;
        until_paused_at(&story, name, 1).await?;

        story.verbs(name).patch_spec(json!({"spec": {"replicas": 0}})).await?;
        until_pods(&story, name, &[0, 0]).await?;
        story.verbs(name).patch_spec(json!({"spec": {"replicas": 2}})).await?;

        until_pods(&story, name, if name == "basic" { &[1, 1] } else { &[2, 1] }).await?;
        until_paused_at(&story, name, 1).await?;
        story.verbs(name).promote().await?;
        story.until_phase(name, "Healthy").await?;
    }
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn absent_replicas_are_one_and_are_written_down() -> Result<()> {
    let story = Story::begin("absent").await?;
    let controller = start(&story, None).await?;
    let mut rollout = Canary::new(WEB).without_routing().rollout();
    if let Some(spec) = rollout.get_mut("spec").and_then(serde_json::Value::as_object_mut) {
        spec.remove("replicas");
    }

    story.apply(rollout).await?;

    let seen = story.until_phase(WEB, "Healthy").await?;
    ensure!(api::number(&seen, "/spec/replicas") == 1, "{:?}", seen.data);
    until_pods(&story, WEB, &[1]).await?;
    controller.stop().await?;
    story.end().await
}
