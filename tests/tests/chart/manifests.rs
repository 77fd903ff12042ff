//! The plain manifests and the kustomize base, which are generated from the chart.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use kulta_tests::{api, helm, run_folder};
use serde_json::Value;

/// All files below a folder, relative to it.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?.into_iter().map(|file| name.join(file)));
        } else {
            found.insert(name);
        }
    }
    Ok(found)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "needs helm: make cluster-test runs it"]
fn the_manifests_are_those_that_the_chart_generates() -> Result<()> {
    let (repository, folder) =
        (run_folder::repository(), std::env::temp_dir().join(format!("kulta-manifests-{}", std::process::id())));
    fs::create_dir_all(&folder).context("create a folder")?;

    output(Command::new(repository.join("deploy/manifests.sh")).arg(&folder).env("HELM", helm::program()))?;

    let generated = files(&folder)?;
    ensure!(generated.contains(Path::new("controller.yaml")), "{generated:?}");
    for file in &generated {
        let shipped = fs::read_to_string(repository.join("deploy").join(file)).unwrap_or_default();
        let fresh = fs::read_to_string(folder.join(file))?;
        ensure!(shipped == fresh, "deploy/{} is stale: make manifests", file.display());
    }
    let shipped: BTreeSet<PathBuf> = files(&repository.join("deploy"))?
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    let surplus: Vec<&PathBuf> = shipped.difference(&generated).collect();
    ensure!(surplus.is_empty(), "not generated: {surplus:?}");
    fs::remove_dir_all(&folder).context("remove the folder")
}

/// Kind and name.
fn identities(objects: &[Value]) -> BTreeSet<(String, String)> {
    let text = |object: &Value, path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    objects.iter().map(|object| (text(object, "/kind"), text(object, "/metadata/name"))).collect()
}

#[test]
#[ignore = "needs kubectl: make cluster-test runs it"]
fn the_kustomize_base_has_the_objects_of_the_chart_and_the_namespace() -> Result<()> {
    let kubectl = run_folder::tools().join("kubectl");

    let base = output(Command::new(kubectl).arg("kustomize").arg(run_folder::repository().join("deploy")))?;

    let mut expected = identities(&helm::template(&Value::Object(serde_json::Map::new()))?);
    expected.insert(("Namespace".to_owned(), helm::NAMESPACE.to_owned()));
    let found = identities(&api::documents(&base)?);
    ensure!(found == expected, "{:?}", found.symmetric_difference(&expected));
    Ok(())
}
