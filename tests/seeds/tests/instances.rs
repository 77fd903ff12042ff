//! Rollouts whose label assigns them to another instance of the controller.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_api::annotations::INSTANCE_ID;
use kulta_seeds::cluster::ObjectKind;
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::{deploy, rollout, route};
use serde_json::json;

async fn healthy() -> Result<Harness> {
    let harness = Harness::start()?;
    let steps = json!([{ "setWeight": 30 }, { "pause": {} }]);
    deploy(&harness.cluster, route("web", &["web"]), vec![rollout("web", "web", &steps)])?;
    harness.wait_for_phase("web", "Healthy").await?;
    Ok(harness)
}

fn removals(harness: &Harness) -> usize {
    let is_removal = |event: &serde_json::Value| {
        event
            .pointer("/context/type")
            .and_then(|kind| kind.as_str())
            .is_some_and(|kind| kind.contains("service.removed"))
    };
    harness.sink.received().iter().filter(|event| is_removal(event)).count()
}

#[test]
fn a_rollout_that_moves_to_another_instance_is_not_reported_as_removed() -> Result<()> {
    run(async || {
        let harness = healthy().await?;

        harness.cluster.patch(
            ObjectKind::Rollout,
            "web",
            false,
            json!({ "metadata": { "labels": { INSTANCE_ID: "other" } } }),
        )?;
        tokio::time::sleep(Duration::from_secs(10)).await;

        ensure!(removals(&harness) == 0, "reported as removed");
        Ok(())
    })
}

#[test]
fn a_rollout_that_is_deleted_is_reported_as_removed() -> Result<()> {
    run(async || {
        let harness = healthy().await?;

        harness.cluster.delete(ObjectKind::Rollout, "web")?;
        tokio::time::sleep(Duration::from_secs(10)).await;

        ensure!(removals(&harness) == 1, "{} removed events", removals(&harness));
        Ok(())
    })
}
