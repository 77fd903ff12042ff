//! The manifests of `examples` and the commands of documents on the real API server, followed by the real controller.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
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
use tokio::process::Command;

/// Kinds of other projects, whose CRDs the test cluster does not have, and the patch of the controller's Deployment.
const NOT_APPLIED: [&str; 5] = ["Application", "Deployment", "GitRepository", "Kustomization", "ScaledObject"];
/// Events about a manifest that is not right.
const COMPLAINTS: [&str; 5] = ["InvalidSpec", "SpecWarning", "AnalysisWarning", "TrafficRoutingError", "StrategyError"];
/// The example with a gateway, a Prometheus and a client in pods: `tests/node/quick_start.rs` runs it on a node.
const ON_A_NODE: &str = "quick-start";
const NEW_IMAGE: &str = "registry.example.com/shop/web:1.1.0";

fn folders() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(run_folder::repository().join("examples")).context("list the examples")?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut folders: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.is_dir() && !path.ends_with(ON_A_NODE)).collect();
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
    objects.retain(|object| !NOT_APPLIED.iter().any(|kind| is_a(object, kind)));
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
    if is_a(&object, "HTTPRoute") {
        let parents = json!([{"name": gateway::GATEWAY, "namespace": gateway::GATEWAY_NAMESPACE}]);
        let hosts = json!([host(name(&object), scenario)]);
        json_patch::merge(&mut object, &json!({"spec": {"hostnames": hosts, "parentRefs": parents}}));
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
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn is_a(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
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

async fn until_first_weight(scenario: &Scenario, objects: &[Value], rollout: &Value) -> Result<()> {
    let canary = first_weight(rollout).context("the first step sets a weight")?;
    for route in objects.iter().filter(|object| is_a(object, "HTTPRoute")) {
        let rules = route.pointer("/spec/rules").and_then(Value::as_array).map_or(0, Vec::len);
        let wanted = [("web-stable", 100 - canary), ("web-canary", canary)].repeat(rules);
        scenario.until_weights(name(route), &wanted).await?;
    }
    Ok(())
}

async fn deployed_and_updated(scenario: &Scenario, objects: &[Value], rollout: &Value) -> Result<()> {
    let web = name(rollout);
    scenario.until_phase(web, "Healthy").await?;
    scenario.verbs(web).set_image(NEW_IMAGE).await?;

    // The strategy `linear` keeps its first weight for two minutes: that is its first step.
    if rollout.pointer("/spec/strategy/canary").is_some() {
        scenario.until(&kinds::rollout(), web, "the first step's end", is_past_its_first_step).await?;
    }
    if rollout.pointer("/spec/strategy/blueGreen").is_some() {
        scenario.until_phase(web, "Paused").await?;
    } else {
        until_first_weight(scenario, objects, rollout).await?;
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
    for rollout in objects.iter().filter(|object| is_a(object, "Rollout")) {
        deployed_and_updated(&scenario, &objects, rollout).await?;
    }

    controller.stop().await?;
    for plugin in objects.iter().filter(|object| is_a(object, "Plugin")) {
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

/// Runs a command of a page with `kubectl` for the scenario's namespace, from the repository's root.
async fn run(scenario: &Scenario, command: &str) -> Result<String> {
    let environment = &scenario.environment;
    let kubectl = environment.kubectl.display();
    let script = format!("kubectl() {{ {kubectl} --namespace {} \"$@\"; }}\n{command}", scenario.namespace);
    let mut shell = Command::new("bash");
    shell.current_dir(run_folder::repository()).env("KUBECONFIG", &environment.kubeconfig).args(["-euc", &script]);
    let output = shell.output().await.context("start a shell")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command}\n{out}\n{err}");
    Ok(out.into_owned())
}

/// The lines of all blocks of a page that are for a cluster.
fn commands(page: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(run_folder::repository().join(page)).with_context(|| format!("read {page}"))?;
    let blocks = text.split("```sh cluster\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.trim().to_owned());
    Ok(lines.filter(|line| !line.is_empty()).collect())
}

async fn until_paused(scenario: &Scenario, step: i64) -> Result<()> {
    let is_paused = |rollout: &DynamicObject| {
        api::text(rollout, "/status/phase") == "Paused" && api::number(rollout, "/status/currentStepIndex") == step
    };
    scenario.until(&kinds::rollout(), "web", &format!("a pause at step {step}"), is_paused).await.map(drop)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_commands_of_the_quick_start_deploy_update_promote_and_abort() -> Result<()> {
    let scenario = Scenario::begin("quick-start").await?;
    let controller = start(&scenario, None).await?;
    let commands = commands("docs/quick-start.md")?;
    let [apply, get, update, phase, promote, abort] = commands.as_slice() else {
        bail!("the quick start has other commands: {commands:#?}");
    };

    run(&scenario, apply).await?;
    scenario.until_phase("web", "Healthy").await?;
    ensure!(run(&scenario, get).await?.contains("web"), "{get} does not show the rollout");
    run(&scenario, update).await?;
    until_paused(&scenario, 1).await?;
    ensure!(run(&scenario, phase).await? == "Paused: CanaryPauseStep", "{}", run(&scenario, phase).await?);
    run(&scenario, promote).await?;
    until_paused(&scenario, 3).await?;
    run(&scenario, abort).await?;

    scenario.until_phase("web", "Degraded").await?;
    controller.stop().await?;
    scenario.end().await
}

/// The commands for kubectl alone: the third column of the page's first table, in code.
fn verbs() -> Result<Vec<String>> {
    let text = fs::read_to_string(run_folder::repository().join("docs/guides/verbs.md")).context("read the verbs")?;
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(2));
    let commands = cells.filter_map(|cell| cell.trim_end_matches(" |").strip_prefix('`')?.strip_suffix('`'));
    Ok(commands.filter(|command| !command.contains("NAME")).map(str::to_owned).collect())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn every_verb_by_kubectl_alone_has_its_effect() -> Result<()> {
    let scenario = Scenario::begin("verbs-page").await?;
    let controller = start(&scenario, None).await?;
    let verbs = verbs()?;
    let [promote, promote_full, abort, retry, pause, go_on, restart] = verbs.as_slice() else {
        bail!("the page has other verbs: {verbs:#?}");
    };
    run(&scenario, "kubectl apply -f examples/canary-by-pods/").await?;
    scenario.until_phase("web", "Healthy").await?;
    scenario.verbs("web").set_image(NEW_IMAGE).await?;
    until_paused(&scenario, 1).await?;

    run(&scenario, promote).await?;
    until_paused(&scenario, 3).await?;
    run(&scenario, abort).await?;
    scenario.until_phase("web", "Degraded").await?;
    run(&scenario, retry).await?;
    until_paused(&scenario, 1).await?;
    run(&scenario, pause).await?;
    let manual = |rollout: &DynamicObject| api::text(rollout, "/status/message") == "manually paused";
    scenario.until(&kinds::rollout(), "web", "a manual pause", manual).await?;
    run(&scenario, go_on).await?;
    scenario.until(&kinds::rollout(), "web", "no manual pause", |rollout| !manual(rollout)).await?;
    run(&scenario, promote_full).await?;
    scenario.until_phase("web", "Healthy").await?;
    run(&scenario, restart).await?;

    let restarted = |rollout: &DynamicObject| !api::text(rollout, "/status/restartedAt").is_empty();
    scenario.until(&kinds::rollout(), "web", "all pods restarted", restarted).await?;
    controller.stop().await?;
    scenario.end().await
}
