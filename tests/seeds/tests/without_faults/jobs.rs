//! Metrics of the provider `job`, on a cluster that completes each Job within a second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_embedded::kind::Kind;
use kulta_embedded::store::{ListOptions, Patch, Selection, WriteOptions};
use kulta_seeds::cluster::{Cluster, NAMESPACE, ObjectKind, ROLLOUT, USER};
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::unrouted;
use kulta_seeds::{objects::Health, scenario::template};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

/// Defines Jobs, which the embedded server does not have.
fn serve_jobs(cluster: &Cluster) -> Result<()> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "jobs.batch" },
        "spec": {
            "group": "batch", "scope": "Namespaced", "names": { "plural": "jobs", "singular": "job", "kind": "Job" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    });
    cluster.create_any("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", definition)
}

fn metric(name: &str, count: u32) -> Value {
    let pod = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "check", "image": "tools:1" }] } });
    let job = json!({ "spec": { "backoffLimit": 0, "template": pod } });
    json!({ "name": name, "count": count, "interval": "1s", "provider": { "job": job } })
}

fn analysis_run(metrics: &[Value]) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": "checks", "namespace": NAMESPACE }, "spec": { "metrics": metrics },
    })
}

fn job_kind(cluster: &Cluster) -> Result<Arc<Kind>> {
    cluster.store.kind("batch/v1", "Job").context("the server serves no Jobs")
}

fn jobs(cluster: &Cluster) -> Result<Vec<Arc<Value>>> {
    let page = cluster.store.list(&*job_kind(cluster)?, NAMESPACE, &Selection::default(), &ListOptions::default());
    page.map(|page| page.items).map_err(|error| anyhow::anyhow!("list Jobs: {}", error.status()))
}

fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Completes Jobs for this number of seconds; returns the names of all Jobs that existed.
async fn complete(cluster: &Cluster, seconds: u32) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for _ in 0..seconds {
        tokio::time::sleep(SECOND).await;
        for job in jobs(cluster)? {
            names.insert(name(&job));
            let patch = Patch::Merge(json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } }));
            let options = WriteOptions::by(USER).status();
            let patched = cluster.store.patch(&*job_kind(cluster)?, NAMESPACE, &name(&job), &patch, &options);
            patched.map_err(|error| anyhow::anyhow!("complete a Job: {}", error.status()))?;
        }
    }
    Ok(names)
}

fn phase(cluster: &Cluster) -> Result<Value> {
    let run = cluster.get(ObjectKind::AnalysisRun, "checks")?.context("the run is not found")?;
    Ok(run.pointer("/status/phase").cloned().unwrap_or_default())
}

#[test]
fn metrics_of_any_names_have_a_job_for_each_measurement() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let cluster = &harness.cluster;
        serve_jobs(cluster)?;
        let long = "service-endpoint-is-reachable-from-inside-the-cluster";
        let metrics = [metric(&format!("{long}-a"), 3), metric(&format!("{long}-b"), 3), metric("Smoke Test_1", 1)];

        cluster.create(ObjectKind::AnalysisRun, analysis_run(&metrics))?;
        let created = complete(cluster, 60).await?;

        ensure!(phase(cluster)? == "Successful", "{}", phase(cluster)?);
        ensure!(created.len() == 7 && created.iter().all(|name| name.len() <= 63), "{created:?}");
        Ok(())
    })
}

#[test]
fn jobs_are_kept_as_long_as_their_measurements() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let cluster = &harness.cluster;
        serve_jobs(cluster)?;

        cluster.create(ObjectKind::AnalysisRun, analysis_run(&[metric("smoke", 13), metric("ready", 2)]))?;
        let created = complete(cluster, 120).await?;

        let kept: BTreeSet<String> = jobs(cluster)?.iter().map(|job| name(job)).collect();
        let deleted: Vec<&str> =
            created.difference(&kept).filter_map(|name| name.split_once('.')).map(|(_, rest)| rest).collect();
        ensure!(phase(cluster)? == "Successful", "{}", phase(cluster)?);
        ensure!(
            (created.len(), deleted.as_slice()) == (15, &["smoke.1", "smoke.2", "smoke.3"]),
            "{created:?} {deleted:?}"
        );
        Ok(())
    })
}

#[test]
fn jobs_are_deleted_with_their_run() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let cluster = &harness.cluster;
        serve_jobs(cluster)?;
        cluster.create(ObjectKind::AnalysisRun, analysis_run(&[metric("smoke", 2)]))?;
        let created = complete(cluster, 30).await?;

        cluster.delete(ObjectKind::AnalysisRun, "checks")?;
        tokio::time::sleep(SECOND).await;

        ensure!(
            created.len() == 2 && jobs(cluster)?.is_empty(),
            "of {created:?} these still exist: {:?}",
            jobs(cluster)?
        );
        Ok(())
    })
}

#[test]
fn a_secret_in_a_job_is_reported_before_the_first_deployment() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let cluster = &harness.cluster;
        serve_jobs(cluster)?;
        let mut by_secret = metric("smoke", 1);
        let env = json!([{ "name": "TOKEN", "value": "{{args.token}}" }]);
        *by_secret.pointer_mut("/provider/job/spec/template/spec/containers/0").context("the container")? =
            json!({ "name": "check", "image": "tools:1", "env": env });
        let token = json!({ "name": "token", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
        cluster.create(
            ObjectKind::AnalysisTemplate,
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
                "metadata": { "name": "checks", "namespace": NAMESPACE }, "spec": { "args": [token], "metrics": [by_secret] },
            }),
        )?;
        let steps = json!([{ "setWeight": 50 }, { "analysis": { "templates": [{ "templateName": "checks" }] } }]);
        cluster.create(ObjectKind::Rollout, unrouted(&template("v1", Health::Good), &steps))?;
        tokio::time::sleep(SECOND * 5).await;

        let rollout = cluster.get(ObjectKind::Rollout, ROLLOUT)?.context("the Rollout is not found")?;
        let status = rollout.pointer("/status").cloned().unwrap_or_default().to_string();
        let place = "spec.metrics[0].provider.job.spec.template.spec.containers[0].env[0].value";
        for part in ["InvalidSpec", place, "env[].valueFrom.secretKeyRef"] {
            ensure!(status.contains(part), "{part} is not in {status}");
        }
        Ok(())
    })
}
