//! Step plugins: the fixture `gate`, which waits until a URL opens it.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds,
    manifests::Canary,
    scenario::Scenario,
    wait,
};
use kulta_wasm::fixtures::GATE;
use serde_json::{Value, json};

use crate::{Place, WEB};

/// The minimum delay between two calls of a step.
const A_WHILE: Duration = Duration::from_secs(60);

/// Serves the fixture, with grants for these servers.
async fn serve_gate(place: &Place, servers: &[&Answers]) -> Result<()> {
    let grants: Vec<Value> = servers.iter().map(|server| json!({"urlPrefix": server.url()})).collect();
    place.apply("gate", json!({"source": {"file": place.file("gate.wasm", GATE)?}, "grants": grants})).await?;
    place.until("gate", "Serving").await.map(drop)
}

/// Deploys version v1, and then v2.
async fn update(place: &Place, canary: &Canary) -> Result<()> {
    let scenario = &place.scenario;
    scenario.apply_all(canary.services().into_iter().chain([canary.route(&scenario.namespace)])).await?;
    scenario.apply(place.ours(canary.rollout())).await?;
    scenario.until_phase(WEB, "Healthy").await?;
    scenario.apply(place.ours(canary.clone().version("v2").rollout())).await.map(drop)
}

fn step(plugin: &str, config: Value) -> Value {
    json!({"plugin": {"name": plugin, "config": config}})
}

fn open() -> Mode {
    Mode::Json(json!({}))
}

/// Step, operation and phase of each entry of the status.
fn outline(rollout: &DynamicObject) -> Vec<String> {
    let entries = rollout.data.pointer("/status/canary/stepPluginStatuses").and_then(Value::as_array);
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
    let one = |entry: &Value| format!("{} {} {}", entry["index"], text(entry, "operation"), text(entry, "phase"));
    entries.into_iter().flatten().map(one).collect()
}

async fn until_outline(scenario: &Scenario, wanted: &[&str]) -> Result<DynamicObject> {
    let rollouts = scenario.api(&kinds::rollout());
    wait::until(&rollouts, WEB, &format!("{wanted:?}"), A_WHILE, |rollout| outline(rollout) == wanted).await
}

async fn until_phase(scenario: &Scenario, phase: &str) -> Result<DynamicObject> {
    let rollouts = scenario.api(&kinds::rollout());
    let is = |rollout: &DynamicObject| api::text(rollout, "/status/phase") == phase;
    wait::until(&rollouts, WEB, phase, A_WHILE, is).await
}

/// The requested paths, without consecutive repetitions.
fn paths(server: &Answers) -> Vec<String> {
    let mut paths: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| asked.request.start.split(' ').nth(1).unwrap_or_default().to_owned())
        .collect();
    paths.dedup();
    paths
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_closed_gate_holds_the_rollout_until_it_opens_also_after_a_controller_is_killed() -> Result<()> {
    let place = Place::begin("step-gate").await?;
    let (server, scenario) = (Answers::start(Mode::Status(503)).await?, &place.scenario);
    let controller = place.controller(None, &[]).await?;
    serve_gate(&place, &[&server]).await?;
    let steps = json!([{"setWeight": 50}, step("gate", json!({"url": server.url()})), {"setWeight": 80}]);
    update(&place, &Canary::new(WEB).steps(steps)).await?;
    wait::until(&scenario.api(&kinds::rollout()), WEB, "a first answer", A_WHILE, |rollout| {
        api::text(rollout, "/status/canary/stepPluginStatuses/0/message").contains("closed: 503")
    })
    .await?;
    // Kubernetes events are posted concurrently with writes: a killed controller loses those that it has not posted.
    scenario.until_events_with("Rollout", WEB, "StepPluginTransition", 1).await?;

    controller.kill().await?;
    server.set(open());
    let controller = place.controller(None, &[]).await?;

    let seen = until_phase(scenario, "Healthy").await?;
    ensure!(outline(&seen) == ["1 Run Successful"], "{:?}", seen.data);
    ensure!(api::text(&seen, "/status/stableRS") == api::text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
    scenario.until_events_with("Rollout", WEB, "StepPluginTransition", 2).await?;
    controller.stop().await?;
    place.end(&["gate"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_plugin_beside_a_weight_works_while_the_weight_moves_and_both_are_waited_for() -> Result<()> {
    let place = Place::begin("step-beside").await?;
    let (server, scenario) = (Answers::start(Mode::Status(503)).await?, &place.scenario);
    let controller = place.controller(None, &[]).await?;
    serve_gate(&place, &[&server]).await?;
    let mut moves = step("gate", json!({"url": server.url()}));
    json_patch::merge(&mut moves, &json!({"setWeight": 50}));

    update(&place, &Canary::new(WEB).steps(json!([moves]))).await?;

    until_outline(scenario, &["0 Run Running"]).await?;
    scenario.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    let waiting = scenario.get(&kinds::rollout(), WEB).await?;
    ensure!(api::number(&waiting, "/status/currentStepIndex") == 0, "{:?}", waiting.data);
    // One of each generation.
    scenario.until_events_with("Rollout", WEB, "SpecWarning", 2).await?;
    server.set(open());
    let seen = until_phase(scenario, "Healthy").await?;
    ensure!(outline(&seen) == ["0 Run Successful"], "{:?}", seen.data);
    controller.stop().await?;
    place.end(&["gate"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn completed_steps_are_undone_in_reverse_order_when_a_later_one_fails() -> Result<()> {
    let place = Place::begin("step-abort").await?;
    let (server, undone) = (Answers::start(open()).await?, Answers::start(open()).await?);
    let controller = place.controller(None, &[]).await?;
    serve_gate(&place, &[&server, &undone]).await?;
    let abort = |step: &str| json!({"url": server.url(), "abort": format!("{}/{step}", undone.url())});
    let mut failing = abort("third");
    json_patch::merge(&mut failing, &json!({"finish": "failed"}));
    let steps = [abort("first"), abort("second"), failing].map(|config| step("gate", config));

    update(&place, &Canary::new(WEB).steps(json!(steps))).await?;

    let done = ["0 Run Successful", "1 Run Successful", "2 Run Failed", "1 Abort Successful", "0 Abort Successful"];
    let seen = until_outline(&place.scenario, &done).await?;
    ensure!(paths(&undone) == ["/second", "/first"], "{:?}", undone.asked());
    ensure!(api::text(&seen, "/status/kulta/failure") == "gate", "{:?}", seen.data);
    let degraded = until_phase(&place.scenario, "Degraded").await?;
    ensure!(api::text(&degraded, "/status/message").contains("configured to fail"), "{:?}", degraded.data);
    controller.stop().await?;
    place.end(&["gate"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_step_that_a_user_skips_is_terminated() -> Result<()> {
    let place = Place::begin("step-past").await?;
    let (server, told) = (Answers::start(Mode::Status(503)).await?, Answers::start(open()).await?);
    let controller = place.controller(None, &[]).await?;
    serve_gate(&place, &[&server, &told]).await?;
    let config = json!({"url": server.url(), "terminate": format!("{}/ended", told.url())});
    update(&place, &Canary::new(WEB).steps(json!([step("gate", config), {"pause": {}}]))).await?;
    until_outline(&place.scenario, &["0 Run Running"]).await?;
    server.until_asked(1, A_WHILE).await?;

    place.scenario.verbs(WEB).promote().await?;

    until_outline(&place.scenario, &["0 Run Running", "0 Terminate Successful"]).await?;
    let paused = until_phase(&place.scenario, "Paused").await?;
    ensure!(api::number(&paused, "/status/currentStepIndex") == 1, "{:?}", paused.data);
    ensure!(paths(&told) == ["/ended"], "{:?}", told.asked());
    controller.stop().await?;
    place.end(&["gate"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rejected_configuration_is_reported_and_a_missing_step_plugin_fails_at_its_step() -> Result<()> {
    let place = Place::begin("step-invalid").await?;
    let controller = place.controller(None, &[]).await?;
    serve_gate(&place, &[]).await?;
    let with = |step: Value| Canary::new(WEB).version("v2").steps(json!([{"setWeight": 50}, step]));
    let disabled = json!({"plugin": {"name": "nobody", "disabled": true}});
    let bad = |step: Value| place.ours(with(step).rollout());
    update(&place, &Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {}}]))).await?;
    until_phase(&place.scenario, "Paused").await?;

    for (step, field) in [
        (step("gate", json!({"url": 7})), "steps[1].plugin.config.url"),
        (step("gate", json!({"url": "http://gate", "speed": 9})), "steps[1].plugin.config.speed"),
    ] {
        place.scenario.apply(bad(step)).await?;
        let rollouts = place.scenario.api(&kinds::rollout());
        wait::until(&rollouts, WEB, &format!("{field} to be named"), A_WHILE, |rollout| {
            let message = api::text(rollout, "/status/message");
            message.starts_with("InvalidSpec: ") && message.contains(&format!("spec.strategy.canary.{field}"))
        })
        .await?;
    }

    place.scenario.apply(bad(step("nobody", json!({})))).await?;
    until_outline(&place.scenario, &["1 Run Error"]).await?;

    place.scenario.apply(bad(disabled)).await?;
    let seen = until_phase(&place.scenario, "Healthy").await?;
    // A call of the missing plugin still has to be terminated, until its deadline.
    ensure!(outline(&seen).last().is_some_and(|last| last == "1 Run Successful"), "{:?}", seen.data);
    controller.stop().await?;
    place.end(&["gate"]).await
}
