//! From KULTA to Argo, by manifests.

use anyhow::{Result, ensure};
use kulta_tests::{api, argo::Argo, kinds, manifests::Canary};
use serde_json::json;

use crate::{
    site::{CALM, Site},
    there::{ROLLOUTS, before_the_move},
};

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn argo_continues_what_kulta_has_begun_and_replaces_no_pod() -> Result<()> {
    let site = Site::begin("back").await?;
    site.install_kulta().await?;
    let scenario = &site.scenario;
    let before = before_the_move(&site).await?;

    site.page.run("stop-kulta").await?;
    site.page.run("start-argo").await?;
    site.until_argo_leads().await?;
    tokio::time::sleep(CALM).await;

    before.is_unchanged(&site).await?;
    site.until_paused("web").await?;
    scenario.until_phase("bad", "Degraded").await?;
    site.promoted("web").await?;
    Argo::of(scenario).run(&["retry", "rollout", "bad"]).await?;
    site.past_first_pause("bad").await?;
    site.promoted("bad").await?;
    scenario.until_phase("idle", "Healthy").await?;
    ensure!(site.workload("idle").await? == before.workloads["idle"]);
    let seen = scenario.get(&kinds::rollout(), "web").await?;
    ensure!(seen.data.pointer("/status/kulta").is_none(), "Argo's CRD keeps KULTA's record: {:?}", seen.data);
    site.page.run("remove-kulta").await?;
    for rollout in ROLLOUTS {
        scenario.until_phase(rollout, "Healthy").await?;
    }
    site.end().await
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn argo_refuses_a_rollout_that_a_plugin_leads_and_leaves_its_pods_until_kulta_is_back() -> Result<()> {
    let site = Site::begin("back-plugin").await?;
    site.install_kulta().await?;
    let scenario = &site.scenario;
    let canary = Canary::new("led").without_routing();
    let led =
        |version: &str| canary.clone().version(version).led_by("linear", json!({"stepWeight": 50, "interval": "1h"}));
    scenario.apply(led("v1")).await?;
    scenario.until_phase("led", "Healthy").await?;
    scenario.apply(led("v2")).await?;
    scenario
        .until(&kinds::rollout(), "led", "one new pod", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 1
                && api::number(rollout, "/status/availableReplicas") == 2
        })
        .await?;
    tokio::time::sleep(CALM).await;
    let before = site.workload("led").await?;

    site.page.run("stop-kulta").await?;
    site.page.run("start-argo").await?;
    site.until_argo_leads().await?;

    let refused = scenario.until_phase("led", "Degraded").await?;
    let message = api::text(&refused, "/status/message");
    ensure!(message.starts_with("InvalidSpec:") && message.contains("spec.strategy"), "{message}");
    tokio::time::sleep(CALM).await;
    ensure!(site.workload("led").await? == before, "{:?}, not {before:?}", site.workload("led").await?);
    site.page.run("stop-argo").await?;
    site.install_kulta().await?;
    scenario.apply(led("v2")).await?;
    scenario
        .until(&kinds::rollout(), "led", "its update to go on", |rollout| {
            api::text(rollout, "/status/phase") != "Degraded"
        })
        .await?;
    tokio::time::sleep(CALM).await;
    ensure!(site.workload("led").await? == before, "{:?}, not {before:?}", site.workload("led").await?);
    let argo = Argo::of(scenario);
    argo.run(&["promote", "led", "--full"]).await?;
    argo.run(&["status", "led", "--timeout", "60s"]).await?;
    site.end().await
}
