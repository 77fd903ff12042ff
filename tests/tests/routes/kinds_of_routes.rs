//! Routes of several kinds of one Rollout, as Contour accepts them.

use anyhow::{Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{until_blocked, until_paused_at, until_share, until_stable};

/// Not the HTTPRoute's name: Contour 1.33 reports the status of only one of two routes that have the same name.
const GRPC: &str = "web-grpc";

/// A GRPCRoute of the same gateway, host and Services as the canary's HTTPRoute, for one service of gRPC.
fn grpc_route(canary: &Canary, namespace: &str) -> Value {
    let mut route = canary.route(namespace);
    let host = format!("grpc-{}", canary.host(namespace));
    let backends = route.pointer("/spec/rules/0/backendRefs").cloned();
    let rule = json!([{ "matches": [{ "method": { "service": "shop.Cart" } }], "backendRefs": backends }]);
    json_patch::merge(
        &mut route,
        &json!({ "kind": "GRPCRoute", "metadata": { "name": GRPC }, "spec": { "hostnames": [host], "rules": rule } }),
    );
    route
}

fn with_grpc(canary: Canary) -> Canary {
    let routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": { "grpcRoute": GRPC } }, "managedRoutes": [{ "name": "beta" }] });
    canary.canary(json!({ "trafficRouting": routing }))
}

/// Names of the rules of the GRPCRoute, and the canary's weight in the last one.
async fn grpc_rules(scenario: &Scenario) -> Result<(Vec<String>, i64)> {
    let route = scenario.get(&kinds::grpc_route(), GRPC).await?;
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let names =
        rules.iter().map(|rule| rule.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()).collect();
    let weight = rules.last().and_then(|rule| rule.pointer("/backendRefs/1/weight")?.as_i64()).unwrap_or(-1);
    Ok((names, weight))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_http_route_and_a_grpc_route_move_together() -> Result<()> {
    let scenario = Scenario::begin("grpc").await?;
    let controller = start(&scenario, None).await?;
    let steps = json!([{ "setWeight": 30 }, { "pause": {} }]);
    let canary = with_grpc(Canary::new("web").replicas(2).steps(steps));
    scenario.apply_all(canary.services()).await?;
    scenario.apply(grpc_route(&canary, &scenario.namespace)).await?;
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    let paused = until_paused_at(&scenario, 1).await?;

    until_share(&scenario, 30).await?;
    ensure!(grpc_rules(&scenario).await? == (vec![String::new()], 30));
    ensure!(api::text(&paused, "/status/canary/weights/verified") == "true");
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    ensure!(grpc_rules(&scenario).await?.1 == 0);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_header_route_on_a_grpc_route_is_accepted_and_ends_with_the_promotion() -> Result<()> {
    let scenario = Scenario::begin("grpcheader").await?;
    let controller = start(&scenario, None).await?;
    let header = json!({ "headerName": "Team", "headerValue": { "exact": "qa" } });
    let steps = json!([
        { "setCanaryScale": { "replicas": 1 } }, { "setHeaderRoute": { "name": "beta", "match": [header] } }, { "pause": {} },
    ]);
    let canary = with_grpc(Canary::new("web").replicas(2).steps(steps));
    scenario.apply_all(canary.services()).await?;
    scenario.apply(grpc_route(&canary, &scenario.namespace)).await?;
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 2).await?;

    ensure!(grpc_rules(&scenario).await?.0 == ["beta", ""]);
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    ensure!(grpc_rules(&scenario).await?.0 == [""]);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_kind_that_is_not_installed_is_told_by_its_versions() -> Result<()> {
    let scenario = Scenario::begin("tcpmissing").await?;
    let controller = start(&scenario, None).await?;
    let routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": { "tcpRoute": "web" } } });
    let canary = Canary::new("web").replicas(1).canary(json!({ "trafficRouting": routing }));
    scenario.apply_all(canary.objects(&scenario.namespace)).await?;

    let message = until_blocked(&scenario, "GatewayApiNotInstalled").await?;

    ensure!(
        message.contains("TCPRoute \"web\": the cluster serves no gateway.networking.k8s.io/v1 or v1alpha2 TCPRoute"),
        "{message}"
    );
    controller.stop().await?;
    scenario.end().await
}
