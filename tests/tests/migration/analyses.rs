//! Analyses in progress when the controller changes.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds,
    manifests::Canary,
    scenario::SOON,
    wait,
};
use serde_json::{Value, json};

use crate::site::{CALM, Site, canary};

/// A metric that passes while the server answers 0, measured each second in the background.
fn template(server: &Answers) -> Value {
    let web = json!({"url": server.url(), "jsonPath": "{$.errors}"});
    let metric =
        json!({"name": "errors", "interval": "1s", "successCondition": "result == 0", "provider": {"web": web}});
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"metrics": [metric]},
    })
}

fn analysed() -> Canary {
    canary("web").canary(json!({"analysis": {"templates": [{"templateName": "errors"}]}}))
}

const GOOD: i64 = 0;
const BAD: i64 = 1;

fn errors(count: i64) -> Mode {
    Mode::Json(json!({"errors": count}))
}

async fn only_run(site: &Site) -> Result<DynamicObject> {
    let mut runs = site.scenario.list(&kinds::analysis_run(), "").await?;
    ensure!(runs.len() == 1, "{} runs", runs.len());
    runs.pop().context("no run")
}

/// Waits until the only run has so many more measurements.
async fn measures(site: &Site, more: i64) -> Result<i64> {
    let run = only_run(site).await?;
    let count = |run: &DynamicObject| api::number(run, "/status/metricResults/0/count");
    let (name, least) = (run.metadata.name.clone().context("no name")?, count(&run) + more);
    let run = site.scenario.until(&kinds::analysis_run(), &name, "measurements", |run| count(run) >= least).await?;
    Ok(count(&run))
}

/// An update at its last pause with an analysis that measures.
async fn under_analysis(site: &Site) -> Result<Answers> {
    let server = Answers::start(errors(GOOD)).await?;
    site.scenario.apply(template(&server)).await?;
    site.paused(&analysed()).await?;
    measures(site, 2).await?;
    Ok(server)
}

/// The only run measures on at the same pause. Then the metric becomes bad, and the run aborts the update.
async fn goes_on_and_aborts(site: &Site, server: &Answers) -> Result<()> {
    measures(site, 2).await?;
    site.until_paused("web").await?;
    server.set(errors(BAD));
    let seen = site.scenario.until_phase("web", "Degraded").await?;
    let message = api::text(&seen, "/status/message");
    ensure!(message.contains("Metric \"errors\" assessed Failed"), "{message}");
    ensure!(api::text(&only_run(site).await?, "/status/phase") == "Failed");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn kulta_continues_an_analysis_of_argos_and_aborts_by_it() -> Result<()> {
    let site = Site::begin("there-analysis").await?;
    site.install_argo().await?;
    let server = under_analysis(&site).await?;

    site.page.run("stop-argo").await?;
    site.install_kulta().await?;

    goes_on_and_aborts(&site, &server).await?;
    site.end().await
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn argo_continues_an_analysis_of_kultas_and_aborts_by_it() -> Result<()> {
    let site = Site::begin("back-analysis").await?;
    site.install_kulta().await?;
    let server = under_analysis(&site).await?;

    site.page.run("stop-kulta").await?;
    site.page.run("start-argo").await?;
    site.until_argo_leads().await?;

    goes_on_and_aborts(&site, &server).await?;
    site.end().await
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn side_by_side_argos_analyses_work_and_one_in_progress_moves_with_its_rollout() -> Result<()> {
    let site = Site::begin("beside-analysis").await?;
    site.install_argo().await?;
    let server = Answers::start(errors(GOOD)).await?;
    site.scenario.apply(template(&server)).await?;
    site.page.run("side-install").await?;
    site.until_kulta_leads().await?;
    site.paused(&analysed()).await?;
    measures(&site, 2).await?;

    site.page.run("side-move").await?;

    measures(&site, 2).await?;
    goes_on_and_aborts(&site, &server).await?;
    site.end().await
}

/// Why the page leaves Argo's CRDs of analyses in place where both controllers work.
#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn argo_cannot_store_a_measurement_in_kultas_analysis_runs() -> Result<()> {
    let site = Site::begin("argo-on-kulta-crd").await?;
    site.install_argo().await?;
    let server = Answers::start(errors(GOOD)).await?;
    site.scenario.apply(template(&server)).await?;
    site.page.shell("kubectl apply --server-side --force-conflicts -f crds/argoproj.io_analysisruns.yaml").await?;
    site.deployed(&analysed()).await?;

    site.scenario.apply(analysed().version("v2").rollout()).await?;

    wait::poll("the run", SOON, || async { only_run(&site).await.map(Some) }).await?;
    tokio::time::sleep(CALM).await;
    let run = only_run(&site).await?;
    ensure!(run.data.get("status").is_none(), "{:?}", run.data);
    site.end().await
}
