//! `spec.strategy.plugin`: a strategy plugin, with every field of the canary except its steps.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start},
    manifests::Canary,
    scenario::Scenario,
    wait,
};
use serde_json::{Value, json};

use crate::{WEB, living_uids, says, text, until_pods};

/// A debug build of the controller compiles a plugin slowly at its first use.
const FIRST_LOOK: Duration = Duration::from_secs(120);

/// The canary with a plugin strategy instead of steps.
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
async fn deployed_with(scenario: &Scenario, canary: &Canary, config: Value) -> Result<()> {
    scenario.apply_all(canary.services().into_iter().chain([canary.route(&scenario.namespace)])).await?;
    scenario.apply(decided_by(canary, "linear", config)?).await?;
    wait::until(&scenario.api(&kinds::rollout()), WEB, "the first deploy", FIRST_LOOK, |rollout| {
        text(rollout, "/status/phase") == "Healthy"
    })
    .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_linear_strategy_goes_from_no_traffic_to_all() -> Result<()> {
    let scenario = Scenario::begin("linear").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).canary(json!({"scaleDownDelaySeconds": 1}));
    let config = json!({"stepWeight": 40, "interval": "1s"});
    deployed_with(&scenario, &canary, config.clone()).await?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;

    scenario.apply(decided_by(&canary.clone().version("v2"), "linear", config)?).await?;

    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(text(&seen, "/status/stableRS") == text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
    until_pods(&scenario, WEB, &[0, 2]).await?;
    let moved = [(0, 40), (40, 80), (80, 100), (100, 0)]
        .map(|(from, to)| format!("Traffic weight updated from {from} to {to}"));
    scenario
        .until_events("Rollout", WEB, |events| {
            let moves = events.iter().filter(|(reason, _)| reason == "TrafficWeightUpdated");
            moves.filter_map(|(_, message)| message.split(" (").next()).eq(moved.iter())
        })
        .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_change_of_a_plugins_configuration_restarts_the_update() -> Result<()> {
    let scenario = Scenario::begin("linear-config").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB);
    let slow = json!({"stepWeight": 40, "interval": "1h"});
    deployed_with(&scenario, &canary, slow.clone()).await?;
    let canary = canary.version("v2");
    scenario.apply(decided_by(&canary, "linear", slow)?).await?;
    scenario.until_weights(WEB, &[("web-stable", 60), ("web-canary", 40)]).await?;
    let before = scenario.get(&kinds::rollout(), WEB).await?;
    let pods = living_uids(&scenario, WEB, "v2").await?;

    scenario.apply(decided_by(&canary, "linear", json!({"stepWeight": 10, "interval": "1h"}))?).await?;

    scenario.until_weights(WEB, &[("web-stable", 90), ("web-canary", 10)]).await?;
    let after = scenario.get(&kinds::rollout(), WEB).await?;
    ensure!(text(&before, "/status/currentStepHash") != text(&after, "/status/currentStepHash"), "{:?}", after.data);
    ensure!(text(&before, "/status/currentPodHash") == text(&after, "/status/currentPodHash"), "{:?}", after.data);
    ensure!(living_uids(&scenario, WEB, "v2").await? == pods, "the canary's pod stays");
    scenario.verbs(WEB).promote_full().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_of_a_plugin_can_be_aborted_and_retried() -> Result<()> {
    let scenario = Scenario::begin("linear-abort").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).canary(json!({"abortScaleDownDelaySeconds": 1}));
    let config = json!({"stepWeight": 50, "interval": "1h"});
    deployed_with(&scenario, &canary, config.clone()).await?;
    scenario.apply(decided_by(&canary.version("v2"), "linear", config)?).await?;
    scenario.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;

    scenario.verbs(WEB).abort().await?;

    scenario.until_phase(WEB, "Degraded").await?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    until_pods(&scenario, WEB, &[2, 0]).await?;
    scenario.verbs(WEB).retry().await?;
    scenario.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_missing_plugin_or_a_rejected_configuration_is_reported() -> Result<()> {
    let scenario = Scenario::begin("plugin-invalid").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing();
    deployed(&scenario, &canary).await?;
    let pods = living_uids(&scenario, WEB, "v1").await?;
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
        scenario.apply(decided_by(&canary, plugin, config)?).await?;
        wait::until(&scenario.api(&kinds::rollout()), WEB, &format!("{field} to be named"), FIRST_LOOK, |rollout| {
            says(rollout, "InvalidSpec").is_some_and(|(_, _, message)| message.contains(field))
                && text(rollout, "/status/phase") == "Degraded"
        })
        .await?;
    }
    ensure!(living_uids(&scenario, WEB, "v1").await? == pods, "nothing that runs is touched");

    scenario.apply(decided_by(&canary, "linear", good)?).await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(says(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
    ensure!(api::number(&seen, "/status/updatedReplicas") == 2, "{:?}", seen.data);
    controller.stop().await?;
    scenario.end().await
}
