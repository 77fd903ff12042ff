//! The pod trusts an authority of the cluster's own, from a ConfigMap: for the event sink, for a registry and for a metric.

use anyhow::{Context, Result, ensure};
use kube::{Api, api::DynamicObject};
use kulta_oci::{Artifact, Client, Credentials, Settings};
use kulta_tests::{
    answers::{Answers, Mode},
    api,
    certificates::Authority,
    https::Https,
    kinds,
    manifests::Canary,
    namespace::NODE_ADDRESS,
    node::{app::Behaviour, install as installation},
    registry::{Registry, Users},
    scenario::{SOON, Scenario},
    sink::Sink,
    wait,
};
use kulta_wasm::fixtures::{LINEAR, noted};
use serde_json::{Value, json};

use crate::{WEB, begin, deployed, updated};

const SINK: &str = "sink";
const AUTHORITY: &str = "/etc/kulta/ca";
const PLUGIN: &str = "pulled";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn an_authority_from_a_config_map_is_trusted_for_the_event_sink_for_a_registry_and_for_a_metric() -> Result<()> {
    let scenario = begin("https").await?;
    let authority = Authority::create()?;
    let (sink, metrics) = (Sink::start().await?, Answers::start(Mode::Json(json!({"errors": 0}))).await?);
    let (registry, digest) = registry(&scenario).await?;
    let name = format!("{SINK}.{}.svc.cluster.local", scenario.namespace);
    let events = Https::named(&authority, &name, sink.address).await?;
    service(&scenario, events.address.port()).await?;
    let measured = Https::start(&authority, metrics.url().trim_start_matches("http://").parse()?).await?;
    let pulled = Https::start(&authority, registry.address).await?;
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": installation::NAMESPACE},
        "data": {"ca.crt": authority.pem()},
    });
    api::apply(&scenario.client, installation::NAMESPACE, map).await?;

    installation::apply(&scenario.client, |deployment| trust(deployment, &format!("https://{name}/events"))).await?;
    let image = format!("{}/acme/linear", pulled.address);
    let plugin = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": {"name": PLUGIN},
        "spec": {"serves": [PLUGIN], "source": {"oci": {"image": image}}, "digest": digest},
    });
    api::apply(&scenario.client, "", plugin).await?;
    let web = json!({"url": format!("https://{}/errors", measured.address), "jsonPath": "{$.errors}"});
    let metric = json!({"name": "errors", "provider": {"web": web}, "successCondition": "result == 0"});
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "errors"},
        "spec": {"metrics": [metric]},
    });
    scenario.apply(run).await?;
    let canary = Canary::new(WEB).replicas(1).without_routing().steps(json!([{"setWeight": 100}]));
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;

    let received = sink.wait_for(&format!("{}/{WEB}", scenario.namespace), "service.upgraded", SOON).await?;
    let sent: Vec<&str> = received.iter().map(|event| event.kind()).collect();
    ensure!(sent.first() == Some(&"service.deployed"), "{sent:?}");
    let plugins: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::plugin());
    wait::until(&plugins, PLUGIN, "KULTA to serve it", SOON, |plugin| {
        plugin.data.pointer("/status/conditions/0/reason") == Some(&json!("Serving"))
    })
    .await?;
    scenario
        .until(&kinds::analysis_run(), "errors", "a successful measurement", |run| {
            api::text(run, "/status/phase") == "Successful"
        })
        .await?;
    plugins.delete(PLUGIN, &kube::api::DeleteParams::default()).await?;
    wait::until_gone(&plugins, PLUGIN, SOON).await?;
    installation::apply(&scenario.client, |_| {}).await?;
    scenario.end().await
}

/// Adds the sink and the ConfigMap's authority to the Deployment of the manifests.
fn trust(deployment: &mut Value, sink: &str) {
    if let Some(volumes) = deployment.pointer_mut("/spec/template/spec/volumes").and_then(Value::as_array_mut) {
        volumes.push(json!({"name": "ca", "configMap": {"name": "ca"}}));
    }
    let Some(container) = installation::container(deployment) else { return };
    let mut add = |list: &str, entry: Value| {
        if let Some(list) = container.get_mut(list).and_then(Value::as_array_mut) {
            list.push(entry);
        }
    };
    add("args", json!(format!("--cdevents-sink={sink}")));
    add("env", json!({"name": "SSL_CERT_FILE", "value": format!("{AUTHORITY}/ca.crt")}));
    add("volumeMounts", json!({"name": "ca", "mountPath": AUTHORITY, "readOnly": true}));
}

/// A Service in front of a port of the node, so that the sink is reached by its name in the cluster.
async fn service(scenario: &Scenario, port: u16) -> Result<()> {
    let ports = |port: u16| json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": SINK}, "spec": {"ports": ports(443)},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": SINK, "labels": {"kubernetes.io/service-name": SINK}},
        "addressType": "IPv4", "endpoints": [{"addresses": [NODE_ADDRESS]}], "ports": ports(port),
    });
    scenario.apply_all([service, slice]).await
}

/// A registry with one plugin, and the plugin's digest.
async fn registry(scenario: &Scenario) -> Result<(Registry, String)> {
    kulta_tests::install_tls_provider();
    let folder = scenario.environment.run.join(format!("{}-registry", scenario.namespace));
    let registry = Registry::start(&folder, Users::Everybody).await?;
    let host = registry.address.to_string();
    let client = Client::new(Settings { plain_http: [host.clone()].into(), ..Settings::default() })?;
    let artifact = Artifact {
        component: noted(LINEAR, "in a registry").into(),
        created: "2026-11-23T10:00:00Z".parse()?,
        exports: vec!["kulta:plugin/strategy@0.1.0".into()],
        imports: Vec::new(),
        target: None,
    };
    let reference = format!("{host}/acme/linear:1").parse()?;
    let digest = client.push(&reference, &artifact, &Credentials::Anonymous).await.context("push the plugin")?;
    Ok((registry, digest.to_string()))
}
