//! Components that are replaced, removed or rejected while rollouts run.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{kinds, manifests::Canary, verbs::Verbs};
use kulta_wasm::fixtures::{HOSTILE, LINEAR, WEB as WEB_ANALYZER, noted};
use serde_json::{Value, json};

use crate::{Place, WEB, pin, ready, strategy_ready, text, until_weight};

fn config(interval: &str) -> Value {
    json!({"stepWeight": 40, "interval": interval})
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_keeps_its_component_and_the_next_one_uses_the_new_component() -> Result<()> {
    let place = Place::begin("plugin-swap").await?;
    let cache = place.folder.join("cache").display().to_string();
    let variables = [("KULTA_PLUGIN_CACHE", cache.as_str())];
    let controller = place.controller(None, &variables).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    let one = text(&place.until("judge", "Serving").await?, "/status/digest");
    let canary = Canary::new(WEB);
    place.deploy(&canary, "judge", config("30s")).await?;
    place.scenario.apply(place.ours(canary.clone().version("v2").led_by("judge", config("30s")))).await?;
    until_weight(&place.scenario, WEB, 40).await?;

    place.apply("judge", json!({"source": {"file": place.file("2.wasm", &noted(LINEAR, "two"))?}})).await?;
    let two = text(&place.until("judge", "Serving").await?, "/status/digest");
    let under_way = place.scenario.get(&kinds::rollout(), WEB).await?;
    // After a restart the old component is loaded from disk.
    controller.kill().await?;
    let controller = place.controller(None, &variables).await?;
    let went_on = until_weight(&place.scenario, WEB, 80).await?;
    place.scenario.apply(place.ours(canary.version("v3").led_by("judge", config("30s")))).await?;
    let next = place
        .scenario
        .until(&kinds::rollout(), WEB, "the next revision", |rollout| pin(rollout, "judge") == two)
        .await?;

    ensure!(one != two, "{one}");
    ensure!(pin(&under_way, "judge") == one && pin(&went_on, "judge") == one, "{:?}", went_on.data);
    ensure!(pin(&next, "judge") == two, "{:?}", next.data);
    let told = place.events("judge").await?;
    ensure!(told.iter().any(|(reason, message)| reason == "Serving" && message.contains(&one)), "{told:?}");
    controller.stop().await?;
    place.end(&["judge"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_users_run_is_pinned_to_the_component_that_it_began_with() -> Result<()> {
    let place = Place::begin("plugin-run").await?;
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(WEB_ANALYZER, "one"))?}})).await?;
    let one = text(&place.until("judge", "Serving").await?, "/status/digest");
    let provider = json!({"plugin": {"judge": {"url": "http://metrics.example/errors", "jsonPath": "{$.errors}"}}});
    let metric = json!({"name": "errors", "initialDelay": "1h", "provider": provider});
    let run = place.ours(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "by-hand"},
        "spec": {"metrics": [metric]},
    }));

    place.scenario.apply(run).await?;
    let started = |run: &DynamicObject| matches!(text(run, "/status/phase").as_str(), "Running" | "Error");
    let begun = place.scenario.until(&kinds::analysis_run(), "by-hand", "its start", started).await?;
    place.apply("judge", json!({"source": {"file": place.file("2.wasm", &noted(WEB_ANALYZER, "two"))?}})).await?;
    let two = text(&place.until("judge", "Serving").await?, "/status/digest");
    let after = place.scenario.get(&kinds::analysis_run(), "by-hand").await?;

    let pinned = json!({"judge": one}).to_string();
    ensure!(text(&begun, "/status/phase") == "Running", "{:?}", begun.data);
    for run in [begun, after] {
        ensure!(
            run.metadata.annotations.unwrap_or_default().get("kulta.io/plugins") == Some(&pinned),
            "{:?}",
            run.data
        );
    }
    ensure!(one != two, "{one}");
    controller.stop().await?;
    place.end(&["judge"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_component_that_rejects_a_configuration_in_use_does_not_replace_the_old_one() -> Result<()> {
    let place = Place::begin("plugin-self-test").await?;
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    let one = text(&place.until("judge", "Serving").await?, "/status/digest");
    place.deploy(&Canary::new(WEB), "judge", config("1h")).await?;

    place.apply("judge", json!({"source": {"file": place.file("2.wasm", HOSTILE)?}})).await?;

    let refused = place.until("judge", "ConfigRejected").await?;
    let (_, message) = ready(&refused);
    let place_of_it = format!("Rollout {}/{WEB} spec.strategy.plugin.config", place.scenario.namespace);
    ensure!(message.contains(&place_of_it) && message.contains("unknown field"), "{message}");
    ensure!(message.contains(&one) && text(&refused, "/status/digest") == one, "{message}");
    controller.stop().await?;
    place.end(&["judge"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_whose_component_is_gone_holds_and_continues_with_the_served_one_after_a_promotion() -> Result<()> {
    let place = Place::begin("plugin-gone").await?;
    // Without a cache nothing survives a restart.
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    let one = text(&place.until("judge", "Serving").await?, "/status/digest");
    let canary = Canary::new(WEB);
    place.deploy(&canary, "judge", config("1h")).await?;
    place.scenario.apply(place.ours(canary.version("v2").led_by("judge", config("1h")))).await?;
    until_weight(&place.scenario, WEB, 40).await?;
    place.apply("judge", json!({"source": {"file": place.file("2.wasm", &noted(LINEAR, "two"))?}})).await?;
    let two = text(&place.until("judge", "Serving").await?, "/status/digest");
    controller.kill().await?;

    let controller = place.controller(None, &[]).await?;
    let held = place
        .scenario
        .until(&kinds::rollout(), WEB, "the component to be missed", |rollout| {
            strategy_ready(rollout).0 == "PluginDigestGone"
        })
        .await?;
    Verbs::of(place.scenario.api(&kinds::rollout()), WEB).promote().await?;
    let went_on = place
        .scenario
        .until(&kinds::rollout(), WEB, "the new component", |rollout| {
            pin(rollout, "judge") == two && strategy_ready(rollout).0.is_empty()
        })
        .await?;

    ensure!(strategy_ready(&held).1.contains(&one) && strategy_ready(&held).1.contains("promote"), "{:?}", held.data);
    ensure!(text(&held, "/status/phase") == "Paused", "{:?}", held.data);
    ensure!(text(&went_on, "/status/phase") != "Degraded", "{:?}", went_on.data);
    controller.stop().await?;
    place.end(&["judge"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_deleted_plugin_stays_until_no_rollout_names_it() -> Result<()> {
    let place = Place::begin("plugin-deleted").await?;
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    place.until("judge", "Serving").await?;
    let canary = Canary::new(WEB);
    place.deploy(&canary, "judge", config("1h")).await?;
    place.scenario.apply(place.ours(canary.clone().version("v2").led_by("judge", config("1h")))).await?;
    until_weight(&place.scenario, WEB, 40).await?;

    place.plugins().delete(&place.plugin("judge"), &kube::api::DeleteParams::default()).await?;
    let (_, message) = ready(&place.until_deleting("judge").await?);
    let held = place
        .scenario
        .until(&kinds::rollout(), WEB, "the plugin to be missed", |rollout| !strategy_ready(rollout).0.is_empty())
        .await?;
    place.scenario.apply(place.ours(canary.version("v2").led_by("linear", config("1h")))).await?;
    place.until_gone("judge").await?;

    ensure!(message.contains("1 rollout"), "{message}");
    ensure!(strategy_ready(&held).0 == "PluginUnavailable", "{:?}", held.data);
    until_weight(&place.scenario, WEB, 40).await?;
    controller.stop().await?;
    place.end(&[]).await
}
