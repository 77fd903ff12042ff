//! The parts of routes that a rollout changes, and those that it leaves unchanged.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::{self, Canary},
    scenario::{Scenario, weights},
};
use serde_json::{Value, json};

use crate::{
    blocked_traffic, but_for_weights, emitted_once, gateway, until_blocked, until_paused_at, until_stable,
    until_unblocked,
};

fn backend(service: &str, weight: i32) -> Value {
    json!({ "name": service, "port": 80, "weight": weight })
}

/// A route with all fields that a user may set in addition to the two Services.
fn busy_route(canary: &Canary, namespace: &str) -> Value {
    let mut route = canary.route(namespace);
    let tagged = json!({
        "name": "web-canary", "port": 80, "weight": 0,
        "filters": [{ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": [{ "name": "x-side", "value": "canary" }] } }],
    });
    let rules = json!([
        {
            "matches": [{
                "path": { "type": "PathPrefix", "value": "/api" },
                "headers": [{ "name": "x-tenant", "type": "Exact", "value": "one" }],
            }],
            "filters": [{ "type": "ResponseHeaderModifier", "responseHeaderModifier": { "add": [{ "name": "x-seen", "value": "1" }] } }],
            "timeouts": { "request": "10s" },
            "backendRefs": [backend("other", 7), tagged, backend("web-stable", 100)],
        },
        { "matches": [{ "path": { "type": "PathPrefix", "value": "/stable" } }], "backendRefs": [backend("web-stable", 3)] },
        { "backendRefs": [backend("web-stable", 100), backend("web-canary", 0)] },
    ]);
    let extra = json!({
        "metadata": { "labels": { "team": "shop" }, "annotations": { "team/note": "keep" } },
        "spec": { "rules": rules },
    });
    json_patch::merge(&mut route, &extra);
    route
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn everything_but_the_weights_of_a_route_is_unchanged() -> Result<()> {
    let scenario = Scenario::begin("untouched").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 30 }, { "pause": {} }]));
    scenario.apply(manifests::service("other", &json!({ "app": "other" }))).await?;
    scenario.apply_all(canary.services()).await?;
    scenario.apply(busy_route(&canary, &scenario.namespace)).await?;
    scenario.apply(canary.rollout()).await?;
    until_stable(&scenario, "web").await?;
    let before = scenario.get(&kinds::http_route(), "web").await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    let during = scenario.get(&kinds::http_route(), "web").await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    let all = |stable, canary| {
        [
            ("other", 7),
            ("web-canary", canary),
            ("web-stable", stable),
            ("web-stable", 3),
            ("web-stable", stable),
            ("web-canary", canary),
        ]
    };
    let after = scenario.until_weights("web", &all(100, 0)).await?;

    let shown: Vec<_> = all(70, 30).iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    ensure!(weights(&during) == shown, "{:?}", weights(&during));
    ensure!(but_for_weights(&during) == but_for_weights(&before), "changed: {:#}", during.data["spec"]);
    let bytes = |route: &DynamicObject| serde_json::to_vec(&route.data["spec"]);
    ensure!(bytes(&after)? == bytes(&before)?, "changed: {:#}", after.data["spec"]);
    ensure!(
        after.metadata.labels == before.metadata.labels && after.metadata.annotations == before.metadata.annotations
    );
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn all_named_routes_change_together() -> Result<()> {
    let scenario = Scenario::begin("several").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 40 }, { "pause": {} }]));
    let canary =
        canary.canary(gateway(json!({ "httpRoute": null, "httpRoutes": [{ "name": "web" }, { "name": "second" }] })));
    let backends = [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)];
    scenario.apply(manifests::http_route("second", &format!("second.{}.test", scenario.namespace), &backends)).await?;
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;

    for route in ["web", "second"] {
        let seen = scenario.weights(route).await?;
        ensure!(seen == [("web-stable".to_owned(), 60), ("web-canary".to_owned(), 40)], "{route}: {seen:?}");
    }
    scenario.verbs("web").abort().await?;
    for route in ["web", "second"] {
        scenario.until_weights(route, &[("web-stable", 100), ("web-canary", 0)]).await?;
    }
    controller.stop().await?;
    scenario.end().await
}

/// A route that gets the label during an update is set to the weight of the others, and gets the in-progress label too.
#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_that_is_labelled_later_joins_the_others() -> Result<()> {
    let scenario = Scenario::begin("selector").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 40 }, { "pause": {} }]));
    let selector = json!({ "httpRoute": null, "httpRouteSelector": { "matchLabels": { "rolled": "yes" } } });
    let canary = canary.canary(gateway(selector));
    let backends = [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)];
    scenario.apply(manifests::http_route("second", &format!("second.{}.test", scenario.namespace), &backends)).await?;
    let join = json!({ "metadata": { "labels": { "rolled": "yes" } } });
    scenario.apply_canary(&canary).await?;
    let nobody = until_blocked(&scenario, "RouteNotFound").await?;
    scenario.patch(&kinds::http_route(), "web", join.clone()).await?;
    until_unblocked(&scenario).await?;
    scenario.until_phase("web", "Healthy").await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    let alone = scenario.weights("second").await?;

    scenario.patch(&kinds::http_route(), "second", join).await?;
    let joined = scenario.until_weights("second", &[("web-stable", 60), ("web-canary", 40)]).await?;

    ensure!(nobody == "httpRouteSelector matches no HTTPRoute", "{nobody}");
    ensure!(alone == [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)], "{alone:?}");
    let labels = joined.metadata.labels.clone().unwrap_or_default();
    ensure!(
        labels.get("rollouts.argoproj.io/gatewayapi-canary").is_some_and(|value| value == "in-progress"),
        "{labels:?}"
    );
    scenario.verbs("web").promote().await?;
    for route in ["web", "second"] {
        scenario.until_weights(route, &[("web-stable", 100), ("web-canary", 0)]).await?;
    }
    until_stable(&scenario, "web").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_in_progress_label_can_be_changed_or_disabled() -> Result<()> {
    let scenario = Scenario::begin("label").await?;
    let controller = start(&scenario, None).await?;
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let own = json!({ "inProgressLabelKey": "shop.test/rolling", "inProgressLabelValue": "now" });
    let own = Canary::new("web").steps(steps.clone()).canary(gateway(own));
    let none = Canary::new("bare").steps(steps).canary(gateway(json!({ "disableInProgressLabel": true })));
    for canary in [&own, &none] {
        deployed(&scenario, canary).await?;
        updated(&scenario, canary).await?;
        scenario.until_phase(&canary.name, "Paused").await?;
    }

    let during = scenario.get(&kinds::http_route(), "web").await?.metadata.labels.unwrap_or_default();
    let bare = scenario.get(&kinds::http_route(), "bare").await?.metadata.labels.unwrap_or_default();
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    let gone = scenario
        .until(&kinds::http_route(), "web", "no label", |route| {
            route.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty())
        })
        .await;

    ensure!(during.iter().eq([(&"shop.test/rolling".to_owned(), &"now".to_owned())]), "{during:?}");
    ensure!(bare.is_empty(), "{bare:?}");
    gone?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn weights_are_parts_of_the_maximum() -> Result<()> {
    let scenario = Scenario::begin("maximum").await?;
    let controller = start(&scenario, None).await?;
    let canary =
        Canary::new("web").steps(json!([{ "setWeight": 5 }, { "pause": {} }, { "setWeight": 1000 }, { "pause": {} }]));
    let canary = canary.canary(json!({ "trafficRouting": { "maxTrafficWeight": 1000 } }));
    deployed(&scenario, &canary).await?;
    scenario.until_weights("web", &[("web-stable", 1000), ("web-canary", 0)]).await?;

    updated(&scenario, &canary).await?;
    scenario.until_weights("web", &[("web-stable", 995), ("web-canary", 5)]).await?;
    until_paused_at(&scenario, 1).await?;
    scenario.verbs("web").promote().await?;
    scenario.until_weights("web", &[("web-stable", 0), ("web-canary", 1000)]).await?;
    until_paused_at(&scenario, 3).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    scenario.until_weights("web", &[("web-stable", 1000), ("web-canary", 0)]).await?;

    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn steps_with_weight_zero_and_with_full_weight_are_ordinary_steps() -> Result<()> {
    let scenario = Scenario::begin("ends").await?;
    let controller = start(&scenario, None).await?;
    let canary =
        Canary::new("web").steps(json!([{ "setWeight": 0 }, { "pause": {} }, { "setWeight": 100 }, { "pause": {} }]));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    let nothing = until_paused_at(&scenario, 1).await?;
    let none = scenario.weights("web").await?;
    scenario.verbs("web").promote().await?;
    scenario.until_weights("web", &[("web-stable", 0), ("web-canary", 100)]).await?;
    let everything = until_paused_at(&scenario, 3).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;

    ensure!(none == [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)], "{none:?}");
    ensure!(api::number(&nothing, "/status/updatedReplicas") == 0, "pods without weight");
    let pods = (api::number(&everything, "/status/updatedReplicas"), api::number(&everything, "/status/replicas"));
    ensure!(pods == (2, 4), "{pods:?}");
    ensure!(blocked_traffic(&everything).is_none());
    emitted_once(&scenario, "TrafficWeightUpdated", "from 0 to 100").await?;
    emitted_once(&scenario, "TrafficWeightUpdated", "from 100 to 0").await?;
    ensure!(crate::events(&scenario, "TrafficRoutingError", "").await? == 0, "an error without cause");
    controller.stop().await?;
    scenario.end().await
}
