//! How long pods that are no longer wanted stay: after a promotion, and after an abort.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, updated, updated_to},
    manifests::Canary,
    story::Story,
};
use serde_json::json;

use crate::{WEB, annotation, name, replica_set, until_paused_at, until_pods};

const DEADLINE: &str = "scale-down-deadline";

/// Waits until a ReplicaSet has a time at which it is scaled to zero.
async fn until_doomed(story: &Story, number: i64) -> Result<(DynamicObject, Timestamp)> {
    let set = name(&replica_set(story, WEB, number).await?);
    let seen = story
        .until(&kinds::replica_set(), &set, "a scale-down deadline", |set| annotation(set, DEADLINE).is_some())
        .await?;
    let at = annotation(&seen, DEADLINE).context("no deadline")?.parse().context("read the deadline")?;
    Ok((seen, at))
}

/// Waits until a ReplicaSet wants no pods and has no deadline any more.
async fn until_gone(story: &Story, number: i64) -> Result<()> {
    let set = name(&replica_set(story, WEB, number).await?);
    story
        .until(&kinds::replica_set(), &set, "no pods and no deadline", |set| {
            api::number(set, "/spec/replicas") == 0 && annotation(set, DEADLINE).is_none()
        })
        .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_old_revision_stays_for_the_scale_down_delay() -> Result<()> {
    let story = Story::begin("scale-down").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 4}));
    deployed(&story, &canary).await?;

    updated(&story, &canary).await?;
    let (seen, at) = until_doomed(&story, 1).await?;

    let left = at.duration_since(Timestamp::now()).as_secs_f64();
    ensure!((1.0..=5.0).contains(&left), "{left} s are left of 4");
    ensure!(api::number(&seen, "/spec/replicas") == 2, "its pods stay until then");
    until_gone(&story, 1).await?;
    ensure!(Timestamp::now() >= at, "the pods went before their time");
    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_old_revision_that_is_wanted_again_loses_its_deadline_and_keeps_its_pods() -> Result<()> {
    let story = Story::begin("wanted-again").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {"duration": "1s"}}]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 600}));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    let (old, _) = until_doomed(&story, 1).await?;

    updated_to(&story, &canary, "v1").await?;

    let again = story
        .until(&kinds::replica_set(), &name(&old), "the third revision", |set| {
            annotation(set, "rollout.argoproj.io/revision").as_deref() == Some("3")
                && annotation(set, DEADLINE).is_none()
        })
        .await?;
    ensure!(annotation(&again, "rollout.argoproj.io/revision-history").as_deref() == Some("1"), "{:?}", again.metadata);
    story.until_phase(WEB, "Healthy").await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn no_more_old_revisions_linger_than_the_limit_allows() -> Result<()> {
    let story = Story::begin("linger").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).steps(json!([]));
    let canary = canary.canary(json!({"scaleDownDelaySeconds": 600, "scaleDownDelayRevisionLimit": 1}));
    deployed(&story, &canary).await?;

    for (version, number) in [("v2", 1), ("v3", 2)] {
        updated_to(&story, &canary, version).await?;
        story.until_phase(WEB, "Healthy").await?;
        until_doomed(&story, number).await?;
    }

    until_gone(&story, 1).await?;
    ensure!(pods(&story, WEB).await? == [0, 2, 2], "revision 2 lingers");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_aborted_canary_stays_for_its_delay_and_then_goes() -> Result<()> {
    let story = Story::begin("abort-delay").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).canary(json!({"abortScaleDownDelaySeconds": 3}));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;

    story.verbs(WEB).abort().await?;

    let (seen, at) = until_doomed(&story, 2).await?;
    ensure!(api::number(&seen, "/spec/replicas") == 1, "its pod stays until then");
    until_gone(&story, 2).await?;
    ensure!(Timestamp::now() >= at, "the pod went before its time");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_aborted_canary_is_kept_when_the_delay_is_zero() -> Result<()> {
    let story = Story::begin("abort-keep").await?;
    let controller = start(&story, None).await?;
    let canary = Canary::new(WEB).canary(json!({"abortScaleDownDelaySeconds": 0}));
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    until_paused_at(&story, WEB, 1).await?;

    story.verbs(WEB).abort().await?;
    story.until_phase(WEB, "Degraded").await?;
    story.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    story
        .until(&kinds::rollout(), WEB, "the end of the abort", |rollout| {
            rollout.data.pointer("/status/kulta/phase").is_some_and(|phase| phase == "Failed")
        })
        .await?;

    let set = replica_set(&story, WEB, 2).await?;
    ensure!(annotation(&set, DEADLINE).is_none(), "{:?}", set.metadata.annotations);
    until_pods(&story, WEB, &[2, 1]).await?;
    controller.stop().await?;
    story.end().await
}
