//! The quick start of `docs/quick-start.md`, from an empty cluster to a version that its metrics roll back: each command of the page,
//! in its order.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use kulta_tests::{
    node::{self, images, install as installation},
    run_folder,
    scenario::{SOON, Scenario},
    wait,
};
use tokio::process::Command;

/// Begins the block of commands in the page.
const BLOCK: &str = "```sh kind\n";
/// The page promises not more.
const MOST_COMMANDS: usize = 10;

/// Where the page gets Contour's manifests; `tests/tools/build.sh node` has the same files from Contour's Go module. Besides, the
/// images that the manifests name are substituted: [`images::PUBLIC`].
const CONTOUR: (&str, &str) =
    ("https://raw.githubusercontent.com/projectcontour/contour/v1.33.8/examples/", "contour-examples/");

/// What is done for a command of the page.
enum Action {
    /// It runs, with Contour's files instead of their addresses.
    Run(String),
    /// The node and its control plane, emptied, are the cluster. Its containerd gets the images that manifests pull.
    Empty,
    /// buildah has built the image from the same file, and containerd has it.
    ImageIsThere,
}

/// Commands of kubectl run. Every other command of the page is substituted here, by its whole text.
fn action(command: &str, image: &str) -> Result<Action> {
    let build = format!("docker build -f deploy/Containerfile -t {image} .");
    let load = format!("kind load docker-image {image}");
    match command {
        "kind create cluster" => Ok(Action::Empty),
        _ if command == build || command == load => Ok(Action::ImageIsThere),
        _ if command.starts_with("kubectl ") => {
            let files = run_folder::tools().join(CONTOUR.1);
            Ok(Action::Run(command.replace(CONTOUR.0, &files.display().to_string())))
        }
        _ => bail!("the command is neither run nor substituted: {command}"),
    }
}

#[test]
fn every_command_of_the_page_is_run_or_substituted() -> Result<()> {
    let (commands, image) = (commands()?, node::image()?);

    ensure!((2..=MOST_COMMANDS).contains(&commands.len()), "{} commands: {commands:#?}", commands.len());
    for command in commands {
        action(&command, &image)?;
    }
    Ok(())
}

#[test]
fn a_command_that_the_test_does_not_know_is_an_error() -> Result<()> {
    let image = node::image()?;

    for command in ["docker build -t kulta .", "kind load docker-image kulta:other", "helm install kulta"] {
        let error = action(command, &image).err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(error.contains(command), "{command}: {error}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn the_commands_of_the_quick_start_lead_from_an_empty_cluster_to_a_rollback_by_metrics() -> Result<()> {
    // The page's commands use the namespace `default`.
    let scenario = Scenario { namespace: "default".to_owned(), ..Scenario::begin("quick-start").await? };
    let commands = commands()?;
    let image = node::image()?;

    let mut output = String::new();
    for command in &commands {
        match action(command, &image)? {
            Action::Empty => {
                tokio::try_join!(empty(&scenario), images::import_public(&scenario.environment.run))?;
            }
            Action::ImageIsThere => {}
            Action::Run(command) => output = run(&scenario, &command).await?,
        }
    }

    println!("{output}");
    ensure!(output.starts_with("RolloutAborted: ") && output.contains("error rate 100"), "{output}");
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    let log = run(&scenario, "kubectl logs deployment/load").await?;
    ensure!(log.contains("500 Internal Server Error"), "no request reached the bad version: {log}");
    good_again(&scenario).await
}

/// The commands of the page's block.
fn commands() -> Result<Vec<String>> {
    let path = run_folder::repository().join("docs/quick-start.md");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let mut blocks = text.split(BLOCK).skip(1).filter_map(|rest| rest.split("```").next());
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        bail!("{} needs one block {BLOCK}", path.display())
    };
    Ok(block.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Deletes what a new cluster does not have: KULTA, the Gateway, and every CRD.
async fn empty(scenario: &Scenario) -> Result<()> {
    installation::delete(&scenario.client).await?;
    run(scenario, "kubectl delete gateways,gatewayclasses --all --all-namespaces --timeout 60s").await?;
    run(scenario, "kubectl delete crds --all --timeout 120s").await.map(drop)
}

/// Runs a command in the repository's root as a user does whose kubectl knows nothing of the cluster yet.
async fn run(scenario: &Scenario, command: &str) -> Result<String> {
    let environment = &scenario.environment;
    let programs = environment.kubectl.parent().context("kubectl's folder")?.display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.current_dir(run_folder::repository()).args(["-euc", command]);
    shell.env("PATH", path).env("KUBECONFIG", &environment.kubeconfig).env("HOME", environment.run.join("home"));
    let output = shell.output().await.context("start a shell")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command}\n{out}\n{err}");
    Ok(out.into_owned())
}

/// Waits until the last answers are all from the good version.
async fn good_again(scenario: &Scenario) -> Result<()> {
    wait::poll("good answers", SOON, || async {
        let last = run(scenario, "kubectl logs deployment/load --tail 20").await?;
        ensure!(last.lines().all(|line| line == "good"), "{last}");
        Ok(Some(()))
    })
    .await
}
