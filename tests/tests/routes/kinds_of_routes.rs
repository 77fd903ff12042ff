//! Routes of several kinds of one Rollout: HTTPRoutes and GRPCRoutes behind Contour, TCPRoutes and TLSRoutes that the test itself accepts,
//! because the Contour of the tests does not serve them.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{until_blocked, until_paused_at, until_share, until_stable};

const WEB: &str = "web";
/// Not the HTTPRoute's name: Contour 1.33 reports the status of only one of two routes that have the same name.
const GRPC: &str = "web-grpc";

/// A GRPCRoute of the same gateway, host and Services as the canary's HTTPRoute, for one service of gRPC.
fn grpc_route(canary: &Canary, namespace: &str) -> Value {
    let mut route = canary.route(namespace);
    let host = format!("grpc-{}", canary.host(namespace));
    let backends = route.pointer("/spec/rules/0/backendRefs").cloned();
    let rule =
        json!([{ "matches": [{ "method": { "service": "shop.Cart", "method": "Add" } }], "backendRefs": backends }]);
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
    ensure!(paused.data.pointer("/status/canary/weights/verified") == Some(&json!(true)));
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

/// A CRD of TCPRoutes as old releases of Gateway API have it, without its schema.
fn tcp_routes() -> Value {
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "tcproutes.gateway.networking.k8s.io",
            "annotations": { "api-approved.kubernetes.io": "unapproved, for tests" },
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": { "kind": "TCPRoute", "plural": "tcproutes", "singular": "tcproute", "listKind": "TCPRouteList" },
            "versions": [{
                "name": "v1alpha2", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": any, "status": any } } },
            }],
        },
    })
}

/// Reports on the route as a gateway does that has accepted its current generation.
async fn accept(scenario: &Scenario, kind: &ApiResource) -> Result<()> {
    let routes = scenario.api(kind);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let route = routes.get(WEB).await?;
        let generation = route.metadata.generation.unwrap_or_default();
        let observed = route.data.pointer("/status/parents/0/conditions/0/observedGeneration").and_then(Value::as_i64);
        if observed == Some(generation) {
            continue;
        }
        let holds = |kind: &str| {
            json!({
                "type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let parent = json!({
            "parentRef": route.data.pointer("/spec/parentRefs/0"), "controllerName": "example.com/tests",
            "conditions": [holds("Accepted"), holds("ResolvedRefs")],
        });
        let patch = Patch::Merge(json!({ "status": { "parents": [parent] } }));
        routes.patch_status(WEB, &PatchParams::default(), &patch).await?;
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn tcp_and_tls_routes_move_together_once_both_kinds_are_installed() -> Result<()> {
    let scenario = Scenario::begin("tcptls").await?;
    // An earlier run in the same cluster has installed it.
    let definitions: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::crd());
    match definitions.delete("tcproutes.gateway.networking.k8s.io", &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        deleted => drop(deleted?),
    }
    let controller = start(&scenario, None).await?;
    let routes = json!({ "httpRoute": null, "tcpRoute": WEB, "tlsRoute": WEB });
    let routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": routes } });
    let steps = json!([{ "setWeight": 30 }, { "pause": {} }]);
    let canary = Canary::new(WEB).replicas(2).steps(steps).canary(json!({ "trafficRouting": routing }));
    scenario.apply_all(canary.services()).await?;
    let mut route = canary.route(&scenario.namespace);
    json_patch::merge(&mut route, &json!({ "kind": "TLSRoute" }));
    scenario.apply(route.clone()).await?;
    scenario.apply(canary.rollout()).await?;

    let message = until_blocked(&scenario, "GatewayApiNotInstalled").await?;
    ensure!(message.contains("the cluster serves no gateway.networking.k8s.io/v1 or v1alpha2 TCPRoute"), "{message}");
    api::apply_crd(&scenario.client, tcp_routes()).await?;
    json_patch::merge(&mut route, &json!({ "apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "TCPRoute" }));
    json_patch::merge(&mut route, &json!({ "spec": { "hostnames": null } }));
    scenario.apply(route).await?;
    let (tcp, tls) = (kinds::tcp_route(), kinds::tls_route());
    let moved = async {
        until_stable(&scenario, WEB).await?;
        updated(&scenario, &canary).await?;
        until_paused_at(&scenario, 1).await?;
        for kind in [&tcp, &tls] {
            let route = scenario.get(kind, WEB).await?;
            let weight = route.data.pointer("/spec/rules/0/backendRefs/1/weight").and_then(Value::as_i64);
            ensure!(weight == Some(30), "{}: {weight:?}", kind.kind);
        }
        Ok(())
    };
    tokio::select! {
        moved = moved => moved?,
        stopped = accept(&scenario, &tcp) => stopped?,
        stopped = accept(&scenario, &tls) => stopped?,
    }

    controller.stop().await?;
    scenario.end().await
}
