//! `spec.replicas`: its default, and changes by users and autoscalers, idle and during an update.

use anyhow::{Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::json;

use crate::{WEB, living_uids, text, until_paused_at, until_pods};

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_without_routes_keeps_its_share_when_it_is_scaled() -> Result<()> {
    let scenario = Scenario::begin("scale-basic").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing().steps(json!([{"setWeight": 25}, {"pause": {}}]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    until_pods(&scenario, WEB, &[3, 1]).await?;

    for (replicas, wanted) in [(8, [6, 2]), (4, [3, 1])] {
        scenario.verbs(WEB).patch_spec(json!({"spec": {"replicas": replicas}})).await?;
        until_pods(&scenario, WEB, &wanted).await?;
        until_paused_at(&scenario, WEB, 1).await?;
    }

    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_routed_update_keeps_its_share_when_it_is_scaled() -> Result<()> {
    let scenario = Scenario::begin("scale-routed").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(2);
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    until_pods(&scenario, WEB, &[2, 1]).await?;

    for (replicas, wanted) in [(6, [6, 3]), (4, [4, 2])] {
        scenario.verbs(WEB).patch_spec(json!({"spec": {"replicas": replicas}})).await?;
        until_pods(&scenario, WEB, &wanted).await?;
        until_paused_at(&scenario, WEB, 1).await?;
    }

    scenario.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_that_is_paused_by_its_spec_is_still_scaled() -> Result<()> {
    let scenario = Scenario::begin("scale-paused").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing();
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).pause().await?;

    scenario.verbs(WEB).patch_spec(json!({"spec": {"replicas": 8}})).await?;

    until_pods(&scenario, WEB, &[4, 4]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_autoscaler_reads_replicas_and_selector_and_its_scale_is_applied() -> Result<()> {
    let scenario = Scenario::begin("autoscaler").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(2).without_routing();
    deployed(&scenario, &canary).await?;
    let rollouts = scenario.api(&kinds::rollout());

    let scale = rollouts.get_scale(WEB).await?;
    let status = scale.status.unwrap_or_default();
    ensure!(scale.spec.and_then(|spec| spec.replicas) == Some(2), "spec.replicas");
    ensure!((status.replicas, status.selector.as_deref()) == (2, Some("app=web")), "{status:?}");
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    rollouts.patch_scale(WEB, &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 6}}))).await?;

    until_pods(&scenario, WEB, &[3, 3]).await?;
    scenario
        .until(&kinds::rollout(), WEB, "pods of both revisions in HPAReplicas", |rollout| {
            api::number(rollout, "/status/HPAReplicas") == 6
        })
        .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_autoscaler_counts_the_stable_pods_behind_a_route_unless_configured_to_count_all() -> Result<()> {
    let scenario = Scenario::begin("autoscaler-routed").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(2);
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    let counts = |rollout: &DynamicObject| {
        (api::number(rollout, "/status/replicas"), api::number(rollout, "/status/HPAReplicas"))
    };

    scenario
        .until(&kinds::rollout(), WEB, "the stable pods in HPAReplicas", |rollout| counts(rollout) == (3, 2))
        .await?;
    let annotation = json!({"metadata": {"annotations": {"kulta.io/hpa-counts-all-pods": "true"}}});
    scenario.verbs(WEB).patch_spec(annotation).await?;
    scenario.until(&kinds::rollout(), WEB, "all pods in HPAReplicas", |rollout| counts(rollout) == (3, 3)).await?;

    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_without_pods_is_healthy_takes_its_steps_and_can_grow() -> Result<()> {
    let scenario = Scenario::begin("zero").await?;
    let controller = start(&scenario, None).await?;
    for canary in [Canary::new("basic").without_routing(), Canary::new("routed")] {
        let name = canary.name.clone();
        let canary = canary.replicas(0);
        deployed(&scenario, &canary).await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, &name, 1).await?;
        scenario.verbs(&name).promote().await?;
        let seen = scenario.until_phase(&name, "Healthy").await?;
        ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);

        scenario.verbs(&name).patch_spec(json!({"spec": {"replicas": 2}})).await?;

        until_pods(&scenario, &name, &[0, 2]).await?;
        scenario.until_phase(&name, "Healthy").await?;
        ensure!(living_uids(&scenario, &name, "v1").await?.is_empty(), "no pod of the old version");
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_is_scaled_to_zero_and_back_during_an_update() -> Result<()> {
    let scenario = Scenario::begin("to-zero").await?;
    let controller = start(&scenario, None).await?;
    for canary in [Canary::new("basic").without_routing(), Canary::new("routed")] {
        let name = &canary.name;
        deployed(&scenario, &canary).await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, name, 1).await?;

        scenario.verbs(name).patch_spec(json!({"spec": {"replicas": 0}})).await?;
        until_pods(&scenario, name, &[0, 0]).await?;
        scenario.verbs(name).patch_spec(json!({"spec": {"replicas": 2}})).await?;

        until_pods(&scenario, name, if name == "basic" { &[1, 1] } else { &[2, 1] }).await?;
        until_paused_at(&scenario, name, 1).await?;
        scenario.verbs(name).promote().await?;
        scenario.until_phase(name, "Healthy").await?;
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn absent_replicas_become_one_in_the_spec() -> Result<()> {
    let scenario = Scenario::begin("absent").await?;
    let controller = start(&scenario, None).await?;
    let mut rollout = Canary::new(WEB).without_routing().rollout();
    if let Some(spec) = rollout.get_mut("spec").and_then(serde_json::Value::as_object_mut) {
        spec.remove("replicas");
    }

    scenario.apply(rollout).await?;

    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(api::number(&seen, "/spec/replicas") == 1, "{:?}", seen.data);
    until_pods(&scenario, WEB, &[1]).await?;
    controller.stop().await?;
    scenario.end().await
}
