//! KULTA in the place of Argo Rollouts' controller: started by Argo's arguments alone, as its image is, and with Argo's permissions.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use kube::{Api, api::DynamicObject, core::ApiResource};
use kulta_tests::{
    api,
    controller::{binary, free_address, get},
    kinds,
    kulta::{deployed, rights, updated},
    manifests::Canary,
    process::Process,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};
use tokio::process::Command;

const ACCOUNT: &str = "argo-rollouts";
const LEASE: &str = "argo-rollouts-controller-lock";
/// A readiness probe of a Deployment waits about as long.
const READY: Duration = Duration::from_secs(30);

/// The part of Argo Rollouts' ClusterRole that KULTA has a use for (`manifests/role/argo-rollouts-clusterrole.yaml` of 1.9.2).
fn argos_rules() -> Value {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let read = ["get", "list", "watch"];
    let write = ["create", "get", "list", "watch", "update", "patch", "delete"];
    json!([
        rule(
            "argoproj.io",
            &["rollouts", "rollouts/status", "rollouts/finalizers"],
            &["get", "list", "watch", "update", "patch"]
        ),
        rule("argoproj.io", &["analysisruns", "analysisruns/finalizers", "experiments"], &write),
        rule("argoproj.io", &["analysistemplates", "clusteranalysistemplates"], &read),
        rule("apps", &["replicasets"], &write),
        rule("", &["services"], &["get", "list", "watch", "patch", "create", "delete"]),
        rule("coordination.k8s.io", &["leases"], &["create", "get", "update"]),
        rule("", &["secrets", "configmaps"], &read),
        rule("", &["pods"], &["list", "update", "watch"]),
        rule("", &["pods/eviction"], &["create"]),
        rule("", &["events"], &["create", "update", "patch"]),
        rule("batch", &["jobs"], &write),
    ])
}

/// A kubeconfig of Argo's account in the scenario's namespace, with these ClusterRoles.
async fn argos_account(scenario: &Scenario, roles: &[&str]) -> Result<PathBuf> {
    let namespace = &scenario.namespace;
    scenario.apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}})).await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": namespace}, "rules": argos_rules(),
    });
    api::apply(&scenario.client, "", role).await?;
    for role in roles.iter().copied().chain([namespace.as_str()]) {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{namespace}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        });
        api::apply(&scenario.client, "", binding).await?;
    }
    scenario.kubeconfig_of(namespace, ACCOUNT).await
}

/// KULTA, with the ports of Argo's probes.
struct Kulta {
    process: Process,
    metrics: SocketAddr,
    healthz: SocketAddr,
}

impl Kulta {
    /// Started as Argo's Helm chart starts its controller for one namespace.
    fn start(scenario: &Scenario, kubeconfig: &PathBuf) -> Result<Self> {
        let (metrics, healthz) = (free_address()?, free_address()?);
        let mut command = Command::new(binary());
        command.env("KUBECONFIG", kubeconfig).args([
            format!("--healthzPort={}", healthz.port()),
            format!("--metricsport={}", metrics.port()),
            "--loglevel=info".to_owned(),
            "--logformat=text".to_owned(),
            "--kloglevel=0".to_owned(),
            "--namespaced".to_owned(),
            format!("--namespace={}", scenario.namespace),
            "--leader-elect".to_owned(),
            format!("--leader-election-namespace={}", scenario.namespace),
        ]);
        let log = scenario.environment.run.join("logs").join(format!("{}.log", scenario.namespace));
        Ok(Self { process: Process::spawn("kulta", command, log)?, metrics, healthz })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.process.log).unwrap_or_default()
    }

    /// Waits until a page is 200, and returns its text.
    async fn page(&mut self, address: SocketAddr, path: &str) -> Result<String> {
        let what = format!("{path} at {address}");
        let page = wait::poll(&what, READY, || async {
            Ok(get(address, path).await.ok().filter(|answer| answer.status() == 200))
        })
        .await;
        self.process.check()?;
        Ok(String::from_utf8_lossy(&page?.body).into_owned())
    }
}

fn leases() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"),
        "leases",
    )
}

async fn holder(scenario: &Scenario) -> Result<String> {
    let leases: Api<DynamicObject> = scenario.api(&leases());
    let lease = leases.get(LEASE).await.context("get the lease")?;
    Ok(api::text(&lease, "/spec/holderIdentity").to_owned())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn argos_arguments_and_both_permissions_serve_a_canary_with_argos_probes_and_lease() -> Result<()> {
    let scenario = Scenario::begin("argo-flags").await?;
    rights(&scenario).await?;
    let kubeconfig = argos_account(&scenario, &["kulta"]).await?;
    let mut kulta = Kulta::start(&scenario, &kubeconfig)?;
    let (metrics, healthz) = (kulta.metrics, kulta.healthz);

    ensure!(kulta.page(healthz, "/healthz").await? == "ok\n");
    let ready = kulta.page(metrics, "/readyz").await?;
    ensure!(kulta.page(metrics, "/metrics").await?.contains("# TYPE"));
    ensure!(ready == "ok\n", "{ready}");
    ensure!(!holder(&scenario).await?.is_empty());
    let canary = Canary::new("web");
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    scenario.until_weights("web", &[("web-stable", 50), ("web-canary", 50)]).await?;
    scenario.until_phase("web", "Paused").await?;
    scenario.verbs("web").promote().await?;
    scenario.until_phase("web", "Healthy").await?;

    let log = kulta.log();
    ensure!(log.matches("has no effect here").count() == 1 && log.contains("--kloglevel of Argo Rollouts"), "{log}");
    scenario.end().await
}

/// Someone changes the image and nothing else.
#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn with_argos_permissions_alone_the_controller_is_ready_and_names_what_it_works_without() -> Result<()> {
    let scenario = Scenario::begin("argo-rights").await?;
    rights(&scenario).await?;
    let kubeconfig = argos_account(&scenario, &[]).await?;
    let mut kulta = Kulta::start(&scenario, &kubeconfig)?;
    let metrics = kulta.metrics;

    let ready = kulta.page(metrics, "/readyz").await?;
    deployed(&scenario, &Canary::new("web").without_routing()).await?;

    ensure!(ready.starts_with("ok\n"), "{ready}");
    let named = wait::poll("the missing permission at /readyz", SOON, || async {
        let text = get(metrics, "/readyz").await?.body;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.contains("limited: Plugin cannot be watched: plugins.kulta.io is forbidden").then_some(text))
    })
    .await?;
    ensure!(named.contains("deploy/rbac.yaml"), "{named}");
    let rollout = scenario.get(&kinds::rollout(), "web").await?;
    ensure!(api::text(&rollout, "/status/phase") == "Healthy", "{:?}", rollout.data);
    scenario.end().await
}
