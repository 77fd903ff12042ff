//! By Argo's Helm chart. Charts cannot be fetched in a test: a chart with the same values and the objects of Argo's manifests stands for
//! it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use kulta_tests::api;
use serde_json::json;

use crate::{
    page::argos_manifests,
    site::{CALM, Site, canary},
};

const CHART: &str = "apiVersion: v2\nname: argo-rollouts\nversion: 2.40.0\n";
const VALUES: &str = "installCRDs: true\nkeepCRDs: true\ncontroller:\n  replicas: 1\n";
const CRDS: &str = r#"
{{- if .Values.installCRDs }}
{{- range $path, $bytes := .Files.Glob "crd-files/*.yaml" }}
{{- $crd := $.Files.Get $path | fromYaml }}
{{- if $.Values.keepCRDs }}
{{- $ignored := set $crd.metadata.annotations "helm.sh/resource-policy" "keep" }}
{{- end }}
---
{{ toYaml $crd }}
{{- end }}
{{- end }}
"#;
const REPLICAS: &str = "{{ .Values.controller.replicas }}";

/// Writes the chart, and returns its folder.
fn argos_chart() -> Result<PathBuf> {
    let chart = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("argo-rollouts-chart");
    let _ = fs::remove_dir_all(&chart);
    let write = |path: &str, text: &str| -> Result<()> {
        let path = chart.join(path);
        fs::create_dir_all(path.parent().context("a folder")?).context("make a folder of the chart")?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    write("Chart.yaml", CHART)?;
    write("values.yaml", VALUES)?;
    write("templates/crds.yaml", CRDS)?;
    for entry in fs::read_dir(argos_manifests().join("crds")).context("list Argo's CRDs")? {
        let path = entry?.path();
        let name = path.file_name().context("a file")?.to_string_lossy().into_owned();
        if name != "kustomization.yaml" {
            write(&format!("crd-files/{name}"), &fs::read_to_string(&path).context("read a CRD")?)?;
        }
    }
    write("templates/controller.yaml", &controller(&argos_manifests())?)?;
    Ok(chart)
}

/// The objects of `install.yaml` besides the CRDs.
fn controller(manifests: &Path) -> Result<String> {
    let text = fs::read_to_string(manifests.join("install.yaml")).context("read Argo's manifests")?;
    let mut file = String::new();
    for mut document in api::documents(&text)? {
        if document.get("kind").is_some_and(|kind| kind == "CustomResourceDefinition") {
            continue;
        }
        // Only the Deployment has it.
        if let Some(replicas) = document.pointer_mut("/spec/replicas") {
            *replicas = json!(REPLICAS);
        }
        let text = serde_yaml::to_string(&document).context("write an object of the chart")?;
        file.push_str(&format!("---\n{}", text.replace(&format!("'{REPLICAS}'"), REPLICAS)));
    }
    Ok(file)
}

#[tokio::test]
#[ignore = "needs a control plane: make cluster-test runs it"]
async fn a_release_of_argos_gives_its_crds_to_kulta_and_takes_them_back_without_deleting_a_rollout() -> Result<()> {
    let site = Site::with_chart("helm", argos_chart()?).await?;
    let scenario = &site.scenario;
    // Without the keep policy, so that the page has to add it.
    let chart = argos_chart()?;
    let install = format!(
        "helm install argo-rollouts {} --namespace argo-rollouts --create-namespace --wait --set keepCRDs=false",
        chart.display()
    );
    site.page.shell(&install).await?;
    site.until_argo_leads().await?;
    let web = canary("web");
    site.deployed(&canary("idle")).await?;
    site.paused(&web).await?;
    let all = ["idle", "web"];
    let (before, uids) = (site.workloads(&all).await?, [site.uid("idle").await?, site.uid("web").await?]);
    let unchanged = async || -> Result<()> {
        ensure!(site.workloads(&all).await? == before, "{:?}, not {before:?}", site.workloads(&all).await?);
        ensure!([site.uid("idle").await?, site.uid("web").await?] == uids, "a Rollout was deleted");
        Ok(())
    };
    ensure!(site.page.run("helm-check").await?.trim() == "0", "the chart has the policy already");

    site.page.run("helm-keep").await?;
    ensure!(site.page.run("helm-check").await?.trim() == "5");
    site.page.run("helm-there").await?;
    site.until_kulta_leads().await?;
    tokio::time::sleep(CALM).await;
    unchanged().await?;
    ensure!(owner(&site).await? == "kulta");

    site.page.run("helm-back").await?;
    site.until_argo_leads().await?;
    tokio::time::sleep(CALM).await;
    unchanged().await?;
    ensure!(owner(&site).await? == "argo-rollouts");

    site.page.run("helm-there").await?;
    site.until_kulta_leads().await?;
    site.page.run("helm-remove").await?;
    tokio::time::sleep(CALM).await;
    unchanged().await?;
    site.promoted("web").await?;
    scenario.until_phase("idle", "Healthy").await?;
    site.page.shell("helm uninstall kulta --namespace kulta-system").await?;
    site.end().await
}

/// The release that the Rollout CRD belongs to.
async fn owner(site: &Site) -> Result<String> {
    let annotation = "{.metadata.annotations.meta\\.helm\\.sh/release-name}";
    site.page.shell(&format!("kubectl get crd rollouts.argoproj.io --output jsonpath='{annotation}'")).await
}
