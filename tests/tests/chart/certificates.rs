//! `caBundle.configMap`: who trusts the certificates in it.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use kulta_oci::{Artifact, Client, Credentials, Settings};
use kulta_tests::{
    answers::{Answers, Mode},
    api,
    certificates::Authority,
    controller, helm,
    https::Https,
    kinds, kulta,
    manifests::Canary,
    registry::{Registry, Users},
    scenario::{SOON, Scenario},
    sink::Sink,
};
use serde_json::json;
use tokio::process::Command;

/// The variables of the container for a bundle that is mounted in `folder`.
fn variables(folder: &Path) -> Result<Vec<(String, String)>> {
    let objects = helm::template(&json!({"caBundle": {"configMap": "company-ca"}}))?;
    let container = helm::container(&objects)?;
    let mounts = container["volumeMounts"].as_array().context("no mounts")?;
    let mount = mounts.iter().find(|mount| mount["name"] == "ca").context("the bundle is not mounted")?;
    let variable = |name: &str| -> Result<String> {
        let all = container["env"].as_array().context("no variables")?;
        let found = all.iter().find(|variable| variable["name"] == name).with_context(|| format!("no {name}"))?;
        found["value"].as_str().map(str::to_owned).context("no value")
    };
    ensure!(mount["mountPath"] == variable("SSL_CERT_DIR")?, "the bundle is mounted elsewhere");
    Ok(vec![
        ("SSL_CERT_FILE".to_owned(), variable("SSL_CERT_FILE")?),
        ("SSL_CERT_DIR".to_owned(), folder.display().to_string()),
    ])
}

/// A mounted ConfigMap: a symbolic link to a folder, and one to each file in it.
fn mount(folder: &Path, pem: &str) -> Result<()> {
    fs::create_dir_all(folder.join("..2026")).context("create a folder")?;
    fs::write(folder.join("..2026/company.pem"), pem).context("write the bundle")?;
    std::os::unix::fs::symlink("..2026", folder.join("..data")).context("link the folder")?;
    std::os::unix::fs::symlink("..data/company.pem", folder.join("company.pem")).context("link the file")
}

/// A registry with one plugin.
async fn registry(folder: &Path) -> Result<(Registry, String)> {
    kulta_tests::install_tls_provider();
    let registry = Registry::start(folder, Users::Everybody).await?;
    let host = registry.address.to_string();
    let client = Client::new(Settings { plain_http: [host.clone()].into(), ..Settings::default() })?;
    let artifact = Artifact {
        component: kulta_wasm::fixtures::GATE.to_vec().into(),
        created: "2026-11-23T10:00:00Z".parse()?,
        exports: vec!["kulta:plugin/step@0.1.0".into()],
        imports: vec!["kulta:plugin/log@0.1.0".into()],
        target: None,
    };
    client.push(&format!("{host}/acme/gate:1").parse()?, &artifact, &Credentials::Anonymous).await?;
    Ok((registry, "acme/gate:1".to_owned()))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_ca_bundle_is_trusted_for_the_sink_for_analyses_and_for_registries() -> Result<()> {
    let scenario = Scenario::begin("chart-ca").await?;
    let folder = scenario.environment.run.join(format!("{}-ca", scenario.namespace));
    let authority = Authority::create()?;
    mount(&folder, &authority.pem())?;
    let variables = variables(&folder)?;
    let (sink, metrics) = (Sink::start().await?, Answers::start(Mode::Json(json!({"errors": 0}))).await?);
    let events = Https::start(&authority, sink.address).await?;
    let measured = Https::start(&authority, metrics.url().trim_start_matches("http://").parse()?).await?;
    let kubeconfig = kulta::rights(&scenario).await?;
    let url = format!("https://{}/events", events.address);
    let mut set: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    set.push(("KULTA_CDEVENTS_SINK", &url));
    let controller = kulta::start_as(&scenario, &kubeconfig, None, &set).await?;

    kulta::deployed(&scenario, &Canary::new("web").without_routing()).await?;
    let web = json!({"url": format!("https://{}/errors", measured.address), "jsonPath": "{$.errors}"});
    let metric = json!({"name": "errors", "provider": {"web": web}, "successCondition": "result == 0"});
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "errors"},
        "spec": {"metrics": [metric]},
    });
    scenario.apply(run).await?;

    sink.wait_for(&format!("{}/web", scenario.namespace), "service.deployed", SOON).await?;
    scenario
        .until(&kinds::analysis_run(), "errors", "a successful measurement", |run| {
            api::text(run, "/status/phase") == "Successful"
        })
        .await?;
    controller.stop().await?;

    let (server, image) = registry(&folder.with_extension("registry")).await?;
    let front = Https::start(&authority, server.address).await?;
    let pull = |variables: Vec<(String, String)>| {
        let mut command = Command::new(controller::binary());
        command.args(["plugin", "pull", &format!("{}/{image}", front.address), "-o"]);
        command.arg(folder.with_extension("wasm")).envs(variables);
        async move { command.output().await.context("start kulta plugin pull") }
    };
    let (with, without) = (pull(variables.clone()).await?, pull(Vec::new()).await?);
    ensure!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    ensure!(!without.status.success(), "the registry's certificate is trusted without the bundle");
    scenario.end().await
}
