//! Runs helm on the chart in `deploy/chart`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{api, run_folder};

/// The namespace of the plain manifests.
pub const NAMESPACE: &str = "kulta-system";

/// The chart's folder.
pub fn chart() -> PathBuf {
    run_folder::repository().join("deploy/chart")
}

/// The program that `tests/tools/build.sh` builds.
pub fn program() -> PathBuf {
    run_folder::tools().join("helm")
}

/// Runs helm with the values on its standard input: arguments that use them have `-f -`.
fn run(arguments: &[&str], values: &Value, kubeconfig: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Without a cluster, a kubeconfig of the environment must not matter.
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    let mut child = command.spawn().context("start helm (tests/tools/build.sh builds it)")?;
    let mut input = child.stdin.take().context("helm's standard input")?;
    input.write_all(values.to_string().as_bytes()).context("write the values")?;
    drop(input);
    child.wait_with_output().context("wait for helm")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The output of a command that must succeed.
fn successful(arguments: &[&str], values: &Value, kubeconfig: Option<&Path>) -> Result<String> {
    let output = run(arguments, values, kubeconfig)?;
    ensure!(output.status.success(), "helm {arguments:?} with {values}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

/// `helm lint --strict`.
pub fn lint(values: &Value) -> Result<String> {
    let chart = chart();
    successful(&["lint", "--strict", &chart.to_string_lossy(), "-f", "-"], values, None)
}

/// The objects of `helm template kulta`.
pub fn template(values: &Value) -> Result<Vec<Value>> {
    let chart = chart();
    let arguments = ["template", "kulta", &chart.to_string_lossy(), "--namespace", NAMESPACE, "-f", "-"];
    api::documents(&successful(&arguments, values, None)?)
}

/// The error of `helm template kulta` with values that the chart rejects.
pub fn rejection(values: &Value) -> Result<String> {
    let chart = chart();
    let arguments = ["template", "kulta", &chart.to_string_lossy(), "--namespace", NAMESPACE, "-f", "-"];
    let output = run(&arguments, values, None)?;
    ensure!(!output.status.success(), "helm accepts {values}");
    Ok(text(&output.stderr))
}

/// A release in a cluster.
#[derive(Debug, Clone)]
pub struct Release {
    pub name: String,
    pub namespace: String,
    pub kubeconfig: PathBuf,
}

impl Release {
    /// Waits until the release's pods are ready.
    pub fn install(&self, values: &Value) -> Result<String> {
        self.apply("install", values, &[])
    }

    /// As [`install`](Self::install), with objects that are there already and belong to something else.
    pub fn take_over(&self, values: &Value) -> Result<String> {
        self.apply("install", values, &["--take-ownership", "--force-conflicts"])
    }

    /// Replaces all values of the release.
    pub fn upgrade(&self, values: &Value) -> Result<String> {
        self.apply("upgrade", values, &["--reset-values"])
    }

    /// As [`upgrade`](Self::upgrade), with fields that something else has changed.
    pub fn upgrade_by_force(&self, values: &Value) -> Result<String> {
        self.apply("upgrade", values, &["--reset-values", "--force-conflicts"])
    }

    fn apply(&self, verb: &str, values: &Value, flags: &[&str]) -> Result<String> {
        let chart = chart();
        let arguments = [verb, &self.name, &chart.to_string_lossy(), "-f", "-", "--wait", "--timeout", "90s"];
        self.helm(&[&arguments, flags].concat(), values)
    }

    /// Back to an earlier revision.
    pub fn rollback(&self, revision: &str) -> Result<String> {
        self.helm(&["rollback", &self.name, revision, "--wait", "--timeout", "90s"], &Value::Null)
    }

    pub fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", &self.name, "--wait", "--timeout", "90s"], &Value::Null)
    }

    /// The objects of the release as helm has stored them.
    pub fn manifest(&self) -> Result<Vec<Value>> {
        api::documents(&self.helm(&["get", "manifest", &self.name], &Value::Null)?)
    }

    fn helm(&self, arguments: &[&str], values: &Value) -> Result<String> {
        let arguments = [arguments, &["--namespace", &self.namespace]].concat();
        successful(&arguments, values, Some(&self.kubeconfig))
    }
}

/// The object of a kind whose name is `name`.
pub fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let is = |object: &Value, path: &str, text: &str| object.pointer(path).is_some_and(|value| value == text);
    let found = objects.iter().find(|object| is(object, "/kind", kind) && is(object, "/metadata/name", name));
    found.with_context(|| format!("no {kind} {name}"))
}

/// The container of the only Deployment.
pub fn container(objects: &[Value]) -> Result<&Value> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").context("no Deployment")?;
    deployment.pointer("/spec/template/spec/containers/0").context("no container")
}

/// The arguments of the container of the only Deployment.
pub fn arguments(objects: &[Value]) -> Result<Vec<String>> {
    let listed = container(objects)?["args"].as_array().context("no arguments")?;
    Ok(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
