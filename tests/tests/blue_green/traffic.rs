//! Real requests through Envoy to the active Service, or to a route that the strategy `blue-green` switches.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_tests::{
    kulta::start,
    load::{self, Load, Plan},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::json;

use crate::{WEB, by_user, deployed, until_healthy, until_paused, until_pods, until_selected, updated};

/// Between a change of an EndpointSlice and the proxy's configuration.
const PROXY_DELAY: Duration = Duration::from_millis(500);
/// Requests of a window in which one version answers all.
const WINDOW: usize = 1_000;
/// Requests of a scenario that switches several times.
const ENOUGH: usize = 20_000;

/// A window of requests that this version answers alone.
async fn all_by(running: &Load, version: &str) -> Result<()> {
    tokio::time::sleep(PROXY_DELAY).await;
    let split = running.next(WINDOW).await?;
    ensure!(split.failed() == 0 && split.percent(version) > 99.99, "{version}: {split}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn each_switch_moves_all_requests_and_loses_none() -> Result<()> {
    let scenario = Scenario::begin("switch").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB).replicas(2);
    deployed(&scenario, &web, &by_user()).await?;
    let host = web.host(&scenario.namespace);
    scenario.until_served(&host).await?;
    let running = Load::start(Plan::to(&host))?;

    updated(&scenario, &web, &by_user(), "v2").await?;
    until_paused(&scenario).await?;
    until_selected(&scenario, &web.canary_service(), 2).await?;
    all_by(&running, "v1").await?;
    scenario.verbs(WEB).promote().await?;
    until_healthy(&scenario).await?;
    all_by(&running, "v2").await?;
    until_pods(&scenario, &[0, 2]).await?;
    all_by(&running, "v2").await?;

    updated(&scenario, &web, &by_user(), "v3").await?;
    until_paused(&scenario).await?;
    scenario.verbs(WEB).abort().await?;
    until_pods(&scenario, &[0, 2, 0]).await?;
    all_by(&running, "v2").await?;
    scenario.verbs(WEB).retry().await?;
    until_paused(&scenario).await?;
    scenario.verbs(WEB).promote_full().await?;
    until_healthy(&scenario).await?;
    until_pods(&scenario, &[0, 0, 2]).await?;
    all_by(&running, "v3").await?;

    while running.so_far().len() < ENOUGH {
        tokio::time::sleep(PROXY_DELAY).await;
    }
    let all = load::total(&running.stop().await);
    println!("in all: {all}");
    ensure!(all.failed() == 0 && all.answered() >= ENOUGH, "{all}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn going_back_within_the_delay_loses_no_request() -> Result<()> {
    let scenario = Scenario::begin("undo").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB).replicas(2);
    let fields = json!({"scaleDownDelaySeconds": 600});
    deployed(&scenario, &web, &fields).await?;
    let host = web.host(&scenario.namespace);
    scenario.until_served(&host).await?;
    let running = Load::start(Plan { per_second: 500, ..Plan::to(&host) })?;
    updated(&scenario, &web, &fields, "v2").await?;
    until_selected(&scenario, &web.stable_service(), 2).await?;
    until_healthy(&scenario).await?;
    all_by(&running, "v2").await?;

    updated(&scenario, &web, &fields, "v1").await?;
    until_selected(&scenario, &web.stable_service(), 3).await?;
    until_healthy(&scenario).await?;
    all_by(&running, "v1").await?;

    let all = load::total(&running.stop().await);
    ensure!(all.failed() == 0 && all.answered() > 0, "{all}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn with_a_route_the_switch_is_a_weight() -> Result<()> {
    let scenario = Scenario::begin("routed-switch").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB).replicas(2).canary(json!({"scaleDownDelaySeconds": 1}));
    let config = json!({"autoPromotionEnabled": false});
    scenario.apply_all(web.services()).await?;
    scenario.apply(web.route(&scenario.namespace)).await?;
    scenario.apply(web.led_by("blue-green", config.clone())).await?;
    until_healthy(&scenario).await?;
    let host = web.host(&scenario.namespace);
    scenario.until_served(&host).await?;
    let running = Load::start(Plan { per_second: 500, ..Plan::to(&host) })?;

    scenario.apply(web.clone().version("v2").led_by("blue-green", config)).await?;
    scenario.until_phase(WEB, "Paused").await?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    all_by(&running, "v1").await?;
    scenario.verbs(WEB).promote().await?;
    until_healthy(&scenario).await?;
    all_by(&running, "v2").await?;

    let all = load::total(&running.stop().await);
    ensure!(all.failed() == 0 && all.answered() > 0, "{all}");
    controller.stop().await?;
    scenario.end().await
}
