//! KULTA's CRDs in the place of Argo's.

use std::fs;

use anyhow::{Context, Result, ensure};
use kulta_tests::{api, run_folder};
use serde_json::Value;

use crate::page::argos_manifests;

/// Argo's file of a CRD, and KULTA's.
const FILES: [(&str, &str); 5] = [
    ("rollout-crd.yaml", "argoproj.io_rollouts.yaml"),
    ("analysis-run-crd.yaml", "argoproj.io_analysisruns.yaml"),
    ("analysis-template-crd.yaml", "argoproj.io_analysistemplates.yaml"),
    ("cluster-analysis-template-crd.yaml", "argoproj.io_clusteranalysistemplates.yaml"),
    ("experiment-crd.yaml", "argoproj.io_experiments.yaml"),
];
const OPEN: &str = "x-kubernetes-preserve-unknown-fields";
/// Fields of every object, which a schema need not have.
const OF_EVERY_OBJECT: [&str; 3] = ["/apiVersion", "/kind", "/metadata"];

fn schema(path: &std::path::Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let crd = api::documents(&text)?.into_iter().next().context("an empty file")?;
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().context("a CRD without a schema")
}

/// Paths of Argo's fields that KULTA's schema would prune.
fn pruned(argo: &Value, kulta: &Value, path: &str, found: &mut Vec<String>) {
    if kulta[OPEN] == true {
        return;
    }
    for (name, field) in argo["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        if OF_EVERY_OBJECT.contains(&path.as_str()) {
            continue;
        }
        let values = Some(&kulta["additionalProperties"]).filter(|values| values.is_object());
        match kulta["properties"].get(name).or(values) {
            Some(known) => pruned(field, known, &path, found),
            None => found.push(path),
        }
    }
    for below in ["items", "additionalProperties"] {
        if argo[below].is_object() {
            pruned(&argo[below], &kulta[below], &format!("{path}/*"), found);
        }
    }
}

#[test]
#[ignore = "needs Argo's manifests, which tests/tools/build.sh fetches: make cluster-test runs it"]
fn kultas_crds_keep_every_field_of_argos() -> Result<()> {
    let mut found = Vec::new();

    for (argos, kultas) in FILES {
        let argos = schema(&argos_manifests().join("crds").join(argos))?;
        let kultas = schema(&run_folder::repository().join("crds").join(kultas))?;
        ensure!(argos["properties"]["spec"].is_object(), "no spec in Argo's schema");
        pruned(&argos, &kultas, "", &mut found);
    }

    ensure!(found.is_empty(), "{found:?}");
    Ok(())
}
