//! KULTA on Argo's stock CRDs, which prune KULTA's additions. A cluster has one Rollout CRD, so these scenarios need a
//! separate cluster: `make cluster-test` starts one.

use anyhow::{Result, ensure};
use kube::api::{DynamicObject, PostParams};
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds,
    kulta::{deployed, rights_on_stock_crd, start, updated},
    manifests::Canary,
    run_folder,
    scenario::{SOON, Scenario},
    sink::Sink,
    wait,
};
use serde_json::{Value, json};

/// The Rollout, paused at its second step.
async fn until_paused(scenario: &Scenario) -> Result<DynamicObject> {
    let seen = scenario.until_phase("web", "Paused").await?;
    ensure!(api::number(&seen, "/status/currentStepIndex") == 1, "{:?}", seen.data);
    Ok(seen)
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn a_canary_is_served_and_the_lost_record_is_reported() -> Result<()> {
    let scenario = Scenario::begin("stock").await?;
    rights_on_stock_crd(&scenario).await?;
    let sink = Sink::start().await?;
    let controller = start(&scenario, Some(&sink)).await?;
    ensure!(controller.log().contains("the Rollout CRD prunes status.kulta"), "{}", controller.log());
    let canary = Canary::new("web").canary(json!({"scaleDownDelaySeconds": 1}));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    let seen = until_paused(&scenario).await?;
    ensure!(seen.data.pointer("/status/kulta").is_none(), "the CRD keeps the record: {:?}", seen.data);
    ensure!(api::condition(&seen, "RecordKept") == Some(("False".into(), "Pruned".into())), "{:?}", seen.data);
    scenario.verbs("web").promote().await?;
    scenario.until_phase("web", "Healthy").await?;

    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    for reason in ["NewReplicaSetCreated", "RolloutUpdated", "RolloutCompleted"] {
        scenario.until_events_with("Rollout", "web", reason, 2).await?;
    }
    wait::poll("the upgrade, sent once", SOON, || async {
        let upgrades = sink.received().iter().filter(|event| event.kind() == "service.upgraded").count();
        ensure!(upgrades == 1, "{upgrades} upgrades");
        Ok(Some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn a_killed_controller_continues_without_its_record() -> Result<()> {
    let scenario = Scenario::begin("stock-killed").await?;
    rights_on_stock_crd(&scenario).await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web");
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let before = until_paused(&scenario).await?;
    controller.kill().await?;

    let controller = start(&scenario, None).await?;
    scenario.verbs("web").promote().await?;
    let after = scenario.until_phase("web", "Healthy").await?;

    let hash = "/status/currentPodHash";
    ensure!(api::text(&before, hash) == api::text(&after, "/status/stableRS"), "{:?}", after.data);
    ensure!(scenario.replica_sets("web").await?.len() == 2, "a ReplicaSet was made twice");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn a_pruned_strategy_is_reported_to_the_user() -> Result<()> {
    let scenario = Scenario::begin("stock-plugin").await?;
    rights_on_stock_crd(&scenario).await?;
    let controller = start(&scenario, None).await?;
    let mut rollout = Canary::new("web").without_routing().rollout();
    if let Some(spec) = rollout.get_mut("spec").and_then(Value::as_object_mut) {
        let plugin = json!({"plugin": {"name": "linear", "config": {"stepWeight": 50, "interval": "1s"}}});
        spec.insert("strategy".to_owned(), plugin);
    }

    // Server-side apply would reject the field; client-side apply, which most users use, drops it.
    let object: DynamicObject = serde_json::from_value(rollout)?;
    scenario.api(&kinds::rollout()).create(&PostParams::default(), &object).await?;

    let seen = scenario.until_phase("web", "Degraded").await?;
    let message = api::text(&seen, "/status/message");
    for part in ["InvalidSpec: ", "spec.strategy", "spec.strategy.plugin", "install KULTA's CRD"] {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn the_work_of_a_step_plugin_survives_a_killed_controller() -> Result<()> {
    let scenario = Scenario::begin("stock-step").await?;
    rights_on_stock_crd(&scenario).await?;
    api::apply_crds(&scenario.client, &run_folder::repository().join("crds/kulta.io_plugins.yaml")).await?;
    let server = Answers::start(Mode::Status(503)).await?;
    let (plugin, file) = (format!("gate-{}", scenario.namespace), scenario.environment.run.join("stock-gate.wasm"));
    std::fs::write(&file, kulta_wasm::fixtures::GATE)?;
    let spec = json!({"source": {"file": file}, "grants": [{"urlPrefix": server.url()}]});
    let object =
        json!({"apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": {"name": plugin}, "spec": spec});
    api::apply(&scenario.client, "", object).await?;
    let controller = start(&scenario, None).await?;
    let step = json!({"plugin": {"name": plugin, "config": {"url": server.url()}}});
    let canary = Canary::new("web").without_routing().steps(json!([step]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let entry = |field: &str| format!("/status/canary/stepPluginStatuses/0/{field}");
    let rollouts = scenario.api(&kinds::rollout());
    let first = wait::until(&rollouts, "web", "a first answer", SOON, |rollout| {
        api::text(rollout, &entry("message")).contains("closed: 503")
    })
    .await?;
    ensure!(first.data.pointer(&entry("status/memory")).is_some(), "the CRD pruned the memory: {:?}", first.data);

    controller.kill().await?;
    server.set(Mode::Json(json!({})));
    let controller = start(&scenario, None).await?;

    let last = scenario.until_phase("web", "Healthy").await?;
    ensure!(api::text(&last, &entry("phase")) == "Successful", "{:?}", last.data);
    ensure!(api::number(&last, &entry("executions")) == 2, "{:?}", last.data);
    controller.stop().await?;
    scenario.end().await
}

/// An AnalysisTemplate `errors` with one metric.
fn template(metric: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"metrics": [metric]},
    })
}

/// With the template in the background of an indefinite pause.
fn analysed() -> Canary {
    Canary::new("web")
        .without_routing()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .canary(json!({"analysis": {"templates": [{"templateName": "errors"}]}}))
}

#[tokio::test]
#[ignore = "replaces the cluster's CRDs"]
async fn an_analysis_survives_a_killed_controller_and_rolls_back() -> Result<()> {
    let scenario = Scenario::begin("stock-analysed").await?;
    rights_on_stock_crd(&scenario).await?;
    let controller = start(&scenario, None).await?;
    // Both queries get the same answer: no requests at all, or only errors.
    let server = Answers::start(Mode::sample("0")).await?;
    let queries = json!({"requests": "requests", "errors": "errors"});
    let threshold = json!({"address": server.url(), "errorRate": "<= 1%", "queries": queries, "noData": "pass"});
    let provider = json!({"plugin": {"threshold": threshold}});
    scenario.apply(template(json!({"name": "errors", "interval": "1s", "provider": provider}))).await?;
    deployed(&scenario, &analysed()).await?;
    updated(&scenario, &analysed()).await?;
    let seen = until_paused(&scenario).await?;
    let run = api::text(&seen, "/status/canary/currentBackgroundAnalysisRunStatus/name").to_owned();
    let measured = |run: &DynamicObject| api::number(run, "/status/metricResults/0/count");
    let is_at = |least: i64| move |run: &DynamicObject| measured(run) >= least;
    scenario.until(&kinds::analysis_run(), &run, "two measurements", is_at(2)).await?;

    controller.kill().await?;
    let before = measured(&scenario.get(&kinds::analysis_run(), &run).await?);
    let controller = start(&scenario, None).await?;
    scenario.until(&kinds::analysis_run(), &run, "two more", is_at(before + 2)).await?;
    server.set(Mode::sample("50"));

    let seen = scenario.until_phase("web", "Degraded").await?;
    let message = api::text(&seen, "/status/message");
    ensure!(message.contains("Metric \"errors\" assessed Failed"), "{message}");
    let runs = scenario.list(&kinds::analysis_run(), "").await?;
    ensure!(runs.len() == 1, "{} runs", runs.len());
    let result = runs.first().and_then(|run| run.data.pointer("/status/metricResults/0")).cloned().unwrap_or_default();
    let good = result["successful"].as_i64().unwrap_or_default();
    ensure!(result["failed"] == 1 && result["count"] == good + 1, "{result}");
    ensure!(api::condition(&seen, "RecordKept") == Some(("False".into(), "Pruned".into())), "{:?}", seen.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's CRDs"]
async fn a_pruned_analyzer_is_reported_to_the_user() -> Result<()> {
    let scenario = Scenario::begin("stock-provider").await?;
    rights_on_stock_crd(&scenario).await?;
    let controller = start(&scenario, None).await?;
    let provider = json!({"threshold": {"errorRate": "< 1%", "gateway": "contour", "service": "web"}});
    // Server-side apply would reject the field.
    let object: DynamicObject =
        serde_json::from_value(template(json!({"name": "errors", "interval": "1s", "provider": provider})))?;
    scenario.api(&kinds::analysis_template()).create(&PostParams::default(), &object).await?;

    scenario.apply_canary(&analysed()).await?;

    let seen = scenario.until_phase("web", "Degraded").await?;
    let message = api::text(&seen, "/status/message");
    for part in ["InvalidSpec: ", "AnalysisTemplate/errors spec.metrics[0].provider", "below plugin"] {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    controller.stop().await?;
    scenario.end().await
}
