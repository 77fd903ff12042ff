//! Replaces a plugin while it decides for all rollouts of a fleet.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use kube::{Api, api::DynamicObject};
use kulta_tests::{
    api,
    controller::{free_address, get},
    kinds,
    kulta::{rights, start_as},
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use kulta_wasm::fixtures::{LINEAR, noted};
use serde_json::{Value, json};

use crate::{FLEET, FLEET_PATIENCE, until_all};

const INSTANCE: &str = "argo-rollouts.argoproj.io/controller-instance-id";
const PLUGIN: &str = "fleet";
/// Updates of the fleet that start after the new component is served.
const STARTED_AFTER: usize = 100;
/// Five steps: all rollouts are in progress before the first one is done.
const STEP: u32 = 20;
const INTERVAL: &str = "45s";
/// The longest time that a decision may take.
const LATE: f64 = 0.1;

fn plugins(scenario: &Scenario) -> Api<DynamicObject> {
    Api::all_with(scenario.client.clone(), &kinds::plugin())
}

/// Replaces the plugin's component, and returns the digest that is served then.
async fn serve(scenario: &Scenario, note: &str) -> Result<String> {
    let component = noted(LINEAR, note);
    let file = scenario.environment.run.join(format!("{}-{note}.wasm", scenario.namespace));
    std::fs::write(&file, &component).context("write the component")?;
    let object = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin",
        "metadata": {"name": scenario.namespace, "labels": {INSTANCE: scenario.namespace}},
        "spec": {"serves": [PLUGIN], "source": {"file": file}},
    });
    let generation = api::apply(&scenario.client, "", object).await?.metadata.generation;
    let api = plugins(scenario);
    let served = wait::until(&api, &scenario.namespace, "the component to be served", SOON, |plugin| {
        plugin.data.pointer("/status/observedGeneration").and_then(Value::as_i64) == generation
            && api::text(plugin, "/status/conditions/0/reason") == "Serving"
    });
    Ok(api::text(&served.await?, "/status/digest").to_owned())
}

fn led(scenario: &Scenario, canary: &Canary) -> Value {
    let mut rollout = canary.led_by(PLUGIN, json!({"stepWeight": STEP, "interval": INTERVAL}));
    json_patch::merge(&mut rollout, &json!({"metadata": {"labels": {INSTANCE: scenario.namespace}}}));
    rollout
}

fn pin(rollout: &DynamicObject) -> String {
    let pins = rollout.data.pointer("/status/kulta/plugins").cloned().unwrap_or_default();
    pins.get(format!("strategy/{PLUGIN}")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn at(version: &'static str) -> impl Fn(&DynamicObject) -> bool {
    move |rollout| {
        api::text(rollout, "/spec/template/metadata/labels/version") == version
            && api::text(rollout, "/status/observedGeneration")
                == rollout.metadata.generation.unwrap_or_default().to_string()
    }
}

fn healthy_at(version: &'static str) -> impl Fn(&DynamicObject) -> bool {
    let at = at(version);
    move |rollout| {
        at(rollout)
            && api::text(rollout, "/status/phase") == "Healthy"
            && api::text(rollout, "/status/stableRS") == api::text(rollout, "/status/currentPodHash")
    }
}

/// Counters of `/metrics`: all decisions, those in time, and failed calls of the plugin.
async fn decisions(address: SocketAddr) -> Result<(f64, f64, f64)> {
    let page = get(address, "/metrics").await?;
    let text = String::from_utf8(page.body)?;
    let sum = |wanted: &dyn Fn(&str) -> bool| -> f64 {
        let values = text.lines().filter(|line| wanted(line)).filter_map(|line| line.rsplit(' ').next()?.parse().ok());
        values.fold(0.0, |sum, value: f64| sum + value)
    };
    let all = sum(&|line| line.starts_with("kulta_decision_seconds_count"));
    let in_time = sum(&|line| line.starts_with(&format!("kulta_decision_seconds_bucket{{le=\"{LATE}\"")));
    let failed = sum(&|line| {
        line.starts_with("kulta_plugin_calls_total") && line.contains(PLUGIN) && !line.contains("class=\"ok\"")
    });
    Ok((all, in_time, failed))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_plugin_is_swapped_while_five_hundred_rollouts_are_under_way_by_it() -> Result<()> {
    let scenario = Scenario::begin("swap").await?;
    let kubeconfig = rights(&scenario).await?;
    let address = free_address()?;
    let listen = address.to_string();
    let variables = [
        ("KULTA_LISTEN", listen.as_str()),
        ("KULTA_INSTANCE_ID", scenario.namespace.as_str()),
        ("KULTA_OWN_NAMESPACE", "kulta-system"),
        ("KULTA_LOG_LEVEL", "info"),
    ];
    let controller = start_as(&scenario, &kubeconfig, None, &variables).await?;
    let one = serve(&scenario, "one").await?;
    let canaries: Vec<Canary> =
        (0..FLEET).map(|number| Canary::new(&format!("web-{number:03}")).replicas(1).without_routing()).collect();
    scenario.apply_side_by_side(canaries.iter().map(|canary| led(&scenario, canary)).collect()).await?;
    until_all(&scenario, FLEET, "deployed", FLEET_PATIENCE, healthy_at("v1")).await?;
    let all_at =
        |version: &str| canaries.iter().map(|canary| led(&scenario, &canary.clone().version(version))).collect();
    let under_way = |digest: String| move |rollout: &DynamicObject| at("v2")(rollout) && pin(rollout) == digest;
    scenario.apply_side_by_side(all_at("v2")).await?;
    until_all(&scenario, FLEET, "under way", FLEET_PATIENCE, under_way(one.clone())).await?;

    let before = decisions(address).await?;
    let two = serve(&scenario, "two").await?;
    let again: Vec<Value> = all_at("v3");
    scenario.apply_side_by_side(again.into_iter().take(STARTED_AFTER).collect()).await?;
    let next = until_all(&scenario, STARTED_AFTER, "upgraded once more", FLEET_PATIENCE, healthy_at("v3"));
    let rest = until_all(&scenario, FLEET - STARTED_AFTER, "upgraded", FLEET_PATIENCE, healthy_at("v2"));
    let (next, rest) = futures::try_join!(next, rest)?;
    let after = decisions(address).await?;

    let (all, in_time) = (after.0 - before.0, after.1 - before.1);
    println!(
        "a plugin swapped while {FLEET} rollouts are under way by it: {all} decisions from then on, {} of them took more than {LATE} s, {} failed",
        all - in_time,
        after.2 - before.2,
    );
    ensure!(all > 0.0, "no decision is counted");
    ensure!(one != two && after.2 == 0.0, "{} calls failed", after.2);
    for (rollouts, digest) in [(next, two), (rest, one)] {
        let other = rollouts.values().find(|(_, rollout)| pin(rollout) != digest);
        ensure!(other.is_none(), "not by {digest}: {other:?}");
    }
    controller.stop().await?;
    let patch = json!({"metadata": {"finalizers": null}});
    let merge = kube::api::Patch::Merge(&patch);
    plugins(&scenario).patch(&scenario.namespace, &kube::api::PatchParams::default(), &merge).await?;
    plugins(&scenario).delete(&scenario.namespace, &kube::api::DeleteParams::default()).await?;
    scenario.end().await
}
