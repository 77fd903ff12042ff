//! KULTA is removed and comes back.

use anyhow::{Result, ensure};
use kulta_tests::{
    load,
    manifests::Canary,
    node::{app::Behaviour, install as installation},
};

use crate::{WEB, begin, deployed, load_by_route, pod_uids, until_ready_pods, updated};

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn pods_serve_while_kulta_is_uninstalled_and_are_adopted_when_it_is_installed_again() -> Result<()> {
    let scenario = begin("uninstall").await?;
    let canary = Canary::new(WEB).replicas(2);
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_route(&scenario, &canary).await?;
    let pods = pod_uids(&scenario, WEB).await?;

    installation::delete(&scenario.client).await?;
    let without = load.next(1_000).await?;
    let left = pod_uids(&scenario, WEB).await?;
    installation::apply(&scenario.client, |_| {}).await?;
    scenario.until_phase(WEB, "Healthy").await?;
    let adopted = pod_uids(&scenario, WEB).await?;
    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    scenario.until_phase(WEB, "Paused").await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    until_ready_pods(&scenario, WEB, &[("v2", 2)]).await?;

    let all = load::total(&load.stop().await);
    println!("without KULTA: {without}\nin all: {all}");
    ensure!(left == pods, "the uninstallation changed the pods");
    ensure!(adopted == pods, "the new installation changed the pods");
    ensure!(all.failed() == 0, "{all}");
    scenario.end().await
}
