//! The analyses before and after the promotion.

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{NAMESPACE, ObjectKind};
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::Health;
use serde_json::{Value, json};

use super::{A_WHILE, WEB, ensure_state, promote, stable, status, until_paused, update};

const GOOD: &str = r#"{"ok": 1}"#;
const BAD: &str = r#"{"ok": 0}"#;

fn template(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "metrics": [{
            "name": "ok", "interval": "10s", "count": 2, "successCondition": "result.ok == 1",
            "failureCondition": "result.ok == 0",
            "provider": { "web": { "url": format!("http://metrics.test/{name}"), "jsonPath": "{$}" } },
        }] },
    })
}

/// A rollout whose analyses before and after the promotion get these answers.
async fn analysed(pre: &str, post: &str, fields: &Value) -> Result<Harness> {
    let analysis = |name: &str| json!({ "templates": [{ "templateName": name }] });
    let mut strategy = json!({
        "prePromotionAnalysis": analysis("before"), "postPromotionAnalysis": analysis("after"),
        "abortScaleDownDelaySeconds": 5,
    });
    json_patch::merge(&mut strategy, fields);
    let harness = Harness::start()?;
    harness.metrics_server.set_answers("/before", &[(200, pre)]);
    harness.metrics_server.set_answers("/after", &[(200, post)]);
    for name in ["before", "after"] {
        harness.cluster.create(ObjectKind::AnalysisTemplate, template(name))?;
    }
    for service in kulta_seeds::objects::services(WEB) {
        harness.cluster.create(ObjectKind::Service, service)?;
    }
    harness.cluster.create(ObjectKind::Rollout, super::rollout(&strategy))?;
    harness.wait_for_phase(WEB, "Healthy").await?;
    Ok(harness)
}

/// Type and phase of each AnalysisRun, in the order of their names.
fn runs(harness: &Harness) -> Result<Vec<String>> {
    let runs = harness.cluster.list(ObjectKind::AnalysisRun)?;
    let text = |run: &Value, pointer: &str| run.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let shown = |run: &Value| {
        let kind = text(run, "/metadata/labels/rollout-type").context("a run without a type")?;
        Ok(format!("{kind} {}", text(run, "/status/phase").unwrap_or_default()))
    };
    runs.iter().map(|run| shown(run)).collect()
}

fn summary(harness: &Harness, name: &str) -> Result<Value> {
    let rollout = harness.get(ObjectKind::Rollout, WEB)?;
    Ok(rollout.pointer(&format!("/status/blueGreen/{name}/status")).cloned().unwrap_or_default())
}

#[test]
fn the_first_deployment_is_not_analysed() -> Result<()> {
    run(async || {
        let harness = analysed(GOOD, GOOD, &json!({})).await?;

        ensure!(runs(&harness)?.is_empty(), "{:?}", runs(&harness)?);
        Ok(())
    })
}

#[test]
fn both_analyses_run_in_turn_and_stay_in_the_status() -> Result<()> {
    run(async || {
        let harness = analysed(GOOD, GOOD, &json!({})).await?;
        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        let found = runs(&harness)?;
        ensure!(found == ["PostPromotion Successful", "PrePromotion Successful"], "{found:?}");
        let stored =
            (summary(&harness, "prePromotionAnalysisRunStatus")?, summary(&harness, "postPromotionAnalysisRunStatus")?);
        ensure!(stored == (json!("Successful"), json!("Successful")), "{stored:?}");
        let names = harness.cluster.list(ObjectKind::AnalysisRun)?;
        let name = names.iter().filter_map(|run| run.pointer("/metadata/name")?.as_str()).next_back();
        ensure!(name.is_some_and(|name| name.ends_with("-2-pre")), "{name:?}");
        Ok(())
    })
}

#[test]
fn a_failed_analysis_before_the_promotion_aborts_and_the_version_was_never_active() -> Result<()> {
    run(async || {
        let harness = analysed(BAD, GOOD, &json!({})).await?;
        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Degraded").await?;
        tokio::time::sleep(A_WHILE * 2).await;

        ensure_state(&harness, "v1", "v1", &[("v1", 3), ("v2", 0)])?;
        let stored = summary(&harness, "prePromotionAnalysisRunStatus")?;
        ensure!(stored == "Failed", "{stored}");
        Ok(())
    })
}

#[test]
fn a_failed_analysis_after_the_promotion_switches_back_to_the_old_version() -> Result<()> {
    run(async || {
        let harness = analysed(GOOD, GOOD, &json!({})).await?;
        harness.metrics_server.set_answers("/after", &[(200, GOOD), (200, BAD)]);
        update(&harness, "v2", Health::Good)?;
        harness
            .wait_until("v2 is active", |harness| Ok(super::selected(harness, super::ACTIVE)?.as_deref() == Some("v2")))
            .await?;
        harness.wait_for_phase(WEB, "Degraded").await?;
        tokio::time::sleep(A_WHILE * 2).await;

        ensure_state(&harness, "v1", "v1", &[("v1", 3), ("v2", 0)])?;
        ensure!(stable(&harness)?.as_deref() == Some("v1"), "{:?}", stable(&harness)?);
        Ok(())
    })
}

#[test]
fn a_retry_after_a_failed_analysis_measures_again() -> Result<()> {
    run(async || {
        let harness = analysed(BAD, GOOD, &json!({})).await?;
        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Degraded").await?;
        harness.metrics_server.set_answers("/before", &[(200, GOOD)]);

        status(&harness, &json!({ "abort": false }))?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        let found = runs(&harness)?;
        ensure!(found == ["PostPromotion Successful", "PrePromotion Failed", "PrePromotion Successful"], "{found:?}");
        Ok(())
    })
}

#[test]
fn an_inconclusive_analysis_waits_for_a_user_who_promotes_past_it() -> Result<()> {
    run(async || {
        let harness = analysed(r#"{"ok": 2}"#, GOOD, &json!({})).await?;
        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Paused").await?;
        let rollout = harness.get(ObjectKind::Rollout, WEB)?;
        let reason = rollout.pointer("/status/pauseConditions/0/reason").cloned().unwrap_or_default();
        ensure!(reason == "InconclusiveAnalysisRun", "{reason}");

        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        ensure!(stable(&harness)?.as_deref() == Some("v2"), "{:?}", stable(&harness)?);
        Ok(())
    })
}

#[test]
fn a_user_promotes_past_an_inconclusive_analysis_of_the_active_version() -> Result<()> {
    run(async || {
        let harness = analysed(GOOD, r#"{"ok": 2}"#, &json!({})).await?;
        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Paused").await?;

        promote(&harness)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        ensure!(stable(&harness)?.as_deref() == Some("v2"), "{:?}", stable(&harness)?);
        Ok(())
    })
}

#[test]
fn the_analysis_begins_during_the_pause_and_a_failure_does_not_wait_for_the_user() -> Result<()> {
    run(async || {
        let harness = analysed(BAD, GOOD, &json!({ "autoPromotionEnabled": false })).await?;

        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Degraded").await?;

        let found = runs(&harness)?;
        ensure!(found == ["PrePromotion Failed"], "{found:?}");
        Ok(())
    })
}

#[test]
fn a_full_promotion_needs_no_analysis() -> Result<()> {
    run(async || {
        let harness = analysed(GOOD, BAD, &json!({ "autoPromotionEnabled": false })).await?;
        update(&harness, "v2", Health::Good)?;
        until_paused(&harness).await?;

        status(&harness, &json!({ "promoteFull": true }))?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        let found = runs(&harness)?;
        ensure!(found.iter().all(|run| run.starts_with("PrePromotion")), "{found:?}");
        ensure!(stable(&harness)?.as_deref() == Some("v2"), "{:?}", stable(&harness)?);
        Ok(())
    })
}

#[test]
fn going_back_within_the_scale_down_delay_is_not_analysed() -> Result<()> {
    run(async || {
        let harness = analysed(GOOD, GOOD, &json!({ "scaleDownDelaySeconds": 600 })).await?;
        update(&harness, "v2", Health::Good)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        update(&harness, "v1", Health::Good)?;
        harness.wait_for_phase(WEB, "Healthy").await?;

        ensure!(runs(&harness)?.len() == 2, "{:?}", runs(&harness)?);
        ensure!(stable(&harness)?.as_deref() == Some("v1"), "{:?}", stable(&harness)?);
        Ok(())
    })
}
