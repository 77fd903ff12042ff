//! A canary whose `trafficRouting` names no router: Argo Rollouts runs it without weights, with its pods beside all of stable's.

use anyhow::{Result, ensure};
use kulta_tests::{
    kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::json;

use crate::{WEB, text, until_paused_at, until_pods};

const HASH: &str = "/spec/selector/rollouts-pod-template-hash";

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_without_a_router_counts_its_pods_as_behind_routes_and_writes_no_route() -> Result<()> {
    let scenario = Scenario::begin("unrouted").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).steps(json!([{"setWeight": 25}, {"pause": {}}]));
    let canary = canary.canary(json!({"trafficRouting": {"plugins": null}, "scaleDownDelaySeconds": 2}));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let paused = until_paused_at(&scenario, WEB, 1).await?;
    until_pods(&scenario, WEB, &[4, 1]).await?;
    let services = [canary.stable_service(), canary.canary_service()];
    let of = async |name: &str| anyhow::Ok(text(&scenario.get(&kinds::service(), name).await?, HASH));
    let found = [of(&services[0]).await?, of(&services[1]).await?];
    ensure!(found == [text(&paused, "/status/stableRS"), text(&paused, "/status/currentPodHash")], "{found:?}");
    ensure!(paused.data.pointer("/status/canary/weights").is_none(), "{}", paused.data);

    scenario.verbs(WEB).promote().await?;
    let healthy = scenario.until_phase(WEB, "Healthy").await?;
    until_pods(&scenario, WEB, &[0, 4]).await?;

    let found = [of(&services[0]).await?, of(&services[1]).await?];
    let stable = text(&healthy, "/status/stableRS");
    ensure!(found == [stable.clone(), stable], "{found:?}");
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    let route = scenario.get(&kinds::http_route(), WEB).await?;
    ensure!(route.metadata.generation == Some(1), "the route is written: {:?}", route.metadata.managed_fields);
    controller.stop().await?;
    scenario.end().await
}
