//! What a rollout does to routes, and what it leaves alone.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::{self, Canary},
    story::{Story, weights},
};
use serde_json::{Value, json};

use crate::{
    but_for_weights, gateway, obstacle, told_once, until_no_obstacle, until_obstacle, until_paused_at, until_stable,
};

fn backend(service: &str, weight: i32) -> Value {
    json!({ "name": service, "port": 80, "weight": weight })
}

/// A route with all that a user may write around our two Services.
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
async fn all_but_the_weights_of_a_route_stays_as_it_was() -> Result<()> {
    let story = Story::begin("untouched").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 30 }, { "pause": {} }]));
    story.apply(manifests::service("other", &json!({ "app": "other" }))).await?;
    story.apply_all(canary.services()).await?;
    story.apply(busy_route(&canary, &story.namespace)).await?;
    story.apply(canary.rollout()).await?;
    until_stable(&story, "web").await?;
    let before = story.get(&kinds::http_route(), "web").await?;

    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    let during = story.get(&kinds::http_route(), "web").await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
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
    let after = story.until_weights("web", &all(100, 0)).await?;

    let shown: Vec<_> = all(70, 30).iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    ensure!(weights(&during) == shown, "{:?}", weights(&during));
    ensure!(but_for_weights(&during) == but_for_weights(&before), "changed: {:#}", during.data["spec"]);
    let bytes = |route: &DynamicObject| serde_json::to_vec(&route.data["spec"]);
    ensure!(bytes(&after)? == bytes(&before)?, "changed: {:#}", after.data["spec"]);
    ensure!(
        after.metadata.labels == before.metadata.labels && after.metadata.annotations == before.metadata.annotations
    );
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn all_routes_that_are_named_move_together() -> Result<()> {
    let story = Story::begin("several").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 40 }, { "pause": {} }]));
    let canary =
        canary.canary(gateway(json!({ "httpRoute": null, "httpRoutes": [{ "name": "web" }, { "name": "second" }] })));
    let backends = [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)];
    story.apply(manifests::http_route("second", &format!("second.{}.test", story.namespace), &backends)).await?;
    deployed(&story, &canary).await?;

    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;

    for route in ["web", "second"] {
        let seen = story.weights(route).await?;
        ensure!(seen == [("web-stable".to_owned(), 60), ("web-canary".to_owned(), 40)], "{route}: {seen:?}");
    }
    story.verbs("web").abort().await?;
    for route in ["web", "second"] {
        story.until_weights(route, &[("web-stable", 100), ("web-canary", 0)]).await?;
    }
    controller.stop().await?;
    story.end().await
}

/// A route that gets the label in mid-rollout is brought to the weight of the others, and carries the in-progress label with them.
#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_that_is_labelled_later_joins_the_others() -> Result<()> {
    let story = Story::begin("selector").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new("web").steps(json!([{ "setWeight": 40 }, { "pause": {} }]));
    let selector = json!({ "httpRoute": null, "httpRouteSelector": { "matchLabels": { "rolled": "yes" } } });
    let canary = canary.canary(gateway(selector));
    let backends = [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)];
    story.apply(manifests::http_route("second", &format!("second.{}.test", story.namespace), &backends)).await?;
    let join = json!({ "metadata": { "labels": { "rolled": "yes" } } });
    story.apply_canary(&canary).await?;
    let nobody = until_obstacle(&story, "RouteNotFound").await?;
    story.patch(&kinds::http_route(), "web", join.clone()).await?;
    until_no_obstacle(&story).await?;
    story.until_phase("web", "Healthy").await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    let alone = story.weights("second").await?;

    story.patch(&kinds::http_route(), "second", join).await?;
    let joined = story.until_weights("second", &[("web-stable", 60), ("web-canary", 40)]).await?;

    ensure!(nobody == "httpRouteSelector matches no HTTPRoute", "{nobody}");
    ensure!(alone == [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)], "{alone:?}");
    let labels = joined.metadata.labels.clone().unwrap_or_default();
    ensure!(
        labels.get("rollouts.argoproj.io/gatewayapi-canary").is_some_and(|value| value == "in-progress"),
        "{labels:?}"
    );
    story.verbs("web").promote().await?;
    for route in ["web", "second"] {
        story.until_weights(route, &[("web-stable", 100), ("web-canary", 0)]).await?;
    }
    until_stable(&story, "web").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_in_progress_label_is_the_users_or_none() -> Result<()> {
    let story = Story::begin("label").await?;
    let controller = start(&story, None).await?;
    let steps = json!([{ "setWeight": 50 }, { "pause": {} }]);
    let own = json!({ "inProgressLabelKey": "shop.test/rolling", "inProgressLabelValue": "now" });
    let own = Canary::new("web").steps(steps.clone()).canary(gateway(own));
    let none = Canary::new("bare").steps(steps).canary(gateway(json!({ "disableInProgressLabel": true })));
    for canary in [&own, &none] {
        deployed(&story, canary).await?;
        updated(&story, canary).await?;
        story.until_phase(&canary.name, "Paused").await?;
    }

    let during = story.get(&kinds::http_route(), "web").await?.metadata.labels.unwrap_or_default();
    let bare = story.get(&kinds::http_route(), "bare").await?.metadata.labels.unwrap_or_default();
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    let gone = story
        .until(&kinds::http_route(), "web", "no label", |route| {
            route.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty())
        })
        .await;

    ensure!(during.iter().eq([(&"shop.test/rolling".to_owned(), &"now".to_owned())]), "{during:?}");
    ensure!(bare.is_empty(), "{bare:?}");
    gone?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn weights_are_parts_of_the_maximum() -> Result<()> {
    let story = Story::begin("maximum").await?;
    let controller = start(&story, None).await?;
    let canary =
        Canary::new("web").steps(json!([{ "setWeight": 5 }, { "pause": {} }, { "setWeight": 1000 }, { "pause": {} }]));
    let canary = canary.canary(json!({ "trafficRouting": { "maxTrafficWeight": 1000 } }));
    deployed(&story, &canary).await?;
    story.until_weights("web", &[("web-stable", 1000), ("web-canary", 0)]).await?;

    updated(&story, &canary).await?;
    story.until_weights("web", &[("web-stable", 995), ("web-canary", 5)]).await?;
    until_paused_at(&story, 1).await?;
    story.verbs("web").promote().await?;
    story.until_weights("web", &[("web-stable", 0), ("web-canary", 1000)]).await?;
    until_paused_at(&story, 3).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    story.until_weights("web", &[("web-stable", 1000), ("web-canary", 0)]).await?;

    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn steps_at_no_weight_and_at_all_weight_are_steps_like_others() -> Result<()> {
    let story = Story::begin("ends").await?;
    let controller = start(&story, None).await?;
    let canary =
        Canary::new("web").steps(json!([{ "setWeight": 0 }, { "pause": {} }, { "setWeight": 100 }, { "pause": {} }]));
    deployed(&story, &canary).await?;

    updated(&story, &canary).await?;
    let nothing = until_paused_at(&story, 1).await?;
    let none = story.weights("web").await?;
    story.verbs("web").promote().await?;
    story.until_weights("web", &[("web-stable", 0), ("web-canary", 100)]).await?;
    let everything = until_paused_at(&story, 3).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    story.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;

    ensure!(none == [("web-stable".to_owned(), 100), ("web-canary".to_owned(), 0)], "{none:?}");
    ensure!(api::number(&nothing, "/status/updatedReplicas") == 0, "pods without weight");
    let pods = (api::number(&everything, "/status/updatedReplicas"), api::number(&everything, "/status/replicas"));
    ensure!(pods == (2, 4), "{pods:?}");
    ensure!(obstacle(&everything).is_none());
    told_once(&story, "TrafficWeightUpdated", "from 0 to 100").await?;
    told_once(&story, "TrafficWeightUpdated", "from 100 to 0").await?;
    ensure!(crate::events(&story, "TrafficRoutingError", "").await? == 0, "an error without cause");
    controller.stop().await?;
    story.end().await
}
