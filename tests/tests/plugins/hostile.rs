//! Hostile components.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    controller::{Controller, free_address, get},
    kinds,
    kulta::pods,
    manifests::Canary,
};
use kulta_wasm::fixtures::{HOSTILE, HOSTILE_ANALYZER, HOSTILE_STEP, LINEAR, noted};
use serde_json::json;

use crate::{Place, WEB, ready, strategy_ready, text, until_weight};

/// The status of a step plugin.
const STEP: &str = "/status/canary/stepPluginStatuses/0";

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn each_misdeed_is_reported_by_its_reason_and_no_other_rollout_is_harmed() -> Result<()> {
    let place = Place::begin("plugin-hostile").await?;
    let controller = place.controller(None, &[]).await?;
    let limits = json!({"time": "500ms", "memory": "16Mi"});
    let good = Canary::new("good").canary(json!({"scaleDownDelaySeconds": 1}));
    place.deploy(&good, "linear", json!({"stepWeight": 50, "interval": "1s"})).await?;
    let web = Canary::new(WEB);
    place.deploy(&web, "linear", json!({"stepWeight": 50, "interval": "1s"})).await?;

    for (number, misdeed, reason) in [
        (2, "trap", "PluginTrapped"),
        (3, "spin", "PluginDeadlineExceeded"),
        (4, "allocate", "PluginOutOfMemory"),
        (5, "heavyWeight", "PluginBadAnswer"),
        (6, "hugeReason", "PluginOutOfMemory"),
    ] {
        // One plugin each: repeated failures open the circuit breaker.
        let (name, component) = (format!("hostile{number}"), noted(HOSTILE, misdeed));
        let source = json!({"file": place.file(&format!("{name}.wasm"), &component)?});
        place.apply(&name, json!({"source": source, "limits": limits})).await?;
        place.until(&name, "Serving").await?;
        let bad = web.clone().version(&format!("v{number}"));
        place.scenario.apply(place.ours(bad.led_by(&name, json!({"misdeed": misdeed})))).await?;
        let held = place
            .scenario
            .until(&kinds::rollout(), WEB, &format!("{misdeed} to be reported"), |rollout| {
                strategy_ready(rollout).1.contains(&name)
            })
            .await?;
        ensure!(strategy_ready(&held).0 == reason, "{misdeed}: {:?}", held.data);
    }
    place
        .scenario
        .apply(place.ours(good.version("v2").led_by("linear", json!({"stepWeight": 50, "interval": "1s"}))))
        .await?;

    place.scenario.until_phase("good", "Healthy").await?;
    ensure!(pods(&place.scenario, WEB).await?.first() == Some(&2), "stable lost pods");
    controller.stop().await?;
    place.end(&["hostile2", "hostile3", "hostile4", "hostile5", "hostile6"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_invalid_component_is_rejected_and_the_previous_one_stays_served() -> Result<()> {
    let place = Place::begin("plugin-refused").await?;
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    place.until("judge", "Serving").await?;
    let canary = Canary::new(WEB);
    place.deploy(&canary, "judge", json!({"stepWeight": 40, "interval": "1h"})).await?;

    for (file, bytes, expected) in [
        ("text.wasm", b"hello".to_vec(), "not a WebAssembly component"),
        ("large.wasm", vec![0; (32 << 20) + 1], "at most"),
        ("empty.wasm", b"\0asm\x0d\0\x01\0".to_vec(), "not a plugin of any kind"),
    ] {
        place.apply("judge", json!({"source": {"file": place.file(file, &bytes)?}})).await?;
        let (_, message) = ready(&place.until("judge", "Refused").await?);
        ensure!(message.contains(expected) && message.contains("is still served"), "{file}: {message}");
    }

    place
        .scenario
        .apply(place.ours(canary.version("v2").led_by("judge", json!({"stepWeight": 40, "interval": "1h"}))))
        .await?;
    until_weight(&place.scenario, WEB, 40).await?;
    controller.stop().await?;
    place.end(&["judge"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn of_two_plugins_with_one_name_the_older_is_served() -> Result<()> {
    let place = Place::begin("plugin-rivals").await?;
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    place.until("judge", "Serving").await?;
    // Creation times are whole seconds.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    let object = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin",
        "metadata": {"name": place.plugin("rival"), "labels": {crate::INSTANCE: place.scenario.namespace}},
        "spec": {"source": {"file": place.file("2.wasm", &noted(LINEAR, "two"))?}, "serves": ["judge"]},
    });
    kulta_tests::api::apply(&place.scenario.client, "", object).await?;

    let (_, message) = ready(&place.until("rival", "NameTaken").await?);
    ensure!(message.contains(&place.plugin("judge")), "{message}");
    controller.stop().await?;
    place.end(&["judge", "rival"]).await
}

/// Starts a controller whose metrics are read, and serves a hostile component under one name per misdeed, because
/// repeated failures open the circuit breaker.
async fn serve_each(place: &Place, component: &[u8], misdeeds: &[&str]) -> Result<(Controller, SocketAddr)> {
    let address = free_address()?;
    let controller = place.controller(None, &[("KULTA_LISTEN", &address.to_string())]).await?;
    for misdeed in misdeeds {
        let source = json!({"file": place.file(&format!("{misdeed}.wasm"), &noted(component, misdeed))?});
        let limits = json!({"time": "500ms", "memory": "16Mi", "requests": 4});
        let grants = json!([{"urlPrefix": "http://127.0.0.1:9/"}]);
        place.apply(&plugin_for(misdeed), json!({"source": source, "limits": limits, "grants": grants})).await?;
        place.until(&plugin_for(misdeed), "Serving").await?;
    }
    Ok((controller, address))
}

/// Names of objects have no capital letters.
fn plugin_for(misdeed: &str) -> String {
    format!("hostile-{}", misdeed.to_lowercase())
}

/// True if `/metrics` counts calls of that plugin with that result.
async fn counted(address: SocketAddr, plugin: &str, class: &str) -> Result<bool> {
    let page = String::from_utf8(get(address, "/metrics").await?.body)?;
    let counts = |line: &&str| line.starts_with("kulta_plugin_calls_total{") && line.contains(plugin);
    Ok(page.lines().filter(counts).any(|line| line.contains(&format!("class=\"{class}\""))))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn each_misdeed_of_an_analyzer_is_an_error_of_its_own_run_only() -> Result<()> {
    let place = Place::begin("analyzer-hostile").await?;
    let misdeeds = [
        ("trap", "trapped"),
        ("spin", "deadline-exceeded"),
        ("allocate", "out-of-memory"),
        ("malformedJson", "bad-answer"),
        ("endlessFlood", "bad-answer"),
    ];
    let names = misdeeds.map(|(misdeed, _)| misdeed);
    let (controller, address) = serve_each(&place, HOSTILE_ANALYZER, &names).await?;
    let run = |name: &str, config: &serde_json::Value| {
        let metric = json!({
            "name": "it", "consecutiveErrorLimit": 0, "provider": {"plugin": {plugin_for(name): config}},
        });
        place.ours(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": name.to_lowercase()},
            "spec": {"metrics": [metric]},
        }))
    };
    let good = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "good"},
        "spec": {"metrics": [{"name": "it", "provider": {"plugin": {plugin_for("trap"): {"misdeed": "none"}}}}]},
    });

    for misdeed in names {
        place.scenario.apply(run(misdeed, &json!({"misdeed": misdeed}))).await?;
    }
    place.scenario.apply(place.ours(good)).await?;

    for (misdeed, class) in misdeeds {
        let ended = |run: &DynamicObject| text(run, "/status/phase") == "Error";
        let run = place.scenario.until(&kinds::analysis_run(), &misdeed.to_lowercase(), "its end", ended).await?;
        let told = text(&run, "/status/metricResults/0/measurements/0/message");
        ensure!(counted(address, &plugin_for(misdeed), class).await?, "{misdeed} is not counted as {class}: {told}");
    }
    let ended = |run: &DynamicObject| matches!(text(run, "/status/phase").as_str(), "Successful" | "Error" | "Failed");
    let good = place.scenario.until(&kinds::analysis_run(), "good", "its end", ended).await?;
    ensure!(text(&good, "/status/phase") == "Successful", "{:?}", good.data);
    controller.stop().await?;
    let plugins = names.map(plugin_for);
    place.end(&plugins.each_ref().map(String::as_str)).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn each_misdeed_of_a_step_blocks_its_own_rollout_only_and_is_reported() -> Result<()> {
    let place = Place::begin("step-hostile").await?;
    let misdeeds = [
        ("trap", "trapped"),
        ("spin", "deadline-exceeded"),
        ("allocate", "out-of-memory"),
        ("longMemory", "too-large"),
        ("endlessFlood", "bad-answer"),
    ];
    let names = misdeeds.map(|(misdeed, _)| misdeed);
    let (controller, address) = serve_each(&place, HOSTILE_STEP, &names).await?;
    let canary = |misdeed: &str| {
        let config = json!({"misdeed": misdeed});
        let step = json!({"plugin": {"name": plugin_for(misdeed), "config": config}});
        Canary::new(&misdeed.to_lowercase()).without_routing().steps(json!([{"setWeight": 50}, step]))
    };
    let good = json!({"plugin": {"name": plugin_for("trap"), "config": {"misdeed": "none"}}});
    let good = Canary::new("good").without_routing().steps(json!([{"setWeight": 50}, good]));
    let all: Vec<Canary> = names.iter().map(|misdeed| canary(misdeed)).chain([good]).collect();
    for canary in &all {
        place.scenario.apply(place.ours(canary.rollout())).await?;
    }
    for canary in &all {
        place.scenario.until_phase(&canary.name, "Healthy").await?;
    }

    for canary in &all {
        place.scenario.apply(place.ours(canary.clone().version("v2").rollout())).await?;
    }

    for (misdeed, class) in misdeeds {
        let name = misdeed.to_lowercase();
        let told = |rollout: &DynamicObject| {
            text(rollout, &format!("{STEP}/phase")) == "Error"
                && text(rollout, &format!("{STEP}/name")) == plugin_for(misdeed)
        };
        let held = place.scenario.until(&kinds::rollout(), &name, "its step to be told", told).await?;
        ensure!(text(&held, "/status/phase") != "Degraded", "{misdeed}: {:?}", held.data);
        ensure!(
            counted(address, &plugin_for(misdeed), class).await?,
            "{misdeed} is not counted as {class}: {:?}",
            held.data
        );
        ensure!(pods(&place.scenario, &name).await?.first() == Some(&1), "{misdeed}: the stable side lost pods");
    }
    place.scenario.until_phase("good", "Healthy").await?;
    controller.stop().await?;
    let plugins = names.map(plugin_for);
    place.end(&plugins.each_ref().map(String::as_str)).await
}
