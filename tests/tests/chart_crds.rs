//! The chart's CRDs. A cluster has one set of CRDs, so these scenarios need a separate cluster, and run one after the other:
//! `make cluster-test` uses the one of `stock_crd`, before it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use kulta_tests::{
    api, crds,
    helm::Release,
    kinds,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

const CRDS: [&str; 6] = [
    "analysisruns.argoproj.io",
    "analysistemplates.argoproj.io",
    "clusteranalysistemplates.argoproj.io",
    "experiments.argoproj.io",
    "plugins.kulta.io",
    "rollouts.argoproj.io",
];

fn all(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &kinds::crd())
}

/// KULTA's and Argo's CRDs in the cluster.
async fn present(client: &Client) -> Result<Vec<String>> {
    let listed = all(client).list(&ListParams::default()).await.context("list the CRDs")?;
    let names = listed.items.into_iter().filter_map(|crd| crd.metadata.name);
    Ok(names.filter(|name| name.ends_with(".argoproj.io") || name.ends_with(".kulta.io")).collect())
}

/// For the scenario after this one.
async fn remove_crds(client: &Client) -> Result<()> {
    for name in present(client).await? {
        all(client).delete(&name, &DeleteParams::default()).await.context("delete a CRD")?;
        wait::until_gone(&all(client), &name, SOON).await?;
    }
    Ok(())
}

fn release(scenario: &Scenario) -> Release {
    Release {
        name: "kulta".to_owned(),
        namespace: scenario.namespace.clone(),
        kubeconfig: scenario.environment.kubeconfig.clone(),
    }
}

/// Default values but for the objects' names, which other releases may use.
fn values(scenario: &Scenario) -> Value {
    json!({"fullnameOverride": scenario.namespace})
}

/// A Rollout of no pods, which no controller reconciles.
async fn rollout(scenario: &Scenario) -> Result<String> {
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}},
    });
    uid(&scenario.apply(rollout).await?)
}

fn uid(object: &DynamicObject) -> Result<String> {
    object.metadata.uid.clone().context("no uid")
}

fn keeps_record(crd: &DynamicObject) -> bool {
    crd.data.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/kulta").is_some()
}

#[tokio::test]
#[ignore = "replaces the cluster's CRDs"]
async fn a_release_installs_the_crds_upgrades_them_and_keeps_them_with_the_users_objects() -> Result<()> {
    let scenario = Scenario::begin("chart-crds").await?;
    remove_crds(&scenario.client).await?;
    let release = release(&scenario);
    let (values, mut with_plugin) = (values(&scenario), values(&scenario));
    with_plugin["plugins"] = json!({"objects": {"gate": {"source": {"file": "/var/cache/kulta/gate.wasm"}}}});

    // Helm needs a kind to be known before it creates any object of the release.
    let refused = release.install(&with_plugin).err().context("a Plugin without its CRD is accepted")?.to_string();
    ensure!(refused.contains("ensure CRDs are installed first"), "{refused}");
    release.install(&values)?;
    ensure!(present(&scenario.client).await? == CRDS, "{:?}", present(&scenario.client).await?);
    let before = rollout(&scenario).await?;
    release.upgrade(&with_plugin)?;
    let plugins: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::plugin());
    plugins.get("gate").await.context("the release's Plugin")?;

    // As an older version of the chart had it.
    let older = json!({"spec": {"names": {"shortNames": ["ro", "older"]}}});
    all(&scenario.client).patch("rollouts.argoproj.io", &PatchParams::default(), &Patch::Merge(&older)).await?;
    release.upgrade_by_force(&with_plugin)?;
    let names = all(&scenario.client).get("rollouts.argoproj.io").await?.data["spec"]["names"]["shortNames"].clone();
    ensure!(names == json!(["ro"]), "the upgrade left {names}");

    release.uninstall()?;
    ensure!(present(&scenario.client).await? == CRDS, "{:?}", present(&scenario.client).await?);
    ensure!(uid(&scenario.get(&kinds::rollout(), "web").await?)? == before, "the Rollout was replaced");
    ensure!(plugins.get_opt("gate").await?.is_none(), "the release's Plugin is still there");

    release.install(&values).context("install it again")?;
    release.uninstall()?;
    scenario.delete(&kinds::rollout(), "web").await?;
    remove_crds(&scenario.client).await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's CRDs"]
async fn crds_of_argo_rollouts_are_taken_over_without_the_loss_of_a_rollout() -> Result<()> {
    let scenario = Scenario::begin("chart-takeover").await?;
    remove_crds(&scenario.client).await?;
    api::apply_crd(&scenario.client, crds::stock_rollout()?).await?;
    for crd in crds::stock_analyses()? {
        api::apply_crd(&scenario.client, crd).await?;
    }
    let release = release(&scenario);
    let before = rollout(&scenario).await?;

    let refused = release.install(&values(&scenario)).err().context("foreign CRDs are adopted unasked")?.to_string();
    ensure!(refused.contains("rollouts.argoproj.io") || refused.contains("argoproj.io"), "{refused}");
    ensure!(refused.contains("invalid ownership metadata"), "{refused}");
    release.take_over(&values(&scenario))?;

    wait::until(
        &all(&scenario.client),
        "rollouts.argoproj.io",
        "KULTA's schema",
        Duration::from_secs(20),
        keeps_record,
    )
    .await?;
    ensure!(uid(&scenario.get(&kinds::rollout(), "web").await?)? == before, "the Rollout was replaced");
    release.uninstall()?;
    ensure!(present(&scenario.client).await? == CRDS, "{:?}", present(&scenario.client).await?);
    ensure!(uid(&scenario.get(&kinds::rollout(), "web").await?)? == before, "the Rollout went with the release");
    scenario.delete(&kinds::rollout(), "web").await?;
    remove_crds(&scenario.client).await?;
    scenario.end().await
}
