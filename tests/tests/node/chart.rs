//! KULTA by its Helm chart.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api,
    helm::Release,
    kinds, load,
    manifests::Canary,
    node::{app::Behaviour, install as installation},
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{WEB, begin, deployed, load_by_route, pod_uids, until_ready_pods, updated};

/// The namespace of the release.
pub const NAMESPACE: &str = "kulta-by-helm";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_helm_upgrade_and_a_rollback_in_the_middle_of_rollouts_and_an_uninstallation_lose_no_request() -> Result<()> {
    let scenario = begin("helm").await?;
    let release = installed(&scenario, json!({})).await?;
    let canary = Canary::new(WEB).replicas(2).canary(json!({"scaleDownDelaySeconds": 3}));
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_route(&scenario, &canary).await?;

    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    scenario.until_phase(WEB, "Paused").await?;
    let pods = pod_uids(&scenario, WEB).await?;
    let next = json!({"crds": {"install": false}, "image": {"tag": "next"}});
    helm(&release, move |release| release.upgrade(&next)).await?;
    ensure!(image(&scenario).await?.ends_with("kulta:next"), "{}", image(&scenario).await?);
    ensure!(pod_uids(&scenario, WEB).await? == pods, "the upgrade changed the rollout's pods");
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;

    updated(&scenario, &canary, "v3", Behaviour::Serves).await?;
    scenario.until_phase(WEB, "Paused").await?;
    helm(&release, |release| release.rollback("1")).await?;
    ensure!(!image(&scenario).await?.ends_with("kulta:next"), "{}", image(&scenario).await?);
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    until_ready_pods(&scenario, WEB, &[("v3", 2)]).await?;

    let pods = pod_uids(&scenario, WEB).await?;
    helm(&release, Release::uninstall).await?;
    load.next(400).await?;
    ensure!(pod_uids(&scenario, WEB).await? == pods, "the uninstallation changed the rollout's pods");
    let all = load::total(&load.stop().await);
    println!("{all}");
    ensure!(all.failed() == 0, "{all}");
    scenario.end().await
}

/// Replaces the installation by the manifests with one by the chart, in a `restricted` namespace of its own.
pub async fn installed(scenario: &Scenario, values: Value) -> Result<Release> {
    installation::delete(&scenario.client).await?;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    api::apply(&scenario.client, "", namespace).await?;
    let release = Release {
        name: installation::NAME.to_owned(),
        namespace: NAMESPACE.to_owned(),
        kubeconfig: scenario.environment.kubeconfig.clone(),
    };
    // The manifests' CRDs are there already.
    let mut all = json!({"crds": {"install": false}});
    json_patch::merge(&mut all, &values);
    helm(&release, move |release| release.install(&all)).await?;
    Ok(release)
}

/// Runs helm, which waits, on a thread of its own, so that the load goes on.
pub async fn helm(release: &Release, command: impl FnOnce(&Release) -> Result<String> + Send + 'static) -> Result<()> {
    let release = release.clone();
    tokio::task::spawn_blocking(move || command(&release)).await.context("run helm")?.map(drop)
}

/// The image of the release's Deployment.
async fn image(scenario: &Scenario) -> Result<String> {
    let api: kube::Api<DynamicObject> =
        kube::Api::namespaced_with(scenario.client.clone(), NAMESPACE, &kinds::deployment());
    let deployment = api.get(installation::NAME).await.context("get the release's Deployment")?;
    Ok(deployment
        .data
        .pointer("/spec/template/spec/containers/0/image")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}
