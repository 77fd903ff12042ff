//! The controller of scenarios: with the shipped permissions, limited to the scenario's namespace, so that scenarios
//! are isolated; and the first two actions of nearly every scenario.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    api,
    controller::{Controller, Start, free_address},
    crds,
    manifests::Canary,
    run_folder,
    scenario::Scenario,
    sink::Sink,
    wait,
};

const LISTEN: &str = "KULTA_LISTEN";
/// Timeout until the controller is ready; a debug build compiles its plugins slowly.
const READY: Duration = Duration::from_secs(30);
/// Timeout until the API server serves a changed CRD.
const SERVED: Duration = Duration::from_secs(20);

/// The kubeconfig of the shipped ServiceAccount; created once, because scenarios run in parallel.
static RIGHTS: OnceCell<PathBuf> = OnceCell::const_new();

/// Applies the shipped manifests and returns a kubeconfig with the shipped permissions.
pub async fn rights(scenario: &Scenario) -> Result<PathBuf> {
    RIGHTS.get_or_try_init(|| shipped_rights(scenario)).await.cloned()
}

/// As [`rights`], with CRDs without KULTA's additions: for a separate cluster, as the first action.
pub async fn rights_on_stock_crd(scenario: &Scenario) -> Result<PathBuf> {
    let made = RIGHTS.get_or_try_init(|| async {
        api::apply_crd(&scenario.client, crds::stock_rollout()?).await?;
        for crd in crds::stock_analyses()? {
            api::apply_crd(&scenario.client, crd).await?;
        }
        shipped_account(scenario).await
    });
    made.await.cloned()
}

/// As [`rights`], with a Rollout CRD without a schema, which replaces the cluster's.
pub async fn rights_on_loose_crd(scenario: &Scenario) -> Result<PathBuf> {
    let made = RIGHTS.get_or_try_init(|| async {
        api::apply_crd(&scenario.client, crds::loose_rollout()?).await?;
        // An existing CRD stays established while its new schema is not served yet.
        wait::poll("the API server to let everything through", SERVED, || async {
            let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": {"name": "loose"}, "spec": {"replicas": "x"}});
            api::dry_run(&scenario.client, &scenario.namespace, object).await.map(Some)
        })
        .await?;
        shipped_account(scenario).await
    });
    made.await.cloned()
}

async fn shipped_rights(scenario: &Scenario) -> Result<PathBuf> {
    api::apply_crds(&scenario.client, &run_folder::repository().join("crds")).await?;
    shipped_account(scenario).await
}

async fn shipped_account(scenario: &Scenario) -> Result<PathBuf> {
    let repository = run_folder::repository();
    for file in ["namespace.yaml", "rbac.yaml"] {
        let yaml = std::fs::read_to_string(repository.join("deploy").join(file))?;
        api::apply_yaml(&scenario.client, &scenario.namespace, &yaml).await?;
    }
    scenario.kubeconfig_of("kulta-system", "kulta").await
}

/// Starts a controller for the scenario's namespace, with or without a sink for its CDEvents, and waits until it is
/// ready.
pub async fn start(scenario: &Scenario, sink: Option<&Sink>) -> Result<Controller> {
    start_with(scenario, sink, &[]).await
}

/// As [`start`], with more environment variables; the last one of a name wins.
pub async fn start_with(scenario: &Scenario, sink: Option<&Sink>, variables: &[(&str, &str)]) -> Result<Controller> {
    let kubeconfig = rights(scenario).await?;
    start_as(scenario, &kubeconfig, sink, variables).await
}

/// As [`start_with`], with a given kubeconfig.
pub async fn start_as(
    scenario: &Scenario,
    kubeconfig: &Path,
    sink: Option<&Sink>,
    variables: &[(&str, &str)],
) -> Result<Controller> {
    let chosen = variables.iter().find(|(name, _)| *name == LISTEN).map(|(_, address)| address.parse());
    let address = chosen.transpose()?.map_or_else(free_address, Ok)?;
    let mut settings = Start::new(&scenario.namespace, kubeconfig)
        .variable("KULTA_NAMESPACES", &scenario.namespace)
        .variable(LISTEN, address.to_string())
        .variable("KULTA_PROMETHEUS_ADDRESS", format!("http://{}", scenario.environment.prometheus))
        .variable("KULTA_LOG_LEVEL", "info,kulta_controller=debug");
    if let Some(sink) = sink {
        settings = settings.variable("KULTA_CDEVENTS_SINK", sink.url());
    }
    for (name, value) in variables {
        settings = settings.variable(name, *value);
    }
    let mut controller = Controller::start(&settings, &scenario.environment.run)?;
    controller.wait_http(address, "/readyz", READY).await?;
    Ok(controller)
}

/// Deploys the canary (usually version v1) and waits until it is healthy.
pub async fn deployed(scenario: &Scenario, canary: &Canary) -> Result<()> {
    scenario.apply_canary(canary).await?;
    scenario.until_phase(&canary.name, "Healthy").await?;
    Ok(())
}

/// Sets version v2 in the template.
pub async fn updated(scenario: &Scenario, canary: &Canary) -> Result<()> {
    updated_to(scenario, canary, "v2").await
}

/// Sets a version in the template.
pub async fn updated_to(scenario: &Scenario, canary: &Canary, version: &str) -> Result<()> {
    scenario.apply(canary.clone().version(version).rollout()).await?;
    Ok(())
}

/// Desired pods of each revision, oldest first.
pub async fn pods(scenario: &Scenario, rollout: &str) -> Result<Vec<i64>> {
    Ok(scenario.replica_sets(rollout).await?.iter().map(|set| api::number(set, "/spec/replicas")).collect())
}
