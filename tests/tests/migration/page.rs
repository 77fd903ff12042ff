//! The commands of the page. Each shell block has a name, ```` ```sh NAME ````, by which a scenario runs it.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use kulta_tests::{environment::Environment, run_folder, scenario::Scenario};
use tokio::process::Command;

const PAGE: &str = "docs/migrate/argo-rollouts.md";
const FENCE: &str = "```";
/// The page's placeholders: the namespace of the applications, Argo's manifests, and the repository of Argo's Helm chart.
const NAMESPACE: &str = "--namespace shop";
const MANIFESTS: &str = "https://github.com/argoproj/argo-rollouts/releases/download/v1.9.2";
const CHART: &str = "argo/argo-rollouts";
/// The names of the blocks that have run, in the run folder.
const LEDGER: &str = "migration-blocks";
/// For one block: the page's own timeouts are shorter.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where `tests/tools/build.sh` leaves Argo's manifests.
pub fn argos_manifests() -> PathBuf {
    run_folder::tools().join("argo-rollouts-manifests")
}

/// Name and text of each shell block.
fn blocks() -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(run_folder::repository().join(PAGE)).context("read the page")?;
    let mut found = BTreeMap::new();
    for block in text.split(FENCE).skip(1).step_by(2) {
        let (head, commands) = block.split_once('\n').context("a block without a line")?;
        let Some(name) = head.strip_prefix("sh") else { continue };
        ensure!(!name.trim().is_empty(), "a shell block has no name, so no scenario can run it:\n{commands}");
        let before = found.insert(name.trim().to_owned(), commands.to_owned());
        ensure!(before.is_none(), "two blocks are called {name}");
    }
    ensure!(!found.is_empty(), "{PAGE} has no commands");
    Ok(found)
}

/// The blocks that no scenario of this run has run.
pub fn not_run(environment: &Environment) -> Result<Vec<String>> {
    let ledger = fs::read_to_string(environment.run.join(LEDGER)).context("read which blocks have run")?;
    Ok(blocks()?.into_keys().filter(|name| !ledger.lines().any(|run| run == name)).collect())
}

/// The page for one scenario.
pub struct Page {
    blocks: BTreeMap<String, String>,
    environment: Environment,
    placed: Vec<(&'static str, String)>,
}

impl Page {
    /// `chart`: a chart that stands for Argo's.
    pub fn open(scenario: &Scenario, chart: &Path) -> Result<Self> {
        let placed = vec![
            (NAMESPACE, format!("--namespace {}", scenario.namespace)),
            (MANIFESTS, argos_manifests().display().to_string()),
            (CHART, chart.display().to_string()),
        ];
        Ok(Self { blocks: blocks()?, environment: scenario.environment.clone(), placed })
    }

    /// Runs a block in the repository's folder, and returns its output.
    pub async fn run(&self, name: &str) -> Result<String> {
        let block = self.blocks.get(name).with_context(|| format!("the page has no block {name}"))?;
        let script = self.placed.iter().fold(block.clone(), |text, (was, is)| text.replace(was, is));
        let mut ledger = OpenOptions::new().create(true).append(true).open(self.environment.run.join(LEDGER))?;
        writeln!(ledger, "{name}").context("note that the block has run")?;
        self.shell(&script).await
    }

    /// Output of a script with kubectl, its plugin for Argo, and helm.
    pub async fn shell(&self, script: &str) -> Result<String> {
        let output = self.answer(script).await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{script}\n{out}\n{err}");
        println!("$ {}\n{out}", script.trim());
        Ok(out.into_owned())
    }

    async fn answer(&self, script: &str) -> Result<Output> {
        let path = std::env::var("PATH").context("there is no PATH")?;
        let mut shell = Command::new("bash");
        shell
            .env("PATH", format!("{}:{path}", run_folder::tools().display()))
            .env("KUBECONFIG", &self.environment.kubeconfig)
            .current_dir(run_folder::repository())
            .args(["-euo", "pipefail", "-c", script])
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, shell.output()).await;
        ended.with_context(|| format!("waited {PATIENCE:?} for {script}"))?.context("start a shell")
    }
}
