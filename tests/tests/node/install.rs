//! The image and its start by the manifests.

use std::{fs, time::Instant};

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api,
    environment::Environment,
    node::{
        self,
        images::{self, Images, NEXT},
        install as installation,
    },
    run_folder,
    scenario::Scenario,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// What a pod of KULTA may use after its start, in bytes.
const MEMORY: u64 = 35_000_000;
/// Of the image besides its base, in bytes.
const SIZE: u64 = 60_000_000;
/// Of the files that the build copies into its first stage, in bytes.
const CONTEXT: u64 = 30_000_000;

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn the_shipped_image_becomes_ready_in_a_restricted_namespace_and_takes_little_memory() -> Result<()> {
    let scenario = Scenario::begin("image").await?;
    let image = node::image()?;
    // Other scenarios may have installed it.
    installation::delete(&scenario.client).await?;
    images::run(images::containerd().args(["remove", &image, NEXT])).await?;

    let started = Instant::now();
    Images::of(&scenario.environment.run)?.import_kulta().await?;
    let imported = started.elapsed();
    let pod = installation::apply(&scenario.client, |_| {}).await?;
    let ready = started.elapsed();
    images::run(images::containerd().args(["tag", &image, NEXT])).await?;
    let memory = node::working_set(&scenario.client, &pod).await?;

    println!(
        "KULTA's pod: {imported:.1?} to import its image, ready after {ready:.1?}; {:.1} MB after its start",
        memory as f64 / 1e6
    );
    ensure!(api::text(&pod, "/status/containerStatuses/0/image") == image, "{:?}", pod.data["status"]);
    ensure!(api::number(&pod, "/status/containerStatuses/0/restartCount") == 0, "{:?}", pod.data["status"]);
    ensure!(memory <= MEMORY, "{memory} bytes");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn the_pod_answers_at_readyz_and_has_ca_certificates() -> Result<()> {
    let scenario = crate::begin("readyz").await?;
    let pod = installation::until_ready(&scenario.client).await?;

    let address = format!("{}:8090", api::text(&pod, "/status/podIP")).parse().context("the pod's address")?;
    let answer = kulta_tests::controller::get(address, "/readyz").await?;
    let name = pod.metadata.name.unwrap_or_default();
    let output = Command::new(&scenario.environment.kubectl)
        .arg("--kubeconfig")
        .arg(&scenario.environment.kubeconfig)
        .args(["exec", "-n", installation::NAMESPACE, &name, "--", "grep", "-c", "BEGIN CERTIFICATE"])
        .arg("/etc/ssl/certs/ca-certificates.crt")
        .output()
        .await?;

    ensure!(answer.status() == 200, "{answer:?}");
    let count: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| format!("{output:?}"))?;
    ensure!(count > 100, "{count} certificates");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn the_image_names_itself_runs_as_nobody_and_is_small() -> Result<()> {
    let environment = Environment::find()?;
    let folder = images::folder(&environment.run);
    let image = node::image()?;

    let output = images::buildah(&folder).args(["inspect", "--type", "image", &image]).output().await?;
    let inspected: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    let manifest: Value = serde_json::from_str(inspected["Manifest"].as_str().unwrap_or_default())?;
    let config = &inspected["OCIv1"]["config"];
    let layers: Vec<u64> =
        manifest["layers"].as_array().into_iter().flatten().filter_map(|layer| layer["size"].as_u64()).collect();
    let own: u64 = layers.iter().skip(1).sum();

    println!("{image}: {:.1} MB besides its base", own as f64 / 1e6);
    ensure!(config["User"] == json!("65532:65532"), "{config}");
    ensure!(config["Entrypoint"] == json!(["/usr/local/bin/kulta"]), "{config}");
    ensure!(config["Cmd"] == json!(["controller"]), "{config}");
    let version = image.rsplit(':').next().unwrap_or_default();
    for (label, wanted) in [("title", "KULTA"), ("version", version), ("licenses", "Apache-2.0")] {
        ensure!(config["Labels"][format!("org.opencontainers.image.{label}")] == json!(wanted), "{config}");
    }
    ensure!(layers.len() == 2 && own <= SIZE, "{layers:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_build_copies_the_sources_and_no_build_output() -> Result<()> {
    let environment = Environment::find()?;
    let folder = images::folder(&environment.run);
    let file = folder.join("Containerfile.context");
    fs::write(&file, "FROM scratch\nCOPY . .\n")?;
    let mut build = images::buildah(&folder);
    build.args(["build", "--quiet", "--tag", "context", "--file"]).arg(&file).arg(run_folder::repository());

    images::run(&mut build).await?;
    let output = images::buildah(&folder).args(["inspect", "--type", "image", "context"]).output().await?;
    let inspected: Value = serde_json::from_slice(&output.stdout)?;
    let manifest: Value = serde_json::from_str(inspected["Manifest"].as_str().unwrap_or_default())?;
    let size = manifest["layers"][0]["size"].as_u64().context("the image has no layer")?;

    println!("the build's context: {:.1} MB", size as f64 / 1e6);
    ensure!(size <= CONTEXT, "{size} bytes");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_pod_that_is_not_restricted_is_refused_in_the_namespace_of_the_manifests() -> Result<()> {
    let scenario = crate::begin("restricted").await?;

    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "app", "image": images::PAUSE}]},
    });
    let refused = api::dry_run(&scenario.client, installation::NAMESPACE, pod).await;

    let error = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(error.contains("violates PodSecurity \"restricted"), "{error}");
    scenario.end().await
}
