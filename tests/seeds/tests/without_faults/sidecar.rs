//! What events say of a pod whose first container is a sidecar, in the spec and in the status, which the kubelet sorts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_seeds::calm::{Calm, run};
use kulta_seeds::cluster::{ROLLOUT, What};
use kulta_seeds::objects::unrouted;
use kulta_seeds::scenario::{Health, template};
use serde_json::{Value, json};

/// A pod of this version of the app, whose container `app` stands behind a sidecar that never changes.
fn with_sidecar(version: &str) -> Result<Value> {
    let mut template = template(version, Health::Good);
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut).context("containers")?;
    containers.insert(0, json!({ "name": "a-proxy", "image": "example.test/proxy:v9" }));
    Ok(template)
}

fn artifact(event: &Value) -> &str {
    event.pointer("/subject/content/artifactId").and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn an_upgrade_names_the_image_that_changed_with_its_own_digest() -> Result<()> {
    run(async || {
        let calm = Calm::start()?;
        calm.cluster.create(What::Rollout, unrouted(&with_sidecar("v1")?, &json!([])))?;
        tokio::time::sleep(Duration::from_secs(60)).await;

        calm.cluster.patch(What::Rollout, ROLLOUT, false, json!({ "spec": { "template": with_sidecar("v2")? } }))?;
        tokio::time::sleep(Duration::from_secs(60)).await;

        let taken = calm.sink.taken();
        let is_upgrade = |event: &&Value| {
            event.pointer("/context/type").and_then(Value::as_str) == Some("dev.cdevents.service.upgraded.0.3.0")
        };
        let upgraded = taken.iter().find(is_upgrade).context("no upgrade was told")?;
        let pods = calm.cluster.list(What::Pod)?;
        let statuses = pods.iter().filter_map(|pod| pod.pointer("/status/containerStatuses")?.as_array()).flatten();
        let of_app =
            statuses.filter(|status| status.get("image").and_then(Value::as_str) == Some("example.test/app:v2"));
        let ids: Vec<&str> = of_app.filter_map(|status| status.get("imageID")?.as_str()).collect();
        let (_, digest) = ids.first().and_then(|id| id.split_once("@sha256:")).context("no digest in the pods")?;
        ensure!(artifact(upgraded).starts_with(&format!("pkg:oci/app@sha256%3A{digest}?")), "{upgraded}");
        Ok(())
    })
}
