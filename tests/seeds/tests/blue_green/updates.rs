//! How an update moves forward.

use anyhow::{Result, ensure};
use kulta_seeds::cluster::ObjectKind;
use kulta_seeds::harness::run;
use kulta_seeds::objects::Health;
use serde_json::{Value, json};

use super::{
    A_WHILE, ACTIVE, PREVIEW, WEB, deployed, ensure_state, promote, selected, spec, stable, status, until_paused,
    update,
};

#[test]
fn a_new_version_waits_as_a_preview_until_a_user_promotes_it() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        ensure_state(&harness, "v1", "v1", &[("v1", 3)])?;

        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 3)])?;
        let idle = harness.writes_within(A_WHILE * 30).await?;
        ensure!(idle.is_empty(), "while it waits for a user: {idle:?}");

        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        ensure_state(&harness, "v2", "v2", &[("v1", 3), ("v2", 3)])?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v2", "v2", &[("v1", 0), ("v2", 3)])
    })
}

#[test]
fn without_a_pause_a_whole_preview_is_promoted_at_once() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({})).await?;

        update(&harness, "v2", Health::Good)?;
        let writes = harness.writes_within(A_WHILE * 3).await?;

        ensure_state(&harness, "v2", "v2", &[("v1", 0), ("v2", 3)])?;
        ensure!(stable(&harness)?.as_deref() == Some("v2"), "{:?}", stable(&harness)?);
        let counted: Vec<_> = writes.iter().filter(|write| !write.contains(" Create events")).collect();
        ensure!(counted.len() <= 12, "{} writes: {counted:#?}", counted.len());
        Ok(())
    })
}

#[test]
fn the_promotion_comes_after_the_seconds_that_the_spec_sets() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionSeconds": 120 })).await?;

        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        tokio::time::sleep(A_WHILE * 5).await;
        let early = selected(&harness, ACTIVE)?;
        tokio::time::sleep(A_WHILE * 2).await;

        ensure!(early.as_deref() == Some("v1"), "{early:?}");
        ensure_state(&harness, "v2", "v2", &[("v1", 0), ("v2", 3)])
    })
}

#[test]
fn a_smaller_preview_grows_to_all_pods_before_it_is_active() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false, "previewReplicaCount": 1 })).await?;

        update(&harness, "v2", Health::Slow)?;
        until_paused(&harness).await?;
        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 1)])?;
        promote(&harness)?;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 3)])?;
        let rollout = harness.get(ObjectKind::Rollout, WEB)?;
        let checkpoint = rollout.pointer("/status/blueGreen/scaleUpPreviewCheckPoint");
        ensure!(checkpoint == Some(&json!(true)), "{checkpoint:?}");

        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v2", "v2", &[("v1", 0), ("v2", 3)])
    })
}

#[test]
fn a_full_promotion_skips_the_pause_and_still_waits_for_all_pods() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false, "previewReplicaCount": 1 })).await?;
        update(&harness, "v2", Health::Slow)?;
        until_paused(&harness).await?;

        status(&harness, &json!({ "promoteFull": true }))?;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        ensure_state(&harness, "v1", "v2", &[("v1", 3), ("v2", 3)])?;

        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v2", "v2", &[("v1", 0), ("v2", 3)])
    })
}

#[test]
fn without_a_preview_service_only_the_active_one_is_switched() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "previewService": null })).await?;

        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        let services = (selected(&harness, ACTIVE)?, selected(&harness, PREVIEW)?);
        ensure!(services == (Some("v2".to_owned()), None), "{services:?}");
        Ok(())
    })
}

#[test]
fn a_paused_spec_holds_the_update_and_scaling_goes_on() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({})).await?;
        spec(&harness, &json!({ "paused": true }))?;
        update(&harness, "v2", Health::Good)?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v1", "v1", &[("v1", 3)])?;

        spec(&harness, &json!({ "replicas": 4 }))?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v1", "v1", &[("v1", 4)])?;

        spec(&harness, &json!({ "paused": false }))?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;
        ensure_state(&harness, "v2", "v2", &[("v1", 0), ("v2", 4)])
    })
}

#[test]
fn a_third_version_takes_the_place_of_the_preview() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;

        update(&harness, "v3", Health::Good)?;
        until_paused(&harness).await?;

        ensure_state(&harness, "v1", "v3", &[("v1", 3), ("v2", 0), ("v3", 3)])
    })
}

#[test]
fn a_change_to_canary_releases_the_services_and_goes_on_by_its_steps() -> Result<()> {
    run(async || {
        let harness = deployed(&json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;

        spec(&harness, &json!({ "strategy": { "blueGreen": null, "canary": { "steps": [{ "setWeight": 50 }] } } }))?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;

        let services = (selected(&harness, ACTIVE)?, selected(&harness, PREVIEW)?);
        ensure!(services == (None, None), "{services:?}");
        ensure!(stable(&harness)?.as_deref() == Some("v2"), "{:?}", stable(&harness)?);
        let status = harness.get(ObjectKind::Rollout, WEB)?.pointer("/status/blueGreen").cloned();
        ensure!(status.as_ref().is_none_or(|status| *status == json!({})), "{status:?}");
        Ok(())
    })
}

#[test]
fn a_change_from_canary_takes_the_active_service_over_without_moving_a_pod() -> Result<()> {
    run(async || {
        let canary = json!({ "canary": { "steps": [{ "setWeight": 50 }] }, "blueGreen": null });
        let harness = deployed(&json!({})).await?;
        spec(&harness, &json!({ "strategy": canary }))?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        let pods = harness.cluster.list(ObjectKind::Pod)?.len();

        let back = json!({ "canary": null, "blueGreen": { "activeService": ACTIVE, "previewService": PREVIEW } });
        spec(&harness, &json!({ "strategy": back }))?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;

        ensure_state(&harness, "v1", "v1", &[("v1", 3)])?;
        ensure!(harness.cluster.list(ObjectKind::Pod)?.len() == pods, "pods were replaced");
        Ok(())
    })
}

#[test]
fn metadata_by_role_follows_the_switch() -> Result<()> {
    run(async || {
        let fields = json!({
            "autoPromotionEnabled": false,
            "activeMetadata": { "labels": { "role": "active" } }, "previewMetadata": { "labels": { "role": "preview" } },
        });
        let harness = deployed(&fields).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;
        let before = roles(&harness)?;
        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;
        tokio::time::sleep(A_WHILE).await;

        ensure!(
            before == ["v1 active", "v1 active", "v1 active", "v2 preview", "v2 preview", "v2 preview"],
            "{before:?}"
        );
        let after = roles(&harness)?;
        ensure!(after == ["v2 active", "v2 active", "v2 active"], "{after:?}");
        Ok(())
    })
}

/// Version and role of each pod.
fn roles(harness: &kulta_seeds::harness::Harness) -> Result<Vec<String>> {
    let label = |pod: &Value, key: &str| {
        pod.pointer("/metadata/labels").and_then(|all| all.get(key)?.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let pods = harness.cluster.list(ObjectKind::Pod)?;
    let mut roles: Vec<_> =
        pods.iter().map(|pod| format!("{} {}", label(pod, "version"), label(pod, "role"))).collect();
    roles.sort();
    Ok(roles)
}
