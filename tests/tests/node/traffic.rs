//! Canaries behind Contour and Envoy.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_tests::{kinds, load, manifests::Canary, node::app::Behaviour, wait};
use serde_json::json;

use crate::{WEB, begin, deployed, load_by_route, until_ready_pods, updated};

/// How far the share of answers may be from the weight, in percentage points.
const TOLERANCE: f64 = 4.0;
/// The pods' grace period and some time to notice its end.
const GONE: Duration = Duration::from_secs(20);

fn canary() -> Canary {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
    Canary::new(WEB).replicas(3).steps(steps).canary(json!({"scaleDownDelaySeconds": 3}))
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn no_request_is_lost_while_a_canary_goes_from_20_to_60_to_100_percent() -> Result<()> {
    let scenario = begin("traffic").await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::Serves).await?;
    let load = load_by_route(&scenario, &canary).await?;

    updated(&scenario, &canary, "v2", Behaviour::Serves).await?;
    scenario.until_weights(WEB, &[("web-stable", 80), ("web-canary", 20)]).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let first = load.next(1_000).await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_weights(WEB, &[("web-stable", 40), ("web-canary", 60)]).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = load.next(1_000).await?;
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    until_ready_pods(&scenario, WEB, &[("v2", 3)]).await?;
    let last = load.next(400).await?;

    let all = load::total(&load.stop().await);
    println!("at 20 %: {first}\nat 60 %: {second}\nat 100 %: {last}\nin all: {all}");
    for (split, wanted) in [(&first, 20.0), (&second, 60.0), (&last, 100.0)] {
        ensure!((split.percent("v2") - wanted).abs() <= TOLERANCE, "{split} instead of {wanted} %");
    }
    ensure!(all.failed() == 0, "{all}");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn a_rollout_is_healthy_although_its_old_pods_ignore_sigterm_and_they_are_killed_after_their_grace_period()
-> Result<()> {
    let scenario = begin("no-sigterm").await?;
    let canary = canary();
    deployed(&scenario, &canary, Behaviour::IgnoresTermination).await?;
    let load = load_by_route(&scenario, &canary).await?;

    updated(&scenario, &canary, "v2", Behaviour::IgnoresTermination).await?;
    scenario.until_phase(WEB, "Paused").await?;
    scenario.verbs(WEB).promote_full().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    wait::poll("the old pods to be killed", GONE, || async {
        let old = scenario.list(&kinds::pod(), &format!("app={WEB},version=v1")).await?;
        ensure!(old.is_empty(), "{} pods are left", old.len());
        Ok(Some(()))
    })
    .await?;
    load.next(200).await?;

    let all = load::total(&load.stop().await);
    println!("{all}");
    ensure!(all.failed() == 0, "{all}");
    scenario.end().await
}
