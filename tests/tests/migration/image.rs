//! KULTA's image in Argo's own Deployment.

use anyhow::{Result, ensure};
use kulta_tests::{api, kinds};

use crate::site::{CALM, Site, canary};

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn argos_deployment_continues_an_update_with_kultas_image_and_again_with_its_own() -> Result<()> {
    let site = Site::begin("image").await?;
    site.install_argo().await?;
    let scenario = &site.scenario;
    let web = canary("web");
    site.deployed(&canary("idle")).await?;
    site.paused(&web).await?;
    let all = ["idle", "web"];
    let before = site.workloads(&all).await?;

    site.page.run("image").await?;
    site.pods.until_logged("argo-rollouts", "cache filled kind=\"Rollout\"").await?;
    tokio::time::sleep(CALM).await;

    ensure!(site.pods.image("argo-rollouts")?.contains("kulta"));
    ensure!(site.workloads(&all).await? == before, "{:?}, not {before:?}", site.workloads(&all).await?);
    site.promoted("web").await?;
    let seen = scenario
        .until(&kinds::rollout(), "web", "its record to be kept", |rollout| {
            rollout.data.pointer("/status/kulta").is_some()
        })
        .await?;
    ensure!(api::condition(&seen, "RecordKept").is_none(), "{:?}", seen.data);

    site.updated(&web, "v3").await?;
    let before = site.workloads(&all).await?;
    site.page.run("start-argo").await?;
    site.until_argo_leads().await?;
    tokio::time::sleep(CALM).await;
    ensure!(site.pods.image("argo-rollouts")?.contains("argoproj"));
    ensure!(site.workloads(&all).await? == before, "{:?}, not {before:?}", site.workloads(&all).await?);
    site.promoted("web").await?;
    site.end().await
}
