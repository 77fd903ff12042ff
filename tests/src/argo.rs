//! `kubectl argo rollouts`: Argo's own plugin as users run it, found by kubectl on its path.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{run_folder, scenario::Scenario};

/// For one command of the plugin. `get` and `status` wait forever for their caches if a kind that they list is not
/// served.
const PATIENCE: Duration = Duration::from_secs(60);

/// The plugin in a scenario's namespace, with all permissions.
pub struct Argo<'a> {
    scenario: &'a Scenario,
}

/// Output and exit status of a command.
#[derive(Debug)]
pub struct Answer {
    pub succeeded: bool,
    pub output: String,
    pub errors: String,
}

impl<'a> Argo<'a> {
    pub fn of(scenario: &'a Scenario) -> Self {
        Self { scenario }
    }

    /// Runs a command, such as `["promote", "web"]`, and returns its output.
    ///
    /// # Errors
    /// If it fails: its error output.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.ask(arguments).await?;
        ensure!(answer.succeeded, "kubectl argo rollouts {}: {}", arguments.join(" "), answer.errors);
        Ok(answer.output)
    }

    /// As [`Argo::run`], for a command that may fail.
    pub async fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        let environment = &self.scenario.environment;
        let mut command = Command::new(&environment.kubectl);
        command
            .args(["argo", "rollouts"])
            .args(arguments)
            .args(["--namespace", &self.scenario.namespace])
            .env("PATH", run_folder::tools())
            .env("KUBECONFIG", &environment.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let what = || format!("kubectl argo rollouts {}", arguments.join(" "));
        let ended = tokio::time::timeout(PATIENCE, command.output());
        let ended = ended.await.with_context(|| format!("waited {PATIENCE:?} for {}", what()))?;
        let ended = ended.with_context(|| format!("run {} (tests/tools/build.sh builds it)", what()))?;
        Ok(Answer {
            succeeded: ended.status.success(),
            output: String::from_utf8_lossy(&ended.stdout).into_owned(),
            errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
        })
    }

    /// The output of `get rollout`.
    pub async fn get(&self, rollout: &str) -> Result<Shown> {
        Ok(Shown(self.run(&["get", "rollout", rollout, "--no-color"]).await?))
    }

    /// The output of `status --watch=false` for a Rollout that is not degraded.
    pub async fn status(&self, rollout: &str) -> Result<String> {
        Ok(self.run(&["status", rollout, "--watch=false"]).await?.trim().to_owned())
    }
}

/// The text of `get rollout`: lines `Name: value`, then a tree of revisions, ReplicaSets and pods.
#[derive(Debug)]
pub struct Shown(pub String);

impl Shown {
    /// The value of a name; "" if the name is missing.
    pub fn value(&self, name: &str) -> &str {
        let found = self.0.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        found.map(str::trim).unwrap_or_default()
    }

    /// Checks that all of these names have these values.
    ///
    /// # Errors
    /// Reports the first difference, with the whole text.
    pub fn says(&self, wanted: &[(&str, &str)]) -> Result<()> {
        for (name, value) in wanted {
            ensure!(self.value(name) == *value, "{name} is {:?}, not {value:?}:\n{}", self.value(name), self.0);
        }
        Ok(())
    }

    /// True if a line of the tree contains all of these words.
    pub fn has_line(&self, words: &[&str]) -> bool {
        self.0.lines().any(|line| words.iter().all(|word| line.contains(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_complete_names() {
        let shown = Shown("Status:          ॥ Paused\n  SetWeight:     20\nReplicas:\n  Ready:         3\n".to_owned());

        let values = ["Status", "SetWeight", "Weight", "Ready", "Message"].map(|name| shown.value(name));

        assert_eq!(values, ["॥ Paused", "20", "", "3", ""]);
    }
}
