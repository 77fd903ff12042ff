//! Events go from the pod over https to a sink whose certificate is signed by an authority of the cluster's own.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api,
    certificates::Authority,
    install_tls_provider,
    manifests::Canary,
    namespace::NODE_ADDRESS,
    node::{app::Behaviour, install as installation},
    scenario::{SOON, Scenario},
    sink::Sink,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{WEB, begin, deployed, updated};

const SINK: &str = "sink";
const AUTHORITY: &str = "/etc/kulta/ca";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn events_reach_an_https_sink_by_its_service_s_name_with_an_authority_from_a_config_map() -> Result<()> {
    let scenario = begin("https-sink").await?;
    let sink = Sink::start().await?;
    let name = format!("{SINK}.{}.svc.cluster.local", scenario.namespace);
    let authority = Authority::create()?;
    serve_tls(&scenario, &authority, &name, &sink).await?;
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": installation::NAMESPACE},
        "data": {"ca.crt": authority.pem()},
    });
    api::apply(&scenario.client, installation::NAMESPACE, map).await?;

    installation::apply(&scenario.client, |deployment| send_to(deployment, &format!("https://{name}/events"))).await?;
    let canary = Canary::new(WEB).replicas(1).without_routing().steps(json!([{"setWeight": 100}]));
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;

    let subject = format!("{}/{WEB}", scenario.namespace);
    let events = sink.wait_for(&subject, "service.upgraded", SOON).await?;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind()).collect();
    println!("events over https: {kinds:?}");
    ensure!(kinds.first() == Some(&"service.deployed"), "{kinds:?}");
    installation::apply(&scenario.client, |_| {}).await?;
    scenario.end().await
}

/// Adds the sink and the ConfigMap's authority to the Deployment of the manifests.
fn send_to(deployment: &mut Value, url: &str) {
    if let Some(volumes) = deployment.pointer_mut("/spec/template/spec/volumes").and_then(Value::as_array_mut) {
        volumes.push(json!({"name": "ca", "configMap": {"name": "ca"}}));
    }
    let Some(container) = installation::container(deployment) else { return };
    let mut add = |list: &str, entry: Value| {
        if let Some(list) = container.get_mut(list).and_then(Value::as_array_mut) {
            list.push(entry);
        }
    };
    add("args", json!(format!("--cdevents-sink={url}")));
    add("env", json!({"name": "SSL_CERT_FILE", "value": format!("{AUTHORITY}/ca.crt")}));
    add("volumeMounts", json!({"name": "ca", "mountPath": AUTHORITY, "readOnly": true}));
}

/// Serves the sink over TLS on the node's address, behind a Service.
async fn serve_tls(scenario: &Scenario, authority: &Authority, name: &str, sink: &Sink) -> Result<()> {
    install_tls_provider();
    let pair = authority.server(name, vec![name.to_owned()])?;
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).context("read the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("read the key")?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((NODE_ADDRESS, 0)).await.context("listen for TLS")?;
    let port = listener.local_addr()?.port();
    let plain = sink.address;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outer = acceptor.accept(stream).await?;
                let mut inner = TcpStream::connect(plain).await?;
                copy_bidirectional(&mut outer, &mut inner).await
            });
        }
    });
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
