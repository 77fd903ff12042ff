//! Plugins that the pod compiles.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::{Api, api::DynamicObject};
use kulta_tests::{
    api, kinds,
    manifests::Canary,
    node::{self, app::Behaviour, install as installation},
    scenario::SOON,
    wait,
};
use kulta_wasm::fixtures::{LINEAR, noted};
use serde_json::json;

use crate::{WEB, begin, until_ready_pods, with_pods};

const PLUGIN: &str = "mapped";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_plugin_from_a_config_map_is_compiled_within_the_pod_s_limits_and_decides_for_a_rollout() -> Result<()> {
    let scenario = begin("plugin").await?;
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PLUGIN, "namespace": installation::NAMESPACE},
        "binaryData": {"linear.wasm": STANDARD.encode(noted(LINEAR, "in a map"))},
    });
    api::apply(&scenario.client, installation::NAMESPACE, map).await?;
    let before = installation::until_ready(&scenario.client).await?;

    let source = json!({"configMap": {"namespace": installation::NAMESPACE, "name": PLUGIN, "key": "linear.wasm"}});
    let plugin = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": {"name": PLUGIN},
        "spec": {"serves": [PLUGIN], "source": source, "config": {"interval": "1s"}},
    });
    api::apply(&scenario.client, "", plugin).await?;
    let plugins: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::plugin());
    wait::until(&plugins, PLUGIN, "KULTA to serve it", SOON, |plugin| {
        plugin.data.pointer("/status/conditions/0/reason") == Some(&json!("Serving"))
    })
    .await?;
    let canary = Canary::new(WEB).replicas(2).without_routing();
    for version in ["v1", "v2"] {
        let canary = with_pods(&canary, version, Behaviour::Serves);
        scenario.apply(canary.led_by(PLUGIN, json!({"stepWeight": 50}))).await?;
        scenario.until_phase(WEB, "Healthy").await?;
        until_ready_pods(&scenario, WEB, &[(version, 2)]).await?;
    }

    let after = installation::until_ready(&scenario.client).await?;
    let memory = node::working_set(&scenario.client, &after).await?;
    println!("with one more plugin: {:.1} MB", memory as f64 / 1e6);
    ensure!(before.metadata.uid == after.metadata.uid, "the pod was replaced");
    ensure!(api::number(&after, "/status/containerStatuses/0/restartCount") == 0, "{:?}", after.data["status"]);
    plugins.delete(PLUGIN, &kube::api::DeleteParams::default()).await?;
    scenario.end().await
}
