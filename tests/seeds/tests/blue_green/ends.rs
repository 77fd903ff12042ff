//! How an update ends early, and how a user goes back to an earlier version.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_seeds::cluster::ObjectKind;
use kulta_seeds::harness::run;
use kulta_seeds::objects::Health;
use serde_json::{Value, json};

use super::{A_WHILE, ACTIVE, WEB, deployed, ensure_state, promote, selected, stable, status, until_paused, update};

#[test]
fn an_abort_keeps_the_active_version_and_deletes_the_preview_after_its_delay() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false, "abortScaleDownDelaySeconds": 60 })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;

        status(&harness, &json!({ "abort": true }))?;
        harness.wait_for_phase(WEB, "Degraded").await?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 3)])?;
        tokio::time::sleep(A_WHILE * 3).await;
        ensure_state(&harness, "v1", "v1", &[("v1", 3), ("v2", 0)])
    })
}

#[test]
fn an_abort_delay_of_zero_keeps_the_preview() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false, "abortScaleDownDelaySeconds": 0 })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;

        status(&harness, &json!({ "abort": true }))?;
        tokio::time::sleep(A_WHILE * 10).await;

        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 3)])
    })
}

#[test]
fn a_retry_pauses_again_and_can_be_promoted() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        status(&harness, &json!({ "abort": true }))?;
        harness.wait_for_phase(WEB, "Degraded").await?;

        status(&harness, &json!({ "abort": false }))?;
        until_paused(&harness).await?;
        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        ensure!(stable(&harness)?.as_deref() == Some("v2"), "{:?}", stable(&harness)?);
        Ok(())
    })
}

#[test]
fn a_version_that_never_becomes_ready_is_aborted_at_the_deadline_and_was_never_active() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "abortScaleDownDelaySeconds": 5 })).await?;
        super::spec(&harness, &json!({ "progressDeadlineSeconds": 60, "progressDeadlineAbort": true }))?;
        update(&harness, "v2", Health::Never)?;

        harness.wait_for_phase(WEB, "Degraded").await?;
        tokio::time::sleep(A_WHILE * 5).await;

        ensure_state(&harness, "v1", "v1", &[("v1", 3), ("v2", 0)])
    })
}

#[test]
fn going_back_within_the_scale_down_delay_needs_no_promotion() -> Result<()> {
    run(async || {
        let fields = json!({ "autoPromotionEnabled": false, "scaleDownDelaySeconds": 600 });
        let harness = deployed(&fields).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        ensure_state(&harness, "v2", "v2", &[("v1", 3), ("v2", 3)])?;

        update(&harness, "v1", Health::Good)?;
        harness
            .wait_until("v1 is active again", |harness| Ok(selected(harness, ACTIVE)?.as_deref() == Some("v1")))
            .await?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        ensure!(stable(&harness)?.as_deref() == Some("v1"), "{:?}", stable(&harness)?);
        let sets = harness.cluster.list(ObjectKind::ReplicaSet)?;
        let deadlines: Vec<_> = sets
            .iter()
            .filter(|set| set.pointer("/metadata/annotations/scale-down-deadline").is_some())
            .filter_map(|set| super::version_of(set))
            .collect();
        ensure!(deadlines == ["v2"], "{deadlines:?}");
        Ok(())
    })
}

#[test]
fn going_back_after_the_scale_down_delay_is_a_new_update() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;

        update(&harness, "v1", Health::Good)?;
        until_paused(&harness).await?;

        ensure_state(&harness, "v2", "v1", &[("v1", 3), ("v2", 3)])
    })
}

#[test]
fn going_back_to_the_active_version_in_mid_update_ends_the_update() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;

        update(&harness, "v1", Health::Good)?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;

        ensure_state(&harness, "v1", "v1", &[("v1", 3), ("v2", 0)])
    })
}

#[test]
fn no_more_old_revisions_linger_than_the_limit_says() -> Result<()> {
    run(async || {
        let fields = json!({ "scaleDownDelaySeconds": 600, "scaleDownDelayRevisionLimit": 1 });
        let harness = deployed(&fields).await?;
        for version in ["v2", "v3"] {
            update(&harness, version, Health::Good)?;
            harness.wait_for_phase(WEB, "Healthy").await?;
            tokio::time::sleep(A_WHILE).await;
        }

        ensure_state(&harness, "v3", "v3", &[("v1", 0), ("v2", 3), ("v3", 3)])
    })
}

#[test]
fn a_missing_active_service_stops_the_update_until_it_is_there_again() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        let service = harness.get(ObjectKind::Service, ACTIVE)?;
        harness.cluster.delete(ObjectKind::Service, ACTIVE)?;
        harness.wait_for_phase(WEB, "Degraded").await?;
        let rollout = harness.get(ObjectKind::Rollout, WEB)?;
        let message = rollout.pointer("/status/message").and_then(Value::as_str).unwrap_or_default().to_owned();
        ensure!(message.contains("spec.strategy.blueGreen.activeService"), "{message}");
        ensure!(super::pods(&harness)?.values().all(|pods| *pods == 3), "{:?}", super::pods(&harness)?);

        let fresh = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": ACTIVE, "namespace": "shop" }, "spec": {
            "selector": { "app": WEB }, "ports": service.pointer("/spec/ports") } });
        let namespace = service.pointer("/metadata/namespace").cloned().unwrap_or_default();
        let mut fresh = fresh;
        json_patch::merge(&mut fresh, &json!({ "metadata": { "namespace": namespace } }));
        harness.cluster.create(ObjectKind::Service, fresh)?;
        until_paused(&harness).await?;
        tokio::time::sleep(Duration::from_secs(30)).await;

        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 3)])
    })
}
