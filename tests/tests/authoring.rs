//! Commands of `docs/plugins.md` that need a registry or a cluster, as an author runs them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kulta_oci::fixtures::{PREDICATE, Signer};
use kulta_oci::{Client, Credentials, Digest, Reference, Settings};
use kulta_tests::{
    controller::binary,
    install_tls_provider,
    kulta::{rights, start_as},
    registry::{PASSWORD, Registry, USER, Users},
    run_folder,
    scenario::Scenario,
};
use kulta_wasm::fixtures::LINEAR;
use serde_json::json;
use tokio::{process::Command, sync::OnceCell};

const TUTORIAL: &str = "docs/plugins.md";
/// Address of the tutorial's registry.
const REGISTRY: &str = "localhost:5000";
/// Variables that a shell needs to find cargo and the toolchain; the others of this test's environment are not passed
/// on.
const KEPT: [&str; 4] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"];
/// Builds the component: the tutorial's first two chapters, whose commands are tested elsewhere.
const COMPONENT: &str = "kulta plugin new --kind analyzer --lang rust error-rate && kulta plugin build error-rate";
const COMPONENT_FILE: &str = "error-rate.wasm";
/// Below an author's folder.
const PROGRAMS: &str = "programs";
const DOCKER: &str = "docker";
const PLUGIN: &str = "error-rate";
const OWN_NAMESPACE: &str = "kulta-system";
const INSTANCE: &str = "argo-rollouts.argoproj.io/controller-instance-id";
/// Built once for all tests.
static BUILT: OnceCell<Vec<u8>> = OnceCell::const_new();

/// The blocks of one kind, in order.
fn blocks(kind: &str) -> Result<Vec<String>> {
    let tutorial = fs::read_to_string(run_folder::repository().join(TUTORIAL)).context("read the tutorial")?;
    let opened = format!("```{kind}\n");
    let blocks = tutorial.split(&opened).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned);
    let blocks: Vec<String> = blocks.collect();
    ensure!(!blocks.is_empty(), "the tutorial has no block of {kind}");
    Ok(blocks)
}

/// A folder for one test, empty except for the programs in it.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("authoring").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join(PROGRAMS)).context("make the author's folder")?;
    symlink(binary(), folder.join(PROGRAMS).join("kulta")).context("lay out the program")?;
    Ok(folder)
}

/// A folder with the tutorial's component.
async fn author(name: &str) -> Result<PathBuf> {
    let built = BUILT.get_or_try_init(|| async {
        let folder = folder("build")?;
        printed(&folder, COMPONENT).await?;
        fs::read(folder.join(PLUGIN).join(COMPONENT_FILE)).context("read the component")
    });
    let built = built.await?;
    let folder = folder(name)?;
    fs::write(folder.join(COMPONENT_FILE), built).context("write the component")?;
    Ok(folder)
}

/// Output of a script in which `kulta` is the program under test.
async fn printed(folder: &Path, script: &str) -> Result<String> {
    let output = run(folder, script).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{script}\n{out}\n{err}");
    Ok(out.into_owned())
}

/// Error output of a failing script.
async fn refused(folder: &Path, script: &str) -> Result<String> {
    let output = run(folder, script).await?;
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "{script} should have failed");
    Ok(err.into_owned())
}

async fn run(folder: &Path, script: &str) -> Result<Output> {
    let programs = folder.join(PROGRAMS);
    let mut shell = Command::new("bash");
    shell.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let path = std::env::var("PATH").context("there is no PATH")?;
    shell.env("PATH", format!("{}:{path}", programs.display())).env("XDG_CACHE_HOME", folder.join("cache"));
    shell.env("DOCKER_CONFIG", folder.join(DOCKER));
    shell.current_dir(folder).args(["-euc", script]).output().await.context("start a shell")
}

/// The file that `docker login` writes.
fn log_in(folder: &Path, registry: &Registry, password: &str) -> Result<()> {
    let auth = STANDARD.encode(format!("{USER}:{password}"));
    let config = json!({"auths": {registry.address.to_string(): {"auth": auth}}});
    fs::create_dir_all(folder.join(DOCKER))?;
    fs::write(folder.join(DOCKER).join("config.json"), config.to_string()).context("write docker's configuration")
}

/// A registry for an author's folder.
async fn registry(name: &str, users: Users) -> Result<Registry> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("authoring-registries").join(name);
    Registry::start(&folder, users).await
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_component_is_pushed_and_pulled() -> Result<()> {
    let registry = registry("tutorial", Users::Everybody).await?;
    let folder = author("registry").await?;
    let commands = blocks("sh registry")?.join("\n").replace(REGISTRY, &registry.address.to_string());

    let output = printed(&folder, &commands).await?;

    // Push prints the digest first, and again in the Plugin object; pull prints the pulled one.
    let digests: Vec<&str> = output.lines().filter(|line| line.starts_with("sha256:")).collect();
    ensure!(digests.len() == 2 && digests.first() == digests.get(1), "{output}");
    ensure!(output.contains(&format!("  digest: {}", digests.first().copied().unwrap_or_default())), "{output}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_component_is_loaded_from_a_config_map() -> Result<()> {
    let scenario = Scenario::begin("tutorial").await?;
    let kubeconfig = rights(&scenario).await?;
    let variables = [("KULTA_INSTANCE_ID", scenario.namespace.as_str()), ("KULTA_OWN_NAMESPACE", OWN_NAMESPACE)];
    let controller = start_as(&scenario, &kubeconfig, None, &variables).await?;
    let folder = author("cluster").await?;
    symlink(&scenario.environment.kubectl, folder.join(PROGRAMS).join("kubectl")).context("lay out kubectl")?;
    // The label excludes it from other scenarios' controllers.
    let plugin = blocks("yaml plugin")?.into_iter().next().context("no Plugin")?;
    let label = format!("metadata:\n  labels: {{{INSTANCE}: {}}}\n", scenario.namespace);
    fs::write(folder.join("plugin.yaml"), plugin.replacen("metadata:\n", &label, 1))?;
    let admin = format!("export KUBECONFIG={}", scenario.environment.kubeconfig.display());

    let output = printed(&folder, &format!("{admin}\n{}", blocks("sh cluster")?.join("\n"))).await?;

    let row = output.lines().find(|line| line.starts_with(PLUGIN) && line.contains("analyzer"));
    ensure!(output.contains("plugin.kulta.io/error-rate condition met") && row.is_some(), "{output}");
    let away = format!("kubectl delete plugin {PLUGIN}; kubectl delete configmap {PLUGIN} --namespace {OWN_NAMESPACE}");
    printed(&folder, &format!("{admin}\n{away}")).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn push_and_pull_use_the_credentials_of_docker_login() -> Result<()> {
    let registry = registry("credentials", Users::One).await?;
    let folder = folder("credentials")?;
    fs::write(folder.join(COMPONENT_FILE), LINEAR)?;
    let image = format!("{}/acme/linear:1", registry.address);
    let push = format!("kulta plugin push {COMPONENT_FILE} {image} --plain-http");

    let nobody = refused(&folder, &push).await?;
    log_in(&folder, &registry, "wrong")?;
    let wrong = refused(&folder, &push).await?;
    log_in(&folder, &registry, PASSWORD)?;
    printed(&folder, &push).await?;
    let pull = format!("kulta plugin pull {image} --plain-http -o pulled.wasm && cmp {COMPONENT_FILE} pulled.wasm");
    printed(&folder, &pull).await?;

    ensure!(nobody.contains("needs credentials and there are none"), "{nobody}");
    ensure!(wrong.contains("the credentials were rejected"), "{wrong}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_pull_with_trusted_keys_writes_only_signed_components() -> Result<()> {
    let registry = registry("signed", Users::Everybody).await?;
    let (folder, signer) = (folder("signed")?, Signer::new()?);
    fs::write(folder.join(COMPONENT_FILE), LINEAR)?;
    fs::write(folder.join("cosign.pub"), signer.public_pem())?;
    let (host, nobody) = (registry.address.to_string(), Credentials::Anonymous);
    let image: Reference = format!("{host}/acme/linear:1").parse()?;
    let output = printed(&folder, &format!("kulta plugin push {COMPONENT_FILE} {image} --plain-http")).await?;
    let digest: Digest = output.lines().next().context("no digest")?.parse()?;
    let pull = format!("kulta plugin pull {image} --plain-http --trusted-keys cosign.pub -o pulled.wasm");

    let unsigned = refused(&folder, &pull).await?;
    let written = folder.join("pulled.wasm").exists();
    install_tls_provider();
    let client = Client::new(Settings { plain_http: [host].into(), ..Settings::default() })?;
    client.push_signature(&image, &digest, &signer.bundle(PREDICATE, &digest)?, &nobody).await?;
    printed(&folder, &format!("{pull} && cmp {COMPONENT_FILE} pulled.wasm")).await?;

    ensure!(unsigned.contains("is not signed by a key that is trusted") && !written, "{unsigned}");
    Ok(())
}
