//! A release on the real control plane. Its pods are simulated, so the controller runs beside the cluster with the release's arguments
//! and with the identity of the release's ServiceAccount.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject},
};
use kulta_tests::{
    api,
    audit::Audit,
    controller::{Controller, Start, free_address},
    helm::{self, Release},
    kinds,
    kulta::{deployed, pods, rights, updated},
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

/// Timeout until the controller is ready; a debug build compiles its plugins slowly.
const READY: std::time::Duration = std::time::Duration::from_secs(30);

/// A release in a namespace of its own, which enforces the Pod Security Standard `restricted`.
async fn release(scenario: &Scenario) -> Result<Release> {
    let namespace = format!("{}-kulta", scenario.namespace);
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
    api::apply(&scenario.client, "", object).await?;
    Ok(Release { name: "kulta".to_owned(), namespace, kubeconfig: scenario.environment.kubeconfig.clone() })
}

/// Values for the scenario's namespace. The CRDs are there already, and other scenarios use them. The cluster's roles belong to the scenario
/// that tests them.
fn values(scenario: &Scenario) -> Value {
    json!({
        "fullnameOverride": scenario.namespace,
        "crds": {"install": false},
        "rbac": {"aggregateClusterRoles": false},
        "controller": {"namespaces": [scenario.namespace]},
    })
}

async fn deployment(scenario: &Scenario, release: &Release) -> Result<DynamicObject> {
    let deployments = kube::core::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment"),
        "deployments",
    );
    let api: Api<DynamicObject> = Api::namespaced_with(scenario.client.clone(), &release.namespace, &deployments);
    api.get(&scenario.namespace).await.context("get the release's Deployment")
}

/// The controller as in the release's pod, besides its address and its cache.
async fn controller(scenario: &Scenario, release: &Release) -> Result<Controller> {
    let kubeconfig = scenario.kubeconfig_of(&release.namespace, &scenario.namespace).await?;
    let address = free_address()?;
    let cache = scenario.environment.run.join(format!("{}-cache", scenario.namespace));
    let mut start = Start::new(&scenario.namespace, &kubeconfig)
        .variable("KULTA_OWN_NAMESPACE", &release.namespace)
        .variable("KULTA_POD_NAME", "kulta")
        .variable("KULTA_POD_UID", &scenario.namespace);
    for argument in helm::arguments(&release.manifest()?)?.into_iter().skip(1) {
        let argument = match argument.split_once('=') {
            Some(("--listen", _)) => format!("--listen={address}"),
            Some(("--plugin-cache", _)) => format!("--plugin-cache={}", cache.display()),
            _ => argument,
        };
        start = start.argument(argument);
    }
    let mut controller = Controller::start(&start, &scenario.environment.run)?;
    controller.wait_http(address, "/readyz", READY).await?;
    Ok(controller)
}

/// Deletes the release's namespace too.
async fn end(scenario: Scenario, release: &Release) -> Result<()> {
    let namespaces: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::namespace());
    let deleted = namespaces.delete(&release.namespace, &DeleteParams::background()).await;
    deleted.context("delete the release's namespace")?;
    scenario.end().await
}

/// Requests of the release's ServiceAccount that were denied.
fn denied(log: &Path, scenario: &Scenario, release: &Release) -> Result<String> {
    let user = format!("system:serviceaccount:{}:{}", release.namespace, scenario.namespace);
    let tally = Audit::from_the_start(log).of_user(&user)?;
    ensure!(!tally.used().is_empty(), "{user} made no requests");
    let forbidden = tally.forbidden();
    Ok(if forbidden.is_empty() { String::new() } else { forbidden.to_string() })
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_release_for_a_namespace_serves_a_canary_through_upgrade_and_rollback_and_leaves_it_when_it_is_uninstalled()
-> Result<()> {
    let scenario = Scenario::begin("chart").await?;
    rights(&scenario).await?;
    let release = release(&scenario).await?;
    let notes = release.install(&values(&scenario))?;
    ensure!(notes.contains(&format!("serves Rollouts in {}", scenario.namespace)), "{notes}");
    ensure!(api::number(&deployment(&scenario, &release).await?, "/status/availableReplicas") == 1);
    let running = controller(&scenario, &release).await?;
    let canary = Canary::new("web");
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    scenario.until_phase("web", "Paused").await?;

    // An upgrade while the rollout is in progress: the new pod has other arguments.
    let mut changed = values(&scenario);
    changed["controller"]["workers"] = json!(4);
    release.upgrade(&changed)?;
    running.stop().await?;
    let running = controller(&scenario, &release).await?;
    ensure!(helm::arguments(&release.manifest()?)?.contains(&"--workers=4".to_owned()));
    let seen = scenario.until_phase("web", "Paused").await?;
    ensure!(api::number(&seen, "/status/currentStepIndex") == 1, "{:?}", seen.data);

    release.rollback("1")?;
    running.stop().await?;
    let running = controller(&scenario, &release).await?;
    ensure!(helm::arguments(&release.manifest()?)?.contains(&"--workers=8".to_owned()));
    scenario.verbs("web").promote().await?;
    scenario.until_phase("web", "Healthy").await?;
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    wait::poll("the old revision's end", SOON, || async {
        Ok((pods(&scenario, "web").await? == [0, 2]).then_some(()))
    })
    .await?;
    running.stop().await?;
    let denied = denied(&scenario.environment.audit_log, &scenario, &release)?;
    ensure!(denied.is_empty(), "denied: {denied}");

    release.uninstall()?;

    ensure!(deployment(&scenario, &release).await.is_err(), "the Deployment is still there");
    scenario.get(&kinds::rollout(), "web").await?;
    ensure!(pods(&scenario, "web").await? == [0, 2], "pods went with the release");
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    let crds: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::crd());
    crds.get("rollouts.argoproj.io").await.context("the CRD went with the release")?;
    end(scenario, &release).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_release_with_a_standby_is_available_lets_a_node_be_drained_and_can_go_back_to_one_pod() -> Result<()> {
    let scenario = Scenario::begin("chart-standby").await?;
    rights(&scenario).await?;
    let release = release(&scenario).await?;
    let mut values = values(&scenario);
    values["replicas"] = json!(2);
    values["podDisruptionBudget"] = json!({"enabled": true});

    release.install(&values)?;

    ensure!(api::number(&deployment(&scenario, &release).await?, "/status/availableReplicas") == 2);
    let budgets = kube::core::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("policy", "v1", "PodDisruptionBudget"),
        "poddisruptionbudgets",
    );
    let api: Api<DynamicObject> = Api::namespaced_with(scenario.client.clone(), &release.namespace, &budgets);
    wait::until(&api, &scenario.namespace, "one allowed eviction", SOON, |budget| {
        api::number(budget, "/status/disruptionsAllowed") == 1 && api::number(budget, "/status/currentHealthy") == 2
    })
    .await?;

    release.upgrade(&self::values(&scenario))?;

    let deployment = deployment(&scenario, &release).await?;
    ensure!(api::number(&deployment, "/status/availableReplicas") == 1, "{:?}", deployment.data);
    ensure!(api::text(&deployment, "/spec/strategy/type") == "Recreate", "{:?}", deployment.data);
    release.uninstall()?;
    end(scenario, &release).await
}
