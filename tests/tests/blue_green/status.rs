//! Status, events and the change to another strategy.

use anyhow::{Result, ensure};
use kulta_tests::{api, kinds, kulta::start, manifests::Canary, scenario::Scenario};
use serde_json::json;

use crate::{HASH, WEB, by_user, deployed, until_healthy, until_paused, until_pods, until_selected, updated};

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_status_says_what_both_services_select_and_what_an_autoscaler_needs() -> Result<()> {
    let scenario = Scenario::begin("selectors").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB);
    deployed(&scenario, &web, &by_user()).await?;
    let first = until_healthy(&scenario).await?;
    let stable = api::text(&first, "/status/stableRS").to_owned();

    updated(&scenario, &web, &by_user(), "v2").await?;
    until_paused(&scenario).await?;
    let what = "the selectors of both Services";
    let paused = scenario
        .until(&kinds::rollout(), WEB, what, |rollout| {
            api::text(rollout, "/status/blueGreen/activeSelector") == stable
                && api::text(rollout, "/status/blueGreen/previewSelector")
                    == api::text(rollout, "/status/currentPodHash")
                && api::number(rollout, "/status/replicas") == 4
        })
        .await?;

    ensure!(api::number(&paused, "/status/HPAReplicas") == 2, "{:?}", paused.data);
    ensure!(api::text(&paused, "/status/selector") == format!("app=web,{HASH}={stable}"), "{:?}", paused.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_emits_argos_events_in_argos_order() -> Result<()> {
    let scenario = Scenario::begin("events").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB);
    deployed(&scenario, &web, &by_user()).await?;
    updated(&scenario, &web, &by_user(), "v2").await?;
    until_paused(&scenario).await?;
    scenario.verbs(WEB).promote().await?;
    until_healthy(&scenario).await?;

    let wanted = [
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
        "SwitchService",
        "RolloutPaused",
        "RolloutResumed",
        "RolloutCompleted",
    ];
    kulta_tests::wait::poll("the events", kulta_tests::scenario::SOON, || async {
        let events = scenario.events_about("Rollout", WEB).await?;
        let missing: Vec<_> =
            wanted.iter().filter(|reason| !events.iter().any(|(event, _)| event == *reason)).collect();
        ensure!(missing.is_empty(), "missing: {missing:?}");
        let completed = events.iter().any(|(_, message)| message.ends_with("Completed blue-green update"));
        ensure!(completed, "{events:?}");
        ensure!(!events.iter().any(|(reason, _)| reason == "RolloutStepCompleted"), "{events:?}");
        Ok(Some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_change_to_canary_releases_both_services() -> Result<()> {
    let scenario = Scenario::begin("to-canary").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB).without_routing();
    deployed(&scenario, &web, &by_user()).await?;

    let strategy = json!({"spec": {"strategy": {"blueGreen": null, "canary": {"steps": [{"setWeight": 50}]}}}});
    scenario.patch(&kinds::rollout(), WEB, strategy).await?;

    for service in [web.stable_service(), web.canary_service()] {
        scenario
            .until(&kinds::service(), &service, "a selector without a hash", |service| {
                service.data.pointer(&format!("/spec/selector/{HASH}")).is_none()
            })
            .await?;
    }
    until_healthy(&scenario).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_preview_that_is_never_ready_is_aborted_at_the_deadline() -> Result<()> {
    let scenario = Scenario::begin("deadline").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB).spec(json!({"progressDeadlineSeconds": 5, "progressDeadlineAbort": true}));
    deployed(&scenario, &web, &by_user()).await?;

    updated(&scenario, &web.clone().pod_label("kulta.test/ready", "never"), &by_user(), "v2").await?;
    scenario.until_phase(WEB, "Degraded").await?;
    until_pods(&scenario, &[2, 0]).await?;

    until_selected(&scenario, &web.stable_service(), 1).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_active_service_that_is_the_preview_is_an_invalid_spec_that_names_the_field() -> Result<()> {
    let scenario = Scenario::begin("twice").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB);
    scenario.apply_all(web.services()).await?;

    scenario.apply(web.blue_green(&json!({"previewService": web.stable_service()}))).await?;

    let rollout = scenario.until_phase(WEB, "Degraded").await?;
    let message = api::text(&rollout, "/status/message");
    ensure!(message.contains("spec.strategy.blueGreen.previewService"), "{message}");
    controller.stop().await?;
    scenario.end().await
}
