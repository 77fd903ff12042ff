//! What stands in the way of traffic: each is told with object and field, harms nothing else, and is over once it is repaired.

use anyhow::{Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, updated, updated_to},
    manifests::{self, Canary},
    story::{Story, weights},
};
use serde_json::json;

use crate::{
    HASH, events, told, told_once, until_no_obstacle, until_obstacle, until_paused_at, until_serving, until_share,
    until_stable,
};

pub fn half() -> Canary {
    Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]))
}

/// Deploys `half` and brings its update to the pause at 50 %.
pub async fn halfway(story: &Story) -> Result<Canary> {
    let canary = half();
    deployed(story, &canary).await?;
    updated(story, &canary).await?;
    until_paused_at(story, 1).await?;
    until_share(story, 50).await?;
    Ok(canary)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_missing_route_is_named_until_it_is_there() -> Result<()> {
    let story = Story::begin("missing").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    story.apply_all(canary.services()).await?;
    story.apply(canary.rollout()).await?;

    let at_first = until_obstacle(&story, "RouteNotFound").await?;
    let words = "waiting for traffic routing: HTTPRoute \"web\" not found";
    story
        .until(&kinds::rollout(), "web", "the route to be named by the phase", |rollout| {
            let text = |path: &str| rollout.data.pointer(path).and_then(serde_json::Value::as_str).map(str::to_owned);
            text("/status/phase").as_deref() == Some("Progressing") && text("/status/message").as_deref() == Some(words)
        })
        .await?;
    story.apply(canary.route(&story.namespace)).await?;
    until_no_obstacle(&story).await?;
    story.until_phase("web", "Healthy").await?;

    ensure!(at_first == "HTTPRoute \"web\" not found", "{at_first}");
    told_once(&story, "TrafficRoutingError", "HTTPRoute \"web\" not found").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_that_is_made_again_in_mid_rollout_gets_its_weights_back() -> Result<()> {
    let story = Story::begin("again").await?;
    let controller = start(&story, None).await?;
    let canary = halfway(&story).await?;

    story.delete(&kinds::http_route(), "web").await?;
    let lost = until_obstacle(&story, "RouteNotFound").await?;
    let kept = pods(&story, "web").await?;
    story.apply(canary.route(&story.namespace)).await?;
    until_share(&story, 50).await?;
    until_no_obstacle(&story).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    until_share(&story, 0).await?;

    ensure!(lost == "HTTPRoute \"web\" not found", "{lost}");
    ensure!(kept == [2, 1], "pods without a route: {kept:?}");
    told_once(&story, "TrafficWeightUpdated", "from 50 to 100").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_without_the_canarys_backend_holds_the_update_until_it_has_it() -> Result<()> {
    let story = Story::begin("backend").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    let whole = canary.route(&story.namespace);
    let mut lacking = whole.clone();
    lacking["spec"]["rules"][0]["backendRefs"] = json!([{ "name": "web-stable", "port": 80 }]);
    story.apply_all(canary.services()).await?;
    story.apply(lacking.clone()).await?;
    story.apply(canary.rollout()).await?;
    until_serving(&story).await?;
    updated(&story, &canary).await?;

    let message = until_obstacle(&story, "BackendRefNotFound").await?;
    story
        .until(&kinds::rollout(), "web", "the canary's pod", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 1
                && api::number(rollout, "/status/availableReplicas") == 3
        })
        .await?;
    let held = story.get(&kinds::http_route(), "web").await?;
    story.apply(whole).await?;
    until_share(&story, 50).await?;
    until_paused_at(&story, 1).await?;
    until_no_obstacle(&story).await?;

    ensure!(
        message == "HTTPRoute \"web\": spec.rules: no rule has a backendRef to Service \"web-canary\"",
        "{message}"
    );
    ensure!(weights(&held) == [("web-stable".to_owned(), 1)], "{:?}", weights(&held));
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_that_no_gateway_takes_holds_the_update_and_names_the_parent() -> Result<()> {
    let story = Story::begin("parent").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    let mut lost = canary.route(&story.namespace);
    lost["spec"]["parentRefs"] = json!([{ "name": "nowhere", "namespace": "default" }]);
    story.apply_all(canary.services()).await?;
    story.apply(lost).await?;
    story.apply(canary.rollout()).await?;
    until_serving(&story).await?;
    updated(&story, &canary).await?;

    let message = until_obstacle(&story, "RouteNotAccepted").await?;
    let waiting = story.get(&kinds::rollout(), "web").await?;
    let found = canary.route(&story.namespace)["spec"]["parentRefs"].clone();
    story.patch(&kinds::http_route(), "web", json!({ "spec": { "parentRefs": found } })).await?;
    until_paused_at(&story, 1).await?;
    until_no_obstacle(&story).await?;

    ensure!(message == "HTTPRoute \"web\": parent Gateway \"nowhere\": no status yet", "{message}");
    ensure!(api::number(&waiting, "/status/currentStepIndex") == 0, "a step passed on a route that nobody serves");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_with_a_reference_that_does_not_resolve_holds_the_update_and_says_why() -> Result<()> {
    let story = Story::begin("resolve").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    let mut broken = canary.route(&story.namespace);
    broken["spec"]["rules"][0]["backendRefs"] = json!([
        { "name": "web-stable", "port": 80, "weight": 100 }, { "name": "web-canary", "port": 80, "weight": 0 },
        { "name": "absent", "port": 80, "weight": 0 },
    ]);
    story.apply_all(canary.services()).await?;
    story.apply(broken).await?;
    story.apply(canary.rollout()).await?;
    until_serving(&story).await?;
    updated(&story, &canary).await?;

    let message = until_obstacle(&story, "RouteNotAccepted").await?;
    let unproven = story
        .until(&kinds::rollout(), "web", "unverified weights", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 1
        })
        .await?;
    story.apply(manifests::service("absent", &json!({ "app": "absent" }))).await?;
    until_paused_at(&story, 1).await?;
    until_no_obstacle(&story).await?;

    ensure!(
        message.starts_with("HTTPRoute \"web\": parent Gateway \"gw\": ResolvedRefs is False: BackendNotFound"),
        "{message}"
    );
    ensure!(api::number(&unproven, "/status/currentStepIndex") == 0, "a step passed on a route that was not taken");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_service_that_is_missing_is_named_and_the_update_goes_on_once_it_is_back() -> Result<()> {
    let story = Story::begin("service").await?;
    let controller = start(&story, None).await?;
    let canary = halfway(&story).await?;

    story.delete(&kinds::service(), "web-canary").await?;
    let invalid =
        story.until(&kinds::rollout(), "web", "InvalidSpec", |rollout| told(rollout, "InvalidSpec").is_some()).await?;
    let kept = pods(&story, "web").await?;
    story.apply_all(canary.services()).await?;
    until_share(&story, 50).await?;
    until_paused_at(&story, 1).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;

    let message = told(&invalid, "InvalidSpec").map(|told| told.1).unwrap_or_default();
    ensure!(message.contains("spec.strategy.canary.canaryService: service \"web-canary\" not found"), "{message}");
    ensure!(kept == [2, 1], "pods: {kept:?}");
    told_once(&story, "InvalidSpec", "web-canary").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_that_names_anothers_service_is_refused_and_harms_it_not() -> Result<()> {
    let story = Story::begin("rival").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    deployed(&story, &canary).await?;
    let rival = Canary::new("rival").version("v1");
    let mut grasping = rival.rollout();
    grasping["spec"]["strategy"]["canary"]["canaryService"] = json!("web-canary");
    story.apply_all(rival.services()).await?;
    story.apply(rival.route(&story.namespace)).await?;
    story.apply(grasping).await?;

    let refused = story
        .until(&kinds::rollout(), "rival", "InvalidSpec", |rollout| told(rollout, "InvalidSpec").is_some())
        .await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, 1).await?;
    story.verbs("web").promote().await?;
    until_stable(&story, "web").await?;
    story.apply(rival.rollout()).await?;
    until_stable(&story, "rival").await?;

    let message = told(&refused, "InvalidSpec").map(|told| told.1).unwrap_or_default();
    let words = "spec.strategy.canary.canaryService: service \"web-canary\" is used by Rollout \"web\" too";
    ensure!(message.contains(words), "{message}");
    ensure!(events(&story, "InvalidSpec", "").await? == 0, "the first rollout was told off");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_service_that_selects_other_pods_is_refused_with_the_label_that_does_not_fit() -> Result<()> {
    let story = Story::begin("misfit").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    story.apply_canary(&canary).await?;
    story.until_phase("web", "Healthy").await?;

    story.patch(&kinds::service(), "web-stable", json!({ "spec": { "selector": { "tier": "front" } } })).await?;
    let refused =
        story.until(&kinds::rollout(), "web", "InvalidSpec", |rollout| told(rollout, "InvalidSpec").is_some()).await?;
    story.patch(&kinds::service(), "web-stable", json!({ "spec": { "selector": { "tier": null } } })).await?;
    until_stable(&story, "web").await?;
    updated_to(&story, &canary, "v2").await?;
    until_paused_at(&story, 1).await?;

    let message = told(&refused, "InvalidSpec").map(|told| told.1).unwrap_or_default();
    let words = "spec.strategy.canary.stableService: service \"web-stable\" selects tier=front, which spec.template.metadata.labels does not have";
    ensure!(message.contains(words), "{message}");
    let stable = story.get(&kinds::service(), "web-stable").await?;
    ensure!(!api::text(&stable, &format!("/spec/selector/{HASH}")).is_empty(), "not managed any more");
    controller.stop().await?;
    story.end().await
}
