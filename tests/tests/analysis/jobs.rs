//! The provider `job`: a batch Job of the run, with a permission of its own.

use anyhow::{Result, ensure};
use kulta_tests::{
    api, kinds, kulta,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

use crate::{message, name, result, run, until_run, with_role};

/// A metric with a Job whose pod has a label.
fn by_job(label: &str, value: &str) -> Vec<Value> {
    let pod = json!({
        "metadata": {"labels": {label: value}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "test", "image": "example.test/test:{{args.tag}}"}]},
    });
    let job = json!({"metadata": {"labels": {"team": "red"}}, "spec": {"backoffLimit": 0, "template": pod}});
    vec![json!({"name": "smoke", "provider": {"job": job}, "consecutiveErrorLimit": 0})]
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_jobs_result_is_the_measurement() -> Result<()> {
    let scenario = Scenario::begin("jobs").await?;
    let controller = kulta::start(&scenario, None).await?;
    let args = json!({"args": [{"name": "tag", "value": "7"}]});
    scenario.apply(run("forbidden", by_job("x", "y"), args.clone())).await?;
    let forbidden = until_run(&scenario, "forbidden", "Error").await?;
    with_role(&scenario, "jobs-role.yaml", "batch", "jobs", "create").await?;

    scenario.apply(run("passes", by_job("x", "y"), args.clone())).await?;
    scenario.apply(run("fails", by_job("kulta.test/job", "fail"), args)).await?;

    ensure!(message(&forbidden).contains("cannot create resource \"jobs\""), "{}", message(&forbidden));
    let passes = until_run(&scenario, "passes", "Successful").await?;
    until_run(&scenario, "fails", "Failed").await?;
    let made = result(&passes, "smoke")?.pointer("/measurements/0/metadata/job-name").and_then(Value::as_str);
    let jobs = scenario.list(&kinds::job(), "team=red").await?;
    let job = jobs.iter().find(|job| Some(name(job).as_str()) == made);
    let job = job.ok_or_else(|| anyhow::anyhow!("no Job {made:?}"))?;
    let image = api::text(job, "/spec/template/spec/containers/0/image");
    ensure!(image == "example.test/test:7", "{image}");
    ensure!(jobs.len() == 2, "{} Jobs", jobs.len());
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_running_job_is_deleted_when_its_run_is_ended() -> Result<()> {
    let scenario = Scenario::begin("job-ended").await?;
    let controller = kulta::start(&scenario, None).await?;
    with_role(&scenario, "jobs-role.yaml", "batch", "jobs", "create").await?;
    let args = json!({"args": [{"name": "tag", "value": "7"}]});
    scenario.apply(run("long", by_job("kulta.test/ready-after", "600s"), args)).await?;
    wait::poll("the Job", SOON, || async {
        Ok((!scenario.list(&kinds::job(), "team=red").await?.is_empty()).then_some(()))
    })
    .await?;

    scenario.patch(&kinds::analysis_run(), "long", json!({"spec": {"terminate": true}})).await?;

    until_run(&scenario, "long", "Successful").await?;
    wait::poll("the end of the Job", SOON, || async {
        let left = scenario.list(&kinds::job(), "team=red").await?;
        Ok(left.iter().all(|job| job.metadata.deletion_timestamp.is_some()).then_some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}
