//! Sources of components.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kulta_oci::{Artifact, Client, Credentials, Reference, Settings};
use kulta_tests::{
    api,
    manifests::Canary,
    registry::{PASSWORD, Registry, USER, Users},
    scenario::SOON,
    wait,
};
use kulta_wasm::fixtures::{LINEAR, noted};
use serde_json::json;

use crate::{OWN_NAMESPACE, Place, WEB, ready, text};

fn slow() -> serde_json::Value {
    json!({"stepWeight": 40, "interval": "1h"})
}

/// Pushes a component and returns the manifest's digest.
pub async fn push(registry: &Registry, image: &str, component: &[u8], users: Users) -> Result<String> {
    let plain_http = [registry.address.to_string()].into();
    let client = Client::new(Settings { plain_http, ..Settings::default() })?;
    let reference: Reference = image.parse()?;
    let credentials = match users {
        Users::Everybody => Credentials::Anonymous,
        Users::One => Credentials::Basic { username: USER.into(), password: PASSWORD.into() },
    };
    let artifact = Artifact {
        component: component.to_vec().into(),
        created: "2026-01-01T00:00:00Z".parse()?,
        exports: vec!["kulta:plugin/strategy@0.1.0".into()],
        imports: Vec::new(),
        target: None,
    };
    Ok(client.push(&reference, &artifact, &credentials).await?.to_string())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_plugin_from_a_config_map_decides_for_a_rollout() -> Result<()> {
    let place = Place::begin("plugin-configmap").await?;
    let controller = place.controller(None, &[]).await?;
    let (scenario, name) = (&place.scenario, format!("component-{}", place.scenario.namespace));
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": OWN_NAMESPACE},
        "binaryData": {"linear.wasm": STANDARD.encode(noted(LINEAR, "in a map"))},
    });
    api::apply(&scenario.client, OWN_NAMESPACE, map).await?;
    let source = json!({"configMap": {"namespace": OWN_NAMESPACE, "name": name, "key": "linear.wasm"}});
    place.apply("mapped", json!({"source": source, "config": {"interval": "1s"}})).await?;
    let served = place.until("mapped", "Serving").await?;

    let canary = Canary::new(WEB).canary(json!({"scaleDownDelaySeconds": 1}));
    place.deploy(&canary, "mapped", json!({"stepWeight": 50})).await?;
    scenario.apply(place.ours(canary.clone().version("v2").led_by("mapped", json!({"stepWeight": 50})))).await?;

    scenario.until_phase(WEB, "Healthy").await?;
    ensure!(served.data["status"]["kinds"] == json!(["strategy"]), "{:?}", served.data);
    ensure!(text(&served, "/status/digest").starts_with("sha256:"), "{:?}", served.data);
    ensure!(served.data["status"]["imports"].to_string().contains("kulta:plugin/types"), "{:?}", served.data);
    let events = place.events("mapped").await?;
    ensure!(events.iter().any(|(reason, _)| reason == "Serving"), "{events:?}");
    let (api, plugin) = (place.plugins(), place.plugin("mapped"));
    wait::until(&api, &plugin, "one user", SOON, |plugin| api::number(plugin, "/status/users") == 1).await?;
    controller.stop().await?;
    place.end(&["mapped"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_missing_key_of_a_config_map_is_reported_with_the_remedy() -> Result<()> {
    let place = Place::begin("plugin-no-key").await?;
    let controller = place.controller(None, &[]).await?;
    let name = format!("empty-{}", place.scenario.namespace);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": OWN_NAMESPACE}});
    api::apply(&place.scenario.client, OWN_NAMESPACE, map).await?;

    let source = json!({"configMap": {"namespace": OWN_NAMESPACE, "name": name, "key": "x.wasm"}});
    place.apply("keyless", json!({ "source": source })).await?;

    let (_, message) = ready(&place.until("keyless", "SourceRefused").await?);
    ensure!(message.contains("spec.source.configMap.key") && message.contains("use oci"), "{message}");
    controller.stop().await?;
    place.end(&["keyless"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn errors_of_a_spec_are_reported_by_field_and_a_wrong_digest_is_not_served() -> Result<()> {
    let place = Place::begin("plugin-spec").await?;
    let controller = place.controller(None, &[]).await?;
    let file = place.file("linear.wasm", LINEAR)?;

    place.apply("faulty", json!({"source": {}, "limits": {"memory": "9Gi"}})).await?;
    let (_, told) = ready(&place.until("faulty", "InvalidSpec").await?);
    let digest = format!("sha256:{}", "0".repeat(64));
    place.apply("faulty", json!({"source": {"file": file}, "digest": digest})).await?;
    let (_, mismatch) = ready(&place.until("faulty", "DigestMismatch").await?);
    place.apply("faulty", json!({"source": {"file": "/nowhere.wasm"}})).await?;
    let (_, missing) = ready(&place.until("faulty", "SourceUnavailable").await?);

    ensure!(told.contains("spec.source: ") && told.contains("spec.limits.memory: "), "{told}");
    ensure!(mismatch.contains("spec.digest") && mismatch.contains(&digest), "{mismatch}");
    ensure!(missing.contains("spec.source.file") && missing.contains("/nowhere.wasm"), "{missing}");
    controller.stop().await?;
    place.end(&["faulty"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_plugin_from_a_registry_is_served_after_the_registry_is_gone() -> Result<()> {
    let place = Place::begin("plugin-oci").await?;
    let registry = Registry::start(&place.folder.join("registry"), Users::One).await?;
    let address = registry.address.to_string();
    let image = format!("{address}/acme/linear");
    let digest = push(&registry, &format!("{image}:1"), &noted(LINEAR, "pushed"), Users::One).await?;
    let cache = place.folder.join("cache").display().to_string();
    let variables = [("KULTA_PLUGIN_CACHE", cache.as_str()), ("KULTA_PLUGIN_HTTP_REGISTRIES", address.as_str())];
    let secret = format!("pull-{}", place.scenario.namespace);
    let docker = json!({"auths": {address.clone(): {"username": USER, "password": PASSWORD}}}).to_string();
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": secret, "namespace": OWN_NAMESPACE}, "stringData": {".dockerconfigjson": docker},
    });
    api::apply(&place.scenario.client, OWN_NAMESPACE, object).await?;
    let controller = place.controller(None, &variables).await?;

    // By tag alone it is rejected, without credentials it is unavailable, by digest and with credentials it is served.
    place.apply("pushed", json!({"source": {"oci": {"image": format!("{image}:1")}}})).await?;
    let (_, tagged) = ready(&place.until("pushed", "DigestRequired").await?);
    place.apply("pushed", json!({"source": {"oci": {"image": image}}, "digest": digest})).await?;
    let (_, anonymous) = ready(&place.until("pushed", "SourceUnavailable").await?);
    let source = json!({"oci": {"image": image, "pullSecrets": [{"name": secret}]}});
    place.apply("pushed", json!({"source": source, "digest": digest})).await?;
    place.until("pushed", "Serving").await?;
    let canary = Canary::new(WEB);
    place.deploy(&canary, "pushed", slow()).await?;
    // After a change to an unavailable image, the previous component stays served, also after a restart.
    drop(registry);
    let unknown = format!("sha256:{}", "0".repeat(64));
    place.apply("pushed", json!({"source": source, "digest": unknown})).await?;
    place.until("pushed", "SourceUnavailable").await?;
    controller.stop().await?;

    let controller = place.controller(None, &variables).await?;
    place.scenario.apply(place.ours(canary.version("v2").led_by("pushed", slow()))).await?;
    let led = crate::until_weight(&place.scenario, WEB, 40).await?;

    ensure!(tagged.contains("sha256:"), "{tagged}");
    ensure!(anonymous.contains("credentials"), "{anonymous}");
    ensure!(crate::pin(&led, "pushed").starts_with("sha256:"), "{:?}", led.data);
    let told = ready(&place.until("pushed", "SourceUnavailable").await?).1;
    ensure!(told.contains("is still served"), "{told}");
    place.apply("pushed", json!({"source": source, "digest": digest})).await?;
    place.until("pushed", "Serving").await?;
    controller.stop().await?;
    place.end(&["pushed"]).await
}
