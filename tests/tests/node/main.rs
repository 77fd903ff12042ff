//! KULTA from its own image, on a node with real pods and real probes.

// Figures of a run are printed.
#![allow(clippy::print_stdout)]

mod certificates;
mod chart;
mod drain;
mod install;
mod plugins;
mod quick_start;
mod registry;
mod removal;
mod replaced;
mod roles;
mod rollouts;
mod traffic;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    load::{Load, Plan},
    manifests::{self, Canary},
    node::{
        app::{self, Behaviour},
        install as installation,
    },
    scenario::Scenario,
};
use serde_json::json;

/// The name of nearly every scenario's Rollout.
const WEB: &str = "web";
/// Requests a second of a scenario: enough to see a gap of some milliseconds, and few enough for two cores.
const RATE: u32 = 200;
/// Longer than any scenario.
const LOAD_LIMIT: Duration = Duration::from_secs(300);

/// A scenario, with KULTA installed by the unchanged manifests.
async fn begin(name: &str) -> Result<Scenario> {
    let scenario = Scenario::begin(name).await?;
    installation::apply(&scenario.client, |_| {}).await?;
    Ok(scenario)
}

/// The canary with pods of a version.
fn with_pods(canary: &Canary, version: &str, behaviour: Behaviour) -> Canary {
    canary.clone().version(version).spec(json!({"template": app::template(&canary.name, version, behaviour)}))
}

/// Deploys version v1 and waits until it is healthy.
async fn deployed(scenario: &Scenario, canary: &Canary, behaviour: Behaviour) -> Result<()> {
    scenario.apply_canary(&with_pods(canary, "v1", behaviour)).await?;
    scenario.until_phase(&canary.name, "Healthy").await.map(drop)
}

/// Puts a version into the template.
async fn updated(scenario: &Scenario, canary: &Canary, version: &str, behaviour: Behaviour) -> Result<()> {
    scenario.apply(with_pods(canary, version, behaviour).rollout()).await.map(drop)
}

/// Waits until this many pods of each version are ready, and no others are there.
async fn until_ready_pods(scenario: &Scenario, rollout: &str, wanted: &[(&str, i64)]) -> Result<()> {
    let wanted: Vec<(String, i64)> =
        wanted.iter().filter(|(_, count)| *count > 0).map(|(version, count)| ((*version).to_owned(), *count)).collect();
    kulta_tests::wait::poll(&format!("ready pods {wanted:?}"), kulta_tests::scenario::SOON, || async {
        let found = ready_pods(scenario, rollout).await?;
        anyhow::ensure!(found == wanted, "{found:?} are ready");
        Ok(Some(()))
    })
    .await
}

/// Versions and their ready pods, by name of the version.
async fn ready_pods(scenario: &Scenario, rollout: &str) -> Result<Vec<(String, i64)>> {
    let mut found = std::collections::BTreeMap::new();
    for pod in scenario.list(&kinds::pod(), &format!("app={rollout}")).await? {
        let ready = api::condition(&pod, "Ready").is_some_and(|condition| condition.0 == "True");
        if ready && pod.metadata.deletion_timestamp.is_none() {
            let version = pod.metadata.labels.as_ref().and_then(|labels| labels.get("version")).cloned();
            *found.entry(version.unwrap_or_default()).or_default() += 1;
        }
    }
    Ok(found.into_iter().collect())
}

/// Requests through Envoy to the canary's host.
async fn load_by_route(scenario: &Scenario, canary: &Canary) -> Result<Load> {
    let host = canary.host(&scenario.namespace);
    scenario.until_served(&host).await?;
    Load::start(Plan { per_second: RATE, limit: LOAD_LIMIT, ..Plan::to(&host) })
}

/// Requests to the address of a Service over all ready pods of a Rollout, which kube-proxy spreads. Each request has its
/// own connection: with connections that stay, a client learns of a pod's end by an error.
async fn load_by_service(scenario: &Scenario, rollout: &str) -> Result<Load> {
    let service = scenario.apply(manifests::service(rollout, &json!({"app": rollout}))).await?;
    let address: IpAddr = api::text(&service, "/spec/clusterIP").parse().context("the Service's address")?;
    let target = SocketAddr::new(address, 80);
    kulta_tests::wait::poll("the Service to answer", kulta_tests::scenario::SOON, || async {
        kulta_tests::load::once(target, rollout).await.map(Some).map_err(anyhow::Error::msg)
    })
    .await?;
    Load::start(Plan { target, per_second: RATE, limit: LOAD_LIMIT, ..Plan::to(rollout) })
}

/// Uids of a Rollout's pods, sorted, as soon as none of its pods is being deleted any more.
async fn pod_uids(scenario: &Scenario, rollout: &str) -> Result<Vec<String>> {
    kulta_tests::wait::poll("no pod that is being deleted", kulta_tests::scenario::SOON, || async {
        let pods: Vec<DynamicObject> = scenario.list(&kinds::pod(), &format!("app={rollout}")).await?;
        let deleted = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).count();
        anyhow::ensure!(deleted == 0, "{deleted} pods are being deleted");
        let mut uids: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.uid).collect();
        uids.sort();
        Ok(Some(uids))
    })
    .await
}
