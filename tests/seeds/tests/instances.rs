//! Rollouts that are given to another instance of the controller by its label.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_api::annotations::INSTANCE_ID;
use kulta_seeds::cluster::What;
use kulta_seeds::fixture::{Fixture, rollout, route, run, services};
use serde_json::json;

async fn healthy() -> Result<Fixture> {
    let fixture = Fixture::begin()?;
    for service in services("web") {
        fixture.cluster.create(What::Service, service)?;
    }
    fixture.cluster.create(What::Route, route("web", &["web"]))?;
    fixture.cluster.create(What::Rollout, rollout("web", "web", &json!([{ "setWeight": 30 }, { "pause": {} }])))?;
    fixture.until_phase("web", "Healthy").await?;
    Ok(fixture)
}

fn removals(fixture: &Fixture) -> usize {
    let is_removal = |event: &serde_json::Value| {
        event
            .pointer("/context/type")
            .and_then(|kind| kind.as_str())
            .is_some_and(|kind| kind.contains("service.removed"))
    };
    fixture.sink.taken().iter().filter(|event| is_removal(event)).count()
}

#[test]
fn a_rollout_that_another_instance_serves_from_now_on_is_not_told_as_removed() -> Result<()> {
    run(|| async {
        let fixture = healthy().await?;

        fixture.cluster.patch(
            What::Rollout,
            "web",
            false,
            json!({ "metadata": { "labels": { INSTANCE_ID: "other" } } }),
        )?;
        tokio::time::sleep(Duration::from_secs(10)).await;

        ensure!(removals(&fixture) == 0, "told as removed");
        Ok(())
    })
}

#[test]
fn a_rollout_that_is_deleted_is_told_as_removed() -> Result<()> {
    run(|| async {
        let fixture = healthy().await?;

        fixture.cluster.delete(What::Rollout, "web")?;
        tokio::time::sleep(Duration::from_secs(10)).await;

        ensure!(removals(&fixture) == 1, "{} times told as removed", removals(&fixture));
        Ok(())
    })
}
