//! Rollouts that are given to another instance of the controller by its label.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_api::annotations::INSTANCE_ID;
use kulta_seeds::calm::{Calm, run};
use kulta_seeds::cluster::What;
use kulta_seeds::objects::{rollout, route};
use serde_json::json;

async fn healthy() -> Result<Calm> {
    let calm = Calm::start()?;
    let steps = json!([{ "setWeight": 30 }, { "pause": {} }]);
    calm.cluster.deploy(route("web", &["web"]), vec![rollout("web", "web", &steps)])?;
    calm.until_phase("web", "Healthy").await?;
    Ok(calm)
}

fn removals(calm: &Calm) -> usize {
    let is_removal = |event: &serde_json::Value| {
        event
            .pointer("/context/type")
            .and_then(|kind| kind.as_str())
            .is_some_and(|kind| kind.contains("service.removed"))
    };
    calm.sink.taken().iter().filter(|event| is_removal(event)).count()
}

#[test]
fn a_rollout_that_another_instance_serves_from_now_on_is_not_told_as_removed() -> Result<()> {
    run(async || {
        let calm = healthy().await?;

        calm.cluster.patch(
            What::Rollout,
            "web",
            false,
            json!({ "metadata": { "labels": { INSTANCE_ID: "other" } } }),
        )?;
        tokio::time::sleep(Duration::from_secs(10)).await;

        ensure!(removals(&calm) == 0, "told as removed");
        Ok(())
    })
}

#[test]
fn a_rollout_that_is_deleted_is_told_as_removed() -> Result<()> {
    run(async || {
        let calm = healthy().await?;

        calm.cluster.delete(What::Rollout, "web")?;
        tokio::time::sleep(Duration::from_secs(10)).await;

        ensure!(removals(&calm) == 1, "{} times told as removed", removals(&calm));
        Ok(())
    })
}
