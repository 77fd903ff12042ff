//! Checks the artifact of events about a pod whose first container is a sidecar, both in the spec and in the status, which the kubelet
//! sorts by name.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{ObjectKind, ROLLOUT};
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::unrouted;
use kulta_seeds::{objects::Health, scenario::template};
use serde_json::{Value, json};

/// A pod template of this version of the app, with a sidecar that never changes before the container `app`.
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
        let harness = Harness::start()?;
        harness.cluster.create(ObjectKind::Rollout, unrouted(&with_sidecar("v1")?, &json!([])))?;
        tokio::time::sleep(Duration::from_secs(60)).await;

        harness.cluster.patch(
            ObjectKind::Rollout,
            ROLLOUT,
            false,
            json!({ "spec": { "template": with_sidecar("v2")? } }),
        )?;
        tokio::time::sleep(Duration::from_secs(60)).await;

        let events = harness.sink.received();
        let is_upgrade = |event: &&Value| {
            event.pointer("/context/type").and_then(Value::as_str) == Some("dev.cdevents.service.upgraded.0.3.0")
        };
        let upgraded = events.iter().find(is_upgrade).context("there is no upgraded event")?;
        let pods = harness.cluster.list(ObjectKind::Pod)?;
        let statuses = pods.iter().filter_map(|pod| pod.pointer("/status/containerStatuses")?.as_array()).flatten();
        let of_app =
            statuses.filter(|status| status.get("image").and_then(Value::as_str) == Some("example.test/app:v2"));
        let ids: Vec<&str> = of_app.filter_map(|status| status.get("imageID")?.as_str()).collect();
        let (_, digest) = ids.first().and_then(|id| id.split_once("@sha256:")).context("no digest in the pods")?;
        ensure!(artifact(upgraded).starts_with(&format!("pkg:oci/app@sha256%3A{digest}?")), "{upgraded}");
        Ok(())
    })
}
