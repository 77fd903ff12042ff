//! Plugins that the pod pulls from a registry by digest.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject},
};
use kulta_oci::{Artifact, Client, Credentials, Settings};
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds,
    manifests::Canary,
    namespace::NODE_ADDRESS,
    node::{self, app::Behaviour, install as installation},
    registry::{Registry, Users},
    run_folder,
    scenario::{SOON, Scenario},
    wait,
};
use kulta_wasm::fixtures::{LINEAR, noted};
use serde_json::{Value, json};

use crate::{WEB, begin, deployed, updated, with_pods};

/// The memory limit that docs/install.md names for plugins in Python, and the one of the manifests, for plugins in Rust.
const DOCUMENTED: (&str, u64) = ("1Gi", 1 << 30);
const OF_THE_MANIFESTS: u64 = 256 << 20;
/// An interpreter takes half a minute on two busy cores.
const COMPILED: Duration = Duration::from_secs(180);

const RUST: &str = "by-digest";
const PYTHON: &str = "quantile";
const LED: &str = "led";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn plugins_in_rust_and_python_from_a_registry_are_compiled_within_the_documented_limit_and_decide() -> Result<()>
{
    let scenario = begin("registry").await?;
    let folder = scenario.environment.run.join(format!("{}-registry", scenario.namespace));
    let registry = Registry::start_on(NODE_ADDRESS.into(), &folder, Users::Everybody).await?;
    let component = fs::read(run_folder::tools().join("quantile.wasm"))
        .context("read quantile.wasm, which tests/tools/build.sh node builds")?;
    let rust = push(&registry, RUST, "strategy", noted(LINEAR, "by digest")).await?;
    let python = push(&registry, PYTHON, "analyzer", component).await?;
    let numbers = Answers::start(Mode::Json(json!([1, 2, 3]))).await?;
    let pod = installation::apply(&scenario.client, |deployment| configure(deployment, &registry)).await?;

    scenario.apply(plugin(&registry, RUST, &rust, json!({"config": {"interval": "1s"}}))).await?;
    serving(&scenario, RUST).await?;
    let with_rust = node::peak_memory(&pod)?;
    let grants = json!([{"urlPrefix": numbers.url()}]);
    scenario.apply(plugin(&registry, PYTHON, &python, json!({"grants": grants}))).await?;
    // The compilation takes so long that the first plugin leads its rollout meanwhile.
    led_by_rust(&scenario).await?;
    serving(&scenario, PYTHON).await?;

    judged_by_python(&scenario, &numbers).await?;
    let after = installation::until_ready(&scenario.client).await?;
    let with_python = node::peak_memory(&after)?;
    println!(
        "the pod has used at most {:.0} MB with a plugin in Rust, {:.0} MB with one in Python",
        with_rust as f64 / 1e6,
        with_python as f64 / 1e6
    );
    ensure!(after.metadata.uid == pod.metadata.uid, "the pod was replaced");
    ensure!(api::number(&after, "/status/containerStatuses/0/restartCount") == 0, "{:?}", after.data["status"]);
    ensure!(with_rust < OF_THE_MANIFESTS, "a plugin in Rust takes {with_rust} bytes");
    ensure!(with_python < DOCUMENTED.1, "a plugin in Python takes all of its memory limit");
    removed(&scenario).await?;
    scenario.end().await
}

/// A strategy in Rust leads an update.
async fn led_by_rust(scenario: &Scenario) -> Result<()> {
    let canary = Canary::new(LED).replicas(2).without_routing();
    for version in ["v1", "v2"] {
        let canary = with_pods(&canary, version, Behaviour::Serves);
        scenario.apply(canary.led_by(RUST, json!({"stepWeight": 50}))).await?;
        scenario.until_phase(LED, "Healthy").await?;
    }
    Ok(())
}

/// An analyzer in Python lets a good version pass, and takes a bad one back.
async fn judged_by_python(scenario: &Scenario, numbers: &Answers) -> Result<()> {
    let configuration = json!({"url": numbers.url(), "percent": 50, "max": 2});
    let template = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": PYTHON},
        "spec": {"metrics": [{"name": "median", "provider": {"plugin": {PYTHON: configuration}}}]},
    });
    scenario.apply(template).await?;
    let steps = json!([{"setWeight": 50}, {"analysis": {"templates": [{"templateName": PYTHON}]}}]);
    let canary = Canary::new(WEB).replicas(2).without_routing().steps(steps);
    deployed(scenario, &canary, Behaviour::Serves).await?;

    updated(scenario, &canary, "v2", Behaviour::Serves).await?;
    scenario.until_phase(WEB, "Healthy").await?;
    numbers.set(Mode::Json(json!([1, 8, 9])));
    updated(scenario, &canary, "v3", Behaviour::Serves).await?;
    let aborted = scenario.until_phase(WEB, "Degraded").await?;

    let message = api::text(&aborted, "/status/message");
    ensure!(message.contains("p50 is 8, at most 2 passes"), "{message}");
    Ok(())
}

fn configure(deployment: &mut Value, registry: &Registry) {
    let Some(container) = installation::container(deployment) else { return };
    json_patch::merge(container, &json!({"resources": {"limits": {"memory": DOCUMENTED.0}}}));
    if let Some(arguments) = container.get_mut("args").and_then(Value::as_array_mut) {
        arguments.push(json!(format!("--plugin-http-registries={}", registry.address)));
    }
}

/// Pushes a component and returns the digest of its manifest.
async fn push(registry: &Registry, name: &str, kind: &str, component: Vec<u8>) -> Result<String> {
    kulta_tests::install_tls_provider();
    let host = registry.address.to_string();
    let client = Client::new(Settings { plain_http: [host.clone()].into(), ..Settings::default() })?;
    let artifact = Artifact {
        component: component.into(),
        created: "2026-11-23T10:00:00Z".parse()?,
        exports: vec![format!("kulta:plugin/{kind}@0.1.0")],
        imports: Vec::new(),
        target: None,
    };
    let reference = format!("{host}/acme/{name}:1").parse()?;
    let digest = client.push(&reference, &artifact, &Credentials::Anonymous).await.context("push a plugin")?;
    Ok(digest.to_string())
}

fn plugin(registry: &Registry, name: &str, digest: &str, fields: Value) -> Value {
    let image = format!("{}/acme/{name}", registry.address);
    let mut plugin = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": {"name": name},
        "spec": {"source": {"oci": {"image": image}}, "digest": digest},
    });
    json_patch::merge(&mut plugin, &json!({ "spec": fields }));
    plugin
}

async fn serving(scenario: &Scenario, plugin: &str) -> Result<()> {
    let plugins: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::plugin());
    let served = wait::until(&plugins, plugin, "KULTA to serve it", COMPILED, |plugin| {
        plugin.data.pointer("/status/conditions/0/reason") == Some(&json!("Serving"))
    });
    served.await.map(drop)
}

/// Deletes the plugins and what names them, and restores the installation by the manifests.
async fn removed(scenario: &Scenario) -> Result<()> {
    scenario.delete(&kinds::analysis_template(), PYTHON).await?;
    for rollout in [LED, WEB] {
        scenario.delete(&kinds::rollout(), rollout).await?;
        wait::until_gone(&scenario.api(&kinds::rollout()), rollout, SOON).await?;
    }
    let plugins: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::plugin());
    for plugin in [RUST, PYTHON] {
        plugins.delete(plugin, &DeleteParams::default()).await.context("delete a Plugin")?;
        wait::until_gone(&plugins, plugin, SOON).await?;
    }
    installation::apply(&scenario.client, |_| {}).await.map(drop)
}
