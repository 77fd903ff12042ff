//! Delays of scaling down: after a promotion, and after an abort.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, updated, updated_to},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::json;

use crate::{WEB, annotation, name, replica_set, until_paused_at, until_pods};

const DEADLINE: &str = "scale-down-deadline";

/// Waits until a ReplicaSet has a time at which it is scaled to zero.
async fn until_doomed(scenario: &Scenario, number: i64) -> Result<(DynamicObject, Timestamp)> {
    let set = name(&replica_set(scenario, WEB, number).await?);
    let seen = scenario
        .until(&kinds::replica_set(), &set, "a scale-down deadline", |set| annotation(set, DEADLINE).is_some())
        .await?;
    let at = annotation(&seen, DEADLINE).context("no deadline")?.parse().context("read the deadline")?;
    Ok((seen, at))
}

/// Waits until a ReplicaSet is scaled to zero and has no deadline any more.
async fn until_gone(scenario: &Scenario, number: i64) -> Result<()> {
    let set = name(&replica_set(scenario, WEB, number).await?);
    scenario
        .until(&kinds::replica_set(), &set, "no pods and no deadline", |set| {
            api::number(set, "/spec/replicas") == 0 && annotation(set, DEADLINE).is_none()
        })
        .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_old_revision_stays_for_the_scale_down_delay() -> Result<()> {
    let scenario = Scenario::begin("scale-down").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 4}));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    let (seen, at) = until_doomed(&scenario, 1).await?;

    let left = at.duration_since(Timestamp::now()).as_secs_f64();
    ensure!((1.0..=5.0).contains(&left), "{left} s are left of 4");
    ensure!(api::number(&seen, "/spec/replicas") == 2, "its pods stay until then");
    until_gone(&scenario, 1).await?;
    ensure!(Timestamp::now() >= at, "the pods went before their time");
    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_old_revision_that_is_used_again_loses_its_deadline_and_keeps_its_pods() -> Result<()> {
    let scenario = Scenario::begin("wanted-again").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {"duration": "1s"}}]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 600}));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let (old, _) = until_doomed(&scenario, 1).await?;

    updated_to(&scenario, &canary, "v1").await?;

    let again = scenario
        .until(&kinds::replica_set(), &name(&old), "the third revision", |set| {
            annotation(set, "rollout.argoproj.io/revision").as_deref() == Some("3")
                && annotation(set, DEADLINE).is_none()
        })
        .await?;
    ensure!(annotation(&again, "rollout.argoproj.io/revision-history").as_deref() == Some("1"), "{:?}", again.metadata);
    scenario.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_number_of_delayed_old_revisions_is_limited() -> Result<()> {
    let scenario = Scenario::begin("linger").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).steps(json!([]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 600, "scaleDownDelayRevisionLimit": 1}));
    deployed(&scenario, &canary).await?;

    for (version, number) in [("v2", 1), ("v3", 2)] {
        updated_to(&scenario, &canary, version).await?;
        scenario.until_phase(WEB, "Healthy").await?;
        until_doomed(&scenario, number).await?;
    }

    until_gone(&scenario, 1).await?;
    ensure!(pods(&scenario, WEB).await? == [0, 2, 2], "revision 2 lingers");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_aborted_canary_is_scaled_down_after_its_delay() -> Result<()> {
    let scenario = Scenario::begin("abort-delay").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).canary(json!({"abortScaleDownDelaySeconds": 3}));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;

    scenario.verbs(WEB).abort().await?;

    let (seen, at) = until_doomed(&scenario, 2).await?;
    ensure!(api::number(&seen, "/spec/replicas") == 1, "its pod stays until then");
    until_gone(&scenario, 2).await?;
    ensure!(Timestamp::now() >= at, "the pod went before its time");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_aborted_canary_is_kept_when_the_delay_is_zero() -> Result<()> {
    let scenario = Scenario::begin("abort-keep").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).canary(json!({"abortScaleDownDelaySeconds": 0}));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;

    scenario.verbs(WEB).abort().await?;
    scenario.until_phase(WEB, "Degraded").await?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    scenario
        .until(&kinds::rollout(), WEB, "the end of the abort", |rollout| {
            rollout.data.pointer("/status/kulta/phase").is_some_and(|phase| phase == "Failed")
        })
        .await?;

    let set = replica_set(&scenario, WEB, 2).await?;
    ensure!(annotation(&set, DEADLINE).is_none(), "{:?}", set.metadata.annotations);
    until_pods(&scenario, WEB, &[2, 1]).await?;
    controller.stop().await?;
    scenario.end().await
}
