//! Problems that block traffic: each is reported with object and field, harms nothing else, and ends with its repair.

use anyhow::{Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, updated, updated_to},
    manifests::{self, Canary},
    scenario::{Scenario, weights},
};
use serde_json::json;

use crate::{
    HASH, condition, emitted_once, events, until_blocked, until_paused_at, until_serving, until_share, until_stable,
    until_unblocked,
};

pub fn half() -> Canary {
    Canary::new("web").steps(json!([{ "setWeight": 50 }, { "pause": {} }]))
}

/// Deploys `half` and waits for its update's pause at 50 %.
pub async fn halfway(scenario: &Scenario) -> Result<Canary> {
    let canary = half();
    deployed(scenario, &canary).await?;
    updated(scenario, &canary).await?;
    until_paused_at(scenario, 1).await?;
    until_share(scenario, 50).await?;
    Ok(canary)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_missing_route_is_reported_until_it_exists() -> Result<()> {
    let scenario = Scenario::begin("missing").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    scenario.apply_all(canary.services()).await?;
    scenario.apply(canary.rollout()).await?;

    let at_first = until_blocked(&scenario, "RouteNotFound").await?;
    let words = "waiting for traffic routing: HTTPRoute \"web\" not found";
    scenario
        .until(&kinds::rollout(), "web", "the route to be named by the phase", |rollout| {
            let text = |path: &str| rollout.data.pointer(path).and_then(serde_json::Value::as_str).map(str::to_owned);
            text("/status/phase").as_deref() == Some("Progressing") && text("/status/message").as_deref() == Some(words)
        })
        .await?;
    scenario.apply(canary.route(&scenario.namespace)).await?;
    until_unblocked(&scenario).await?;
    scenario.until_phase("web", "Healthy").await?;

    ensure!(at_first == "HTTPRoute \"web\" not found", "{at_first}");
    emitted_once(&scenario, "TrafficRoutingError", "HTTPRoute \"web\" not found").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_that_is_recreated_during_an_update_gets_its_weights_back() -> Result<()> {
    let scenario = Scenario::begin("again").await?;
    let controller = start(&scenario, None).await?;
    let canary = halfway(&scenario).await?;

    scenario.delete(&kinds::http_route(), "web").await?;
    let lost = until_blocked(&scenario, "RouteNotFound").await?;
    let kept = pods(&scenario, "web").await?;
    scenario.apply(canary.route(&scenario.namespace)).await?;
    until_share(&scenario, 50).await?;
    until_unblocked(&scenario).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    until_share(&scenario, 0).await?;

    ensure!(lost == "HTTPRoute \"web\" not found", "{lost}");
    ensure!(kept == [2, 1], "pods without a route: {kept:?}");
    emitted_once(&scenario, "TrafficWeightUpdated", "from 50 to 100").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_without_the_canarys_backend_holds_the_update_until_it_has_it() -> Result<()> {
    let scenario = Scenario::begin("backend").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    let whole = canary.route(&scenario.namespace);
    let mut lacking = whole.clone();
    lacking["spec"]["rules"][0]["backendRefs"] = json!([{ "name": "web-stable", "port": 80 }]);
    scenario.apply_all(canary.services()).await?;
    scenario.apply(lacking.clone()).await?;
    scenario.apply(canary.rollout()).await?;
    until_serving(&scenario).await?;
    updated(&scenario, &canary).await?;

    let message = until_blocked(&scenario, "BackendRefNotFound").await?;
    scenario
        .until(&kinds::rollout(), "web", "the canary's pod", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 1
                && api::number(rollout, "/status/availableReplicas") == 3
        })
        .await?;
    let held = scenario.get(&kinds::http_route(), "web").await?;
    scenario.apply(whole).await?;
    until_share(&scenario, 50).await?;
    until_paused_at(&scenario, 1).await?;
    until_unblocked(&scenario).await?;

    ensure!(
        message == "HTTPRoute \"web\": spec.rules: no rule has a backendRef to Service \"web-canary\"",
        "{message}"
    );
    ensure!(weights(&held) == [("web-stable".to_owned(), 1)], "{:?}", weights(&held));
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_that_no_gateway_accepts_holds_the_update_and_names_the_parent() -> Result<()> {
    let scenario = Scenario::begin("parent").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    let mut lost = canary.route(&scenario.namespace);
    lost["spec"]["parentRefs"] = json!([{ "name": "nowhere", "namespace": "default" }]);
    scenario.apply_all(canary.services()).await?;
    scenario.apply(lost).await?;
    scenario.apply(canary.rollout()).await?;
    until_serving(&scenario).await?;
    updated(&scenario, &canary).await?;

    let message = until_blocked(&scenario, "RouteNotAccepted").await?;
    let waiting = scenario.get(&kinds::rollout(), "web").await?;
    let found = canary.route(&scenario.namespace)["spec"]["parentRefs"].clone();
    scenario.patch(&kinds::http_route(), "web", json!({ "spec": { "parentRefs": found } })).await?;
    until_paused_at(&scenario, 1).await?;
    until_unblocked(&scenario).await?;

    ensure!(message == "HTTPRoute \"web\": parent Gateway \"nowhere\": no status yet", "{message}");
    ensure!(api::number(&waiting, "/status/currentStepIndex") == 0, "a step passed on a route that no gateway serves");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_with_an_unresolved_reference_holds_the_update_with_the_reason() -> Result<()> {
    let scenario = Scenario::begin("resolve").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    let mut broken = canary.route(&scenario.namespace);
    broken["spec"]["rules"][0]["backendRefs"] = json!([
        { "name": "web-stable", "port": 80, "weight": 100 }, { "name": "web-canary", "port": 80, "weight": 0 },
        { "name": "absent", "port": 80, "weight": 0 },
    ]);
    scenario.apply_all(canary.services()).await?;
    scenario.apply(broken).await?;
    scenario.apply(canary.rollout()).await?;
    until_serving(&scenario).await?;
    updated(&scenario, &canary).await?;

    let message = until_blocked(&scenario, "RouteNotAccepted").await?;
    let unproven = scenario
        .until(&kinds::rollout(), "web", "unverified weights", |rollout| {
            api::number(rollout, "/status/updatedReplicas") == 1
        })
        .await?;
    scenario.apply(manifests::service("absent", &json!({ "app": "absent" }))).await?;
    until_paused_at(&scenario, 1).await?;
    until_unblocked(&scenario).await?;

    ensure!(
        message.starts_with("HTTPRoute \"web\": parent Gateway \"gw\": ResolvedRefs is False: BackendNotFound"),
        "{message}"
    );
    ensure!(api::number(&unproven, "/status/currentStepIndex") == 0, "a step passed on a route that was not taken");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_missing_service_is_reported_and_the_update_continues_once_it_exists() -> Result<()> {
    let scenario = Scenario::begin("service").await?;
    let controller = start(&scenario, None).await?;
    let canary = halfway(&scenario).await?;

    scenario.delete(&kinds::service(), "web-canary").await?;
    let invalid = scenario
        .until(&kinds::rollout(), "web", "InvalidSpec", |rollout| condition(rollout, "InvalidSpec").is_some())
        .await?;
    let kept = pods(&scenario, "web").await?;
    scenario.apply_all(canary.services()).await?;
    until_share(&scenario, 50).await?;
    until_paused_at(&scenario, 1).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;

    let message = condition(&invalid, "InvalidSpec").map(|condition| condition.1).unwrap_or_default();
    ensure!(message.contains("spec.strategy.canary.canaryService: service \"web-canary\" not found"), "{message}");
    ensure!(kept == [2, 1], "pods: {kept:?}");
    emitted_once(&scenario, "InvalidSpec", "web-canary").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_that_names_anothers_service_is_rejected_and_does_not_harm_it() -> Result<()> {
    let scenario = Scenario::begin("rival").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    deployed(&scenario, &canary).await?;
    let rival = Canary::new("rival").version("v1");
    let mut grasping = rival.rollout();
    grasping["spec"]["strategy"]["canary"]["canaryService"] = json!("web-canary");
    scenario.apply_all(rival.services()).await?;
    scenario.apply(rival.route(&scenario.namespace)).await?;
    scenario.apply(grasping).await?;

    let refused = scenario
        .until(&kinds::rollout(), "rival", "InvalidSpec", |rollout| condition(rollout, "InvalidSpec").is_some())
        .await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 1).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    scenario.apply(rival.rollout()).await?;
    until_stable(&scenario, "rival").await?;

    let message = condition(&refused, "InvalidSpec").map(|condition| condition.1).unwrap_or_default();
    let words = "spec.strategy.canary.canaryService: service \"web-canary\" is used by Rollout \"web\" too";
    ensure!(message.contains(words), "{message}");
    ensure!(events(&scenario, "InvalidSpec", "").await? == 0, "the first rollout has no error event");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_service_that_selects_other_pods_is_rejected_with_the_wrong_label() -> Result<()> {
    let scenario = Scenario::begin("misfit").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    scenario.apply_canary(&canary).await?;
    scenario.until_phase("web", "Healthy").await?;

    scenario.patch(&kinds::service(), "web-stable", json!({ "spec": { "selector": { "tier": "front" } } })).await?;
    let refused = scenario
        .until(&kinds::rollout(), "web", "InvalidSpec", |rollout| condition(rollout, "InvalidSpec").is_some())
        .await?;
    scenario.patch(&kinds::service(), "web-stable", json!({ "spec": { "selector": { "tier": null } } })).await?;
    until_stable(&scenario, "web").await?;
    updated_to(&scenario, &canary, "v2").await?;
    until_paused_at(&scenario, 1).await?;

    let message = condition(&refused, "InvalidSpec").map(|condition| condition.1).unwrap_or_default();
    let words = "spec.strategy.canary.stableService: service \"web-stable\" selects tier=front, which spec.template.metadata.labels does not have";
    ensure!(message.contains(words), "{message}");
    let stable = scenario.get(&kinds::service(), "web-stable").await?;
    ensure!(!api::text(&stable, &format!("/spec/selector/{HASH}")).is_empty(), "not managed any more");
    controller.stop().await?;
    scenario.end().await
}
