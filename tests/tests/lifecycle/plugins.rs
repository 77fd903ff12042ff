//! `spec.strategy.plugin`: the strategy that is made by a plugin, with every field of the canary but its steps.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start},
    manifests::Canary,
    story::Story,
    wait,
};
use serde_json::{Value, json};

use crate::{WEB, living_uids, says, text, until_pods};

/// A debug build of the controller compiles a plugin slowly when it is first asked for.
const FIRST_LOOK: Duration = Duration::from_secs(120);

/// The canary with a plugin in the place of its steps.
fn decided_by(canary: &Canary, plugin: &str, config: Value) -> Result<Value> {
    let mut rollout = canary.rollout();
    let strategy = rollout.pointer_mut("/spec/strategy").and_then(Value::as_object_mut).context("no strategy")?;
    let mut fields = strategy.remove("canary").context("no canary")?;
    let steps = json!({"steps": null, "name": plugin});
    json_patch::merge(&mut fields, &steps);
    fields.as_object_mut().context("no fields")?.insert("config".to_owned(), config);
    strategy.insert("plugin".to_owned(), fields);
    Ok(rollout)
}

/// Deploys version v1 with the plugin, and waits until it is healthy.
async fn deployed_with(story: &Story, canary: &Canary, config: Value) -> Result<()> {
    story.apply_all(canary.services().into_iter().chain([canary.route(&story.namespace)])).await?;
    story.apply(decided_by(canary, "linear", config)?).await?;
    wait::until(&story.api(&kinds::rollout()), WEB, "the first deploy", FIRST_LOOK, |rollout| {
        text(rollout, "/status/phase") == "Healthy"
    })
    .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_linear_strategy_goes_from_nothing_to_all() -> Result<()> {
    let story = Story::begin("linear").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).canary(json!({"scaleDownDelaySeconds": 1}));
    let config = json!({"stepWeight": 40, "interval": "1s"});
    deployed_with(&story, &canary, config.clone()).await?;
    story.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;

    story.apply(decided_by(&canary.clone().version("v2"), "linear", config)?).await?;

    let seen = story.until_phase(WEB, "Healthy").await?;
    ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
    until_pods(&story, WEB, &[0, 2]).await?;
    let moved = [(0, 40), (40, 80), (80, 100), (100, 0)]
        .map(|(from, to)| format!("Traffic weight updated from {from} to {to}"));
    story
        .until_events("Rollout", WEB, |events| {
            let moves = events.iter().filter(|(reason, _)| reason == "TrafficWeightUpdated");
            moves.filter_map(|(_, message)| message.split(" (").next()).eq(moved.iter())
        })
        .await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_change_of_a_plugins_configuration_begins_the_update_anew() -> Result<()> {
    let story = Story::begin("linear-config").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB);
    let slow = json!({"stepWeight": 40, "interval": "1h"});
    deployed_with(&story, &canary, slow.clone()).await?;
    let canary = canary.version("v2");
    story.apply(decided_by(&canary, "linear", slow)?).await?;
    story.until_weights(WEB, &[("web-stable", 60), ("web-canary", 40)]).await?;
    let before = story.get(&kinds::rollout(), WEB).await?;
    let pods = living_uids(&story, WEB, "v2").await?;

    story.apply(decided_by(&canary, "linear", json!({"stepWeight": 10, "interval": "1h"}))?).await?;

    story.until_weights(WEB, &[("web-stable", 90), ("web-canary", 10)]).await?;
    let after = story.get(&kinds::rollout(), WEB).await?;
    ensure!(text(&before, "/status/currentStepHash") != text(&after, "/status/currentStepHash"), "{:?}", after.data);
    ensure!(text(&before, "/status/currentPodHash") == text(&after, "/status/currentPodHash"), "{:?}", after.data);
    ensure!(living_uids(&story, WEB, "v2").await? == pods, "the canary's pod stays");
    story.verbs(WEB).promote_full().await?;
    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_of_a_plugin_can_be_aborted_and_tried_again() -> Result<()> {
    let story = Story::begin("linear-abort").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).canary(json!({"abortScaleDownDelaySeconds": 1}));
    let config = json!({"stepWeight": 50, "interval": "1h"});
    deployed_with(&story, &canary, config.clone()).await?;
    story.apply(decided_by(&canary.version("v2"), "linear", config)?).await?;
    story.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;

    story.verbs(WEB).abort().await?;

    story.until_phase(WEB, "Degraded").await?;
    story.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    until_pods(&story, WEB, &[2, 0]).await?;
    story.verbs(WEB).retry().await?;
    story.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_plugin_that_is_not_there_or_refuses_its_configuration_is_named() -> Result<()> {
    let story = Story::begin("plugin-invalid").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&story, &canary).await?;
    let pods = living_uids(&story, WEB, "v1").await?;
    let good = json!({"stepWeight": 50, "interval": "1s"});
    let canary = canary.version("v2");

    for (plugin, config, field) in [
        ("nobody", good.clone(), "spec.strategy.plugin.name"),
        ("linear", json!({"stepWeight": "half", "interval": "1s"}), "spec.strategy.plugin.config.stepWeight"),
        ("linear", json!({"stepWeight": 50, "interval": "soon"}), "spec.strategy.plugin.config.interval"),
        ("linear", json!({"stepWeight": 50, "interval": "1s", "speed": 9}), "spec.strategy.plugin.config.speed"),
        (
            "linear",
            json!({"stepWeight": 50, "interval": "1s", "maxWeight": 20}),
            "spec.strategy.plugin.config: stepWeight",
        ),
    ] {
        story.apply(decided_by(&canary, plugin, config)?).await?;
        wait::until(&story.api(&kinds::rollout()), WEB, &format!("{field} to be named"), FIRST_LOOK, |rollout| {
            says(rollout, "InvalidSpec").is_some_and(|(_, _, message)| message.contains(field))
                && text(rollout, "/status/phase") == "Degraded"
        })
        .await?;
    }
    ensure!(living_uids(&story, WEB, "v1").await? == pods, "nothing that runs is touched");

    story.apply(decided_by(&canary, "linear", good)?).await?;
    let seen = story.until_phase(WEB, "Healthy").await?;
    ensure!(says(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
    ensure!(api::number(&seen, "/status/updatedReplicas") == 2, "{:?}", seen.data);
    controller.stop().await?;
    story.end().await
}
