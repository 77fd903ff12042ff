//! `kubectl drain` of the node while a rollout is in progress. The node is the only one: a pod that is evicted has no place until
//! `kubectl uncordon`.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use kulta_tests::{
    api,
    cluster::NODE,
    kinds,
    node::{app::Behaviour, install as installation},
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::json;
use tokio::process::Command;

use crate::{
    WEB, begin, chart, deployed, load_by_route,
    replaced::{canary, healthy_without_a_lost_request, paused_at_the_first_step},
    updated,
};

/// KULTA's pods: the drain leaves those of the rollout alone, because they would have no other node.
const SELECTOR: &str = "app.kubernetes.io/name=kulta";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_drain_of_the_only_pod_while_a_weight_is_being_set_only_delays_the_rollout() -> Result<()> {
    let scenario = begin("drain").await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_route(&scenario, &canary).await?;
    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    paused_at_the_first_step(&scenario).await?;
    let old = installation::until_ready(&scenario.client).await?;

    scenario.verbs(WEB).promote().await?;
    ended(drain(&scenario)).await?;
    let waiting = without_a_place(&scenario, installation::NAMESPACE).await?;
    load.next(400).await?;
    ended(kubectl(&scenario, &["uncordon", NODE])).await?;

    let new = installation::until_ready(&scenario.client).await?;
    ensure!(new.metadata.uid == waiting.metadata.uid && new.metadata.uid != old.metadata.uid, "another pod is ready");
    healthy_without_a_lost_request(&scenario, load).await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_drain_waits_for_the_chart_s_disruption_budget_and_ends_when_the_first_pod_has_been_replaced() -> Result<()> {
    let scenario = begin("drain-budget").await?;
    let values = json!({"replicas": 2, "podDisruptionBudget": {"enabled": true}});
    let release = chart::installed(&scenario, values).await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_route(&scenario, &canary).await?;
    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    paused_at_the_first_step(&scenario).await?;
    let old = names(&scenario).await?;

    let draining = drain(&scenario).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start kubectl")?;
    without_a_place(&scenario, chart::NAMESPACE).await?;
    until_nothing_may_be_disrupted(&scenario).await?;
    // The pod that is left acts: this step needs no new pods.
    scenario.verbs(WEB).promote().await?;
    scenario.until_weights(WEB, &[("web-stable", 50), ("web-canary", 50)]).await?;
    ensure!(names(&scenario).await?.iter().any(|name| old.contains(name)), "no pod of {old:?} is left");
    ended(kubectl(&scenario, &["uncordon", NODE])).await?;
    let output = draining.wait_with_output().await.context("wait for kubectl drain")?;

    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{shown}");
    ensure!(shown.contains("would violate the pod's disruption budget"), "{shown}");
    let new = names(&scenario).await?;
    ensure!(new.iter().all(|name| !old.contains(name)), "{new:?} are left of {old:?}");
    healthy_without_a_lost_request(&scenario, load).await?;
    chart::helm(&release, |release| release.uninstall()).await?;
    scenario.end().await
}

/// The drain of an upgrade of a node, limited to KULTA's pods. It ends with an error after two minutes.
fn drain(scenario: &Scenario) -> Command {
    let selector = format!("--pod-selector={SELECTOR}");
    let flags = ["--ignore-daemonsets", "--delete-emptydir-data", &selector, "--timeout=120s"];
    kubectl(scenario, &[["drain", NODE].as_slice(), &flags].concat())
}

fn kubectl(scenario: &Scenario, arguments: &[&str]) -> Command {
    let mut command = Command::new(&scenario.environment.kubectl);
    command.env("KUBECONFIG", &scenario.environment.kubeconfig).args(arguments).kill_on_drop(true);
    command
}

/// Runs a command to its successful end.
async fn ended(mut command: Command) -> Result<()> {
    let output = command.output().await.context("run kubectl")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Waits until a pod of KULTA finds no node, and returns it.
async fn without_a_place(scenario: &Scenario, namespace: &str) -> Result<DynamicObject> {
    wait::poll("a pod without a place", SOON, || async {
        let pods = pods(scenario, namespace).await?;
        Ok(pods.into_iter().find(|pod| {
            api::condition(pod, "PodScheduled").is_some_and(|found| found == ("False".into(), "Unschedulable".into()))
        }))
    })
    .await
}

/// Waits until the release's budget has noticed the eviction.
async fn until_nothing_may_be_disrupted(scenario: &Scenario) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("policy", "v1", "PodDisruptionBudget"));
    let budgets: Api<DynamicObject> = Api::namespaced_with(scenario.client.clone(), chart::NAMESPACE, &kind);
    wait::until(&budgets, installation::NAME, "no more disruptions", SOON, |budget| {
        budget.data.pointer("/status/disruptionsAllowed") == Some(&json!(0))
            && api::number(budget, "/status/currentHealthy") == 1
    })
    .await
    .map(drop)
}

/// The names of the release's pods.
async fn names(scenario: &Scenario) -> Result<Vec<String>> {
    let pods = pods(scenario, chart::NAMESPACE).await?;
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
}

async fn pods(scenario: &Scenario, namespace: &str) -> Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(scenario.client.clone(), namespace, &kinds::pod());
    Ok(api.list(&ListParams::default().labels(SELECTOR)).await.context("list KULTA's pods")?.items)
}
