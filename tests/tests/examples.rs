//! The manifests of `examples` on the real API server, followed by the real controller: each is accepted, becomes healthy, and begins an
//! update as it says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api,
    backend::{self, behaviour::ERRORS},
    gateway, kinds,
    kulta::start,
    load::{Load, Plan},
    run_folder,
    scenario::Scenario,
};
use serde_json::{Value, json};

/// Kinds of other projects, whose CRDs the test cluster does not have, and the patch of the controller's Deployment.
const NOT_APPLIED: [&str; 5] = ["Application", "Deployment", "GitRepository", "Kustomization", "ScaledObject"];
/// Events about a manifest that is not right.
const COMPLAINTS: [&str; 5] = ["InvalidSpec", "SpecWarning", "AnalysisWarning", "TrafficRoutingError", "StrategyError"];
const NEW_IMAGE: &str = "registry.example.com/shop/web:1.1.0";

fn folders() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(run_folder::repository().join("examples")).context("list the examples")?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut folders: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

/// The objects of a folder that the test cluster knows, in the order of `kubectl apply -f`.
fn objects(folder: &Path) -> Result<Vec<Value>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        objects.extend(api::documents(&text)?);
    }
    objects.retain(|object| object["kind"].as_str().is_some_and(|kind| !NOT_APPLIED.contains(&kind)));
    Ok(objects)
}

fn host(route: &str, scenario: &Scenario) -> String {
    format!("{route}.{}.test", scenario.namespace)
}

/// With the gateway, the Prometheus and the port of pods of the test cluster, and with a host name of its own.
fn placed(mut object: Value, scenario: &Scenario) -> Value {
    if let Some(port) = object.pointer_mut("/spec/template/spec/containers/0/ports/0/containerPort") {
        *port = json!(backend::PORT);
    }
    if object["kind"] == "HTTPRoute" {
        object["spec"]["hostnames"] = json!([host(name(&object), scenario)]);
        object["spec"]["parentRefs"] = json!([{"name": gateway::GATEWAY, "namespace": gateway::GATEWAY_NAMESPACE}]);
    }
    for metric in object.pointer_mut("/spec/metrics").and_then(Value::as_array_mut).into_iter().flatten() {
        let providers = metric.get_mut("provider").and_then(Value::as_object_mut);
        for address in providers.into_iter().flatten().filter_map(|(_, provider)| provider.get_mut("address")) {
            *address = json!(format!("http://{}", scenario.environment.prometheus));
        }
    }
    object
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The canary's weight after the first step.
fn first_weight(rollout: &Value) -> Option<i64> {
    let step = rollout.pointer("/spec/strategy/canary/steps/0/setWeight");
    step.or_else(|| rollout.pointer("/spec/strategy/plugin/config/stepWeight"))?.as_i64()
}

fn is_past_its_first_step(rollout: &DynamicObject) -> bool {
    let generation = rollout.metadata.generation.unwrap_or_default().to_string();
    api::number(rollout, "/status/currentStepIndex") == 1
        && api::text(rollout, "/status/observedGeneration") == generation
        && api::text(rollout, "/status/stableRS") != api::text(rollout, "/status/currentPodHash")
}

async fn deployed_and_updated(scenario: &Scenario, objects: &[Value], rollout: &Value) -> Result<()> {
    let web = name(rollout);
    scenario.until_phase(web, "Healthy").await?;
    scenario.verbs(web).set_image(NEW_IMAGE).await?;

    // The strategy `linear` keeps its first weight for two minutes: that is its first step.
    if rollout.pointer("/spec/strategy/canary").is_some() {
        scenario.until(&kinds::rollout(), web, "the first step's end", is_past_its_first_step).await?;
    }
    let canary = first_weight(rollout).context("the first step sets a weight")?;
    for route in objects.iter().filter(|object| object["kind"] == "HTTPRoute") {
        let rules = route["spec"]["rules"].as_array().map_or(0, Vec::len);
        let wanted = [("web-stable", 100 - canary), ("web-canary", canary)].repeat(rules);
        scenario.until_weights(name(route), &wanted).await?;
    }

    let events = scenario.events_about("Rollout", web).await?;
    let complaints: Vec<_> = events.iter().filter(|(reason, _)| COMPLAINTS.contains(&reason.as_str())).collect();
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

async fn tried(folder: &Path) -> Result<()> {
    let shown = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let scenario = Scenario::begin(shown).await?;
    let objects: Vec<Value> = objects(folder)?.into_iter().map(|object| placed(object, &scenario)).collect();
    let controller = start(&scenario, None).await?;

    scenario.apply_all(objects.clone()).await?;
    for rollout in objects.iter().filter(|object| object["kind"] == "Rollout") {
        deployed_and_updated(&scenario, &objects, rollout).await?;
    }

    controller.stop().await?;
    for plugin in objects.iter().filter(|object| object["kind"] == "Plugin") {
        let plugins: kube::Api<DynamicObject> = kube::Api::all_with(scenario.client.clone(), &kinds::plugin());
        plugins.delete(name(plugin), &kube::api::DeleteParams::default()).await.context("delete the Plugin")?;
    }
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn every_example_becomes_healthy_and_begins_an_update() -> Result<()> {
    let folders = folders()?;
    ensure!(folders.len() > 5, "only {} examples", folders.len());

    for folder in folders {
        tried(&folder).await.with_context(|| format!("{}", folder.display()))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_example_with_limits_takes_a_bad_version_back() -> Result<()> {
    let scenario = Scenario::begin("example-bad").await?;
    let folder = run_folder::repository().join("examples/analysis-threshold");
    let objects = objects(&folder)?.into_iter().map(|object| placed(object, &scenario));
    let controller = start(&scenario, None).await?;
    scenario.apply_all(objects).await?;
    scenario.until_phase("web", "Healthy").await?;
    let host = host("web", &scenario);
    scenario.until_served(&host).await?;
    let load = Load::start(Plan { per_second: 200, workers: 16, ..Plan::to(&host) })?;

    let bad = json!({"spec": {"template": {"metadata": {"labels": {ERRORS: "50"}}}}});
    scenario.verbs("web").patch_spec(bad).await?;

    let aborted = scenario.until_phase("web", "Degraded").await?;
    let message = api::text(&aborted, "/status/message");
    ensure!(message.starts_with("RolloutAborted: ") && message.contains("requests"), "{message}");
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    drop(load);
    controller.stop().await?;
    scenario.end().await
}
