//! Both controllers at a time, by instance id.

use anyhow::{Result, ensure};
use kulta_tests::{api, kinds};

use serde_json::json;

use crate::site::{CALM, Site, canary, with_services};

/// Which controller writes: `rollouts-controller` or `kulta`, by the managers of the status.
async fn writers(site: &Site, rollout: &str) -> Result<Vec<String>> {
    let seen = site.scenario.get(&kinds::rollout(), rollout).await?;
    let managers = seen.metadata.managed_fields.unwrap_or_default();
    let of_status = managers.into_iter().filter(|entry| entry.subresource.as_deref() == Some("status"));
    Ok(of_status.filter_map(|entry| entry.manager).collect())
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn each_controller_touches_its_own_rollouts_and_a_relabelled_one_moves_in_the_middle_of_its_update() -> Result<()>
{
    let site = Site::begin("beside").await?;
    site.install_argo().await?;
    let scenario = &site.scenario;
    let (web, services) = with_services("web");
    scenario.apply_all(services).await?;
    site.paused(&canary("stays")).await?;
    site.paused(&web).await?;
    let all = ["stays", "web"];
    let before = site.workloads(&all).await?;

    site.page.run("side-install").await?;
    site.until_kulta_leads().await?;
    tokio::time::sleep(CALM).await;
    for rollout in all {
        ensure!(writers(&site, rollout).await? == ["rollouts-controller"], "{:?}", writers(&site, rollout).await?);
    }
    site.page.run("side-move").await?;
    scenario
        .until(&kinds::rollout(), "web", "KULTA's first write", |rollout| {
            rollout.metadata.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() == Some("kulta"))
        })
        .await?;
    tokio::time::sleep(CALM).await;
    ensure!(site.workloads(&all).await? == before, "{:?}, not {before:?}", site.workloads(&all).await?);
    site.until_paused("web").await?;
    site.promoted("web").await?;
    ensure!(writers(&site, "stays").await? == ["rollouts-controller"], "{:?}", writers(&site, "stays").await?);
    site.until_paused("stays").await?;

    // And back, in the middle of another update.
    site.updated(&web, "v3").await?;
    let before = site.workloads(&all).await?;
    site.page.run("side-return").await?;
    // So that it is Argo who goes on.
    site.page.run("stop-kulta").await?;
    tokio::time::sleep(CALM).await;
    ensure!(site.workloads(&all).await? == before, "{:?}, not {before:?}", site.workloads(&all).await?);
    site.promoted("web").await?;
    let stable = scenario.get(&kinds::service(), "web-stable").await?;
    let hash = api::text(&stable, "/spec/selector/rollouts-pod-template-hash").to_owned();
    let seen = scenario.get(&kinds::rollout(), "web").await?;
    ensure!(hash == api::text(&seen, "/status/stableRS"), "{:?}", stable.data);
    site.promoted("stays").await?;
    site.end().await
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn in_one_namespace_both_lead_if_their_leases_are_in_two() -> Result<()> {
    let site = Site::begin("beside-lease").await?;
    site.install_argo().await?;

    site.page.run("side-same-namespace").await?;
    site.until_kulta_leads().await?;

    site.deployed(&canary("stays")).await?;
    let labelled =
        canary("web").metadata(json!({"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "kulta"}}));
    site.deployed(&labelled).await?;
    ensure!(writers(&site, "stays").await? == ["rollouts-controller"], "{:?}", writers(&site, "stays").await?);
    ensure!(writers(&site, "web").await? == ["kulta"], "{:?}", writers(&site, "web").await?);
    let leases = site.page.shell("kubectl get leases --all-namespaces --output name | grep argo-rollouts").await?;
    ensure!(leases.lines().count() == 2, "{leases}");
    site.end().await
}
