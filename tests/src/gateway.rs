//! Contour and Envoy: a Gateway API implementation with a data plane for real requests.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use kube::{Api, api::DynamicObject};
use serde_json::json;
use tokio::{net::TcpStream, process::Command};

use crate::{api, cluster::Cluster, kinds, namespace::NODE_ADDRESS, process::Process, run_folder, wait};

/// The `parentRefs` of HTTPRoutes (namespace `default`).
pub const GATEWAY: &str = "gw";
pub const GATEWAY_NAMESPACE: &str = "default";
/// Where Envoy listens, on [`NODE_ADDRESS`].
pub const PORT: u16 = 8080;

const XDS_PORT: u16 = 8001;

/// Both programs, running.
#[derive(Debug)]
pub struct Gateway {
    contour: Process,
    envoy: Process,
}

impl Gateway {
    /// Starts both and waits until the Gateway is Programmed and Envoy has its configuration.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let run = cluster.run.as_path();
        api::apply_crds(&cluster.client, &run_folder::tools().join("crds/contour")).await?;
        apply_objects(cluster).await?;
        let mut contour = contour(run)?;
        let mut envoy = envoy(run).await?;
        let gateways: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), GATEWAY_NAMESPACE, &kinds::gateway());
        let programmed = wait::until(&gateways, GATEWAY, "Contour to program it", Duration::from_secs(30), |gateway| {
            api::condition(gateway, "Programmed").is_some_and(|found| found.0 == "True")
        })
        .await;
        contour.check()?;
        envoy.check()?;
        programmed?;
        wait::poll("Envoy to open its metrics port", Duration::from_secs(20), || async {
            Ok(TcpStream::connect((NODE_ADDRESS, 8002)).await.ok())
        })
        .await?;
        Ok(Self { contour, envoy })
    }

    pub fn check(&mut self) -> Result<()> {
        self.contour.check()?;
        self.envoy.check()
    }
}

async fn apply_objects(cluster: &Cluster) -> Result<()> {
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "contour"},
        "spec": {"controllerName": "projectcontour.io/gateway-controller"},
    });
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE},
        "spec": {
            "gatewayClassName": "contour",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}],
        },
    });
    api::apply(&cluster.client, "", class).await?;
    api::apply(&cluster.client, GATEWAY_NAMESPACE, gateway).await?;
    Ok(())
}

fn contour(run: &Path) -> Result<Process> {
    let config = run.join("contour.yaml");
    let text = json!({"gateway": {"gatewayRef": {"namespace": GATEWAY_NAMESPACE, "name": GATEWAY}}});
    fs::write(&config, text.to_string()).context("write Contour's configuration")?;
    let arguments = [
        "serve".to_owned(),
        format!("--kubeconfig={}", run.join("contour.kubeconfig").display()),
        "--no-incluster".to_owned(),
        "--insecure".to_owned(),
        "--xds-address=127.0.0.1".to_owned(),
        format!("--xds-port={XDS_PORT}"),
        "--disable-leader-election".to_owned(),
        format!("--config-path={}", config.display()),
        format!("--envoy-service-http-port={PORT}"),
        "--http-address=127.0.0.1".to_owned(),
        "--health-address=127.0.0.1".to_owned(),
        "--disable-feature=tlsroutes".to_owned(),
        "--disable-feature=tcproutes".to_owned(),
        "--disable-feature=backendtlspolicies".to_owned(),
        "--disable-feature=extensionservices".to_owned(),
        // Otherwise Contour reports on five routes a second, which would slow down a fleet.
        "--kubernetes-client-qps=500".to_owned(),
        "--kubernetes-client-burst=1000".to_owned(),
    ];
    Process::start("contour", &arguments, run)
}

async fn envoy(run: &Path) -> Result<Process> {
    let config = run.join("envoy.json");
    let bootstrap = Command::new(run_folder::tools().join("contour"))
        .arg("bootstrap")
        .arg(&config)
        .args(["--xds-address=127.0.0.1", &format!("--xds-port={XDS_PORT}")])
        .arg(format!("--admin-address={}", run.join("envoy-admin.sock").display()))
        .arg(format!("--resources-dir={}", run.join("envoy-resources").display()))
        .output()
        .await
        .context("run contour bootstrap")?;
    anyhow::ensure!(
        bootstrap.status.success(),
        "contour bootstrap: {}",
        String::from_utf8_lossy(&bootstrap.stderr).trim()
    );
    let arguments = [
        "-c".to_owned(),
        config.display().to_string(),
        "--service-cluster".to_owned(),
        "contour".to_owned(),
        "--service-node".to_owned(),
        "envoy-0".to_owned(),
        "--concurrency".to_owned(),
        "1".to_owned(),
        "--disable-hot-restart".to_owned(),
        "--log-level".to_owned(),
        "warn".to_owned(),
    ];
    Process::start("envoy", &arguments, run)
}
