//! Enrichers of CDEvents.

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    cdevents::Schemas,
    manifests::Canary,
    scenario::SOON,
    sink::{Received, Sink},
    wait,
};
use kulta_wasm::fixtures::HOSTILE_ENRICHER;
use serde_json::{Value, json};

use crate::{Place, WEB};

fn custom<'a>(event: &'a Received, name: &str) -> Option<&'a Value> {
    event.body.pointer("/customData")?.get(name)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn events_have_the_commit_and_a_failing_enricher_loses_only_its_own_addition() -> Result<()> {
    let place = Place::begin("plugin-enrich").await?;
    let sink = Sink::start().await?;
    let controller = place.controller(Some(&sink), &[]).await?;
    let source = json!({"file": place.file("h.wasm", HOSTILE_ENRICHER)?});
    let spec = json!({"source": source, "config": {"misdeed": "trap", "when": "enrich"}, "enrich": {"order": -1}});
    place.apply("hostile", spec).await?;
    place.until("hostile", "Serving").await?;

    let canary = Canary::new(WEB);
    let mut rollout = place.ours(canary.rollout());
    let notes = json!({
        "kulta.io/git-commit": "0b1c2d3e4f5a6b7c8d9e", "kulta.io/git-repository": "https://github.com/shop/web",
        "kulta.io/git-author": "Ada",
    });
    json_patch::merge(&mut rollout, &json!({"metadata": {"annotations": notes}}));
    place.scenario.apply_all(canary.services().into_iter().chain([canary.route(&place.scenario.namespace)])).await?;
    place.scenario.apply(rollout).await?;
    place.scenario.until_phase(WEB, "Healthy").await?;

    let deployed = wait::poll("the deployed event", SOON, || async {
        Ok(sink.received().into_iter().find(|event| event.kind() == "service.deployed"))
    })
    .await?;
    Schemas::load()?.check(&deployed.body)?;
    let commit = custom(&deployed, "commit").context("no commit")?;
    ensure!(commit["commit"]["url"] == "https://github.com/shop/web/commit/0b1c2d3e4f5a6b7c8d9e", "{commit}");
    ensure!(commit["author"] == "Ada", "{commit}");
    ensure!(custom(&deployed, "hostile").is_none(), "{}", deployed.body);
    controller.stop().await?;
    place.end(&["hostile"]).await
}
