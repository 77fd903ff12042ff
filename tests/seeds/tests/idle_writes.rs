//! Counts what the controller writes while a rollout waits for a user, and while somebody else writes the same route.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_api::annotations::INSTANCE_ID;
use kulta_seeds::cluster::ObjectKind;
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::{self, rollout, route, template};
use serde_json::{Value, json};

const LABEL: &str = "/metadata/labels/rollouts.argoproj.io~1gatewayapi-canary";
const MINUTE: Duration = Duration::from_secs(60);
/// Corrections of another writer per minute: one at once, and one every ten seconds.
const MOST_CORRECTIONS: usize = 7;

fn steps() -> Value {
    json!([{ "setWeight": 30 }, { "pause": {} }, { "setWeight": 60 }, { "pause": { "duration": "5s" } }])
}

fn deploy(harness: &Harness, route: Value, names: &[&str]) -> Result<()> {
    let rollouts = names.iter().map(|name| rollout(name, "shared", &steps())).collect();
    objects::deploy(&harness.cluster, route, rollouts)
}

/// Rollouts on one route, each Healthy with its first version.
async fn healthy(names: &[&str]) -> Result<Harness> {
    let harness = Harness::start()?;
    deploy(&harness, route("shared", names), names)?;
    for name in names {
        harness.wait_for_phase(name, "Healthy").await?;
    }
    Ok(harness)
}

/// Rollouts on one route, each paused at 30 % of its second version.
async fn paused(names: &[&str]) -> Result<Harness> {
    let harness = healthy(names).await?;
    for name in names {
        update(&harness, name)?;
    }
    for name in names {
        harness.wait_for_phase(name, "Paused").await?;
    }
    tokio::time::sleep(MINUTE).await;
    Ok(harness)
}

fn update(harness: &Harness, name: &str) -> Result<()> {
    harness.cluster.patch(ObjectKind::Rollout, name, false, json!({ "spec": { "template": template(name, "v2") } }))
}

fn promote_fully(harness: &Harness, name: &str) -> Result<()> {
    harness.cluster.patch(ObjectKind::Rollout, name, true, json!({ "status": { "promoteFull": true } }))
}

fn weights(route: &Value, rule: usize) -> Vec<i64> {
    let references = route.pointer(&format!("/spec/rules/{rule}/backendRefs")).and_then(Value::as_array);
    references.into_iter().flatten().filter_map(|reference| reference.get("weight")?.as_i64()).collect()
}

/// Patches the route as soon as `undo` returns a patch for it.
fn overwrite(harness: &Harness, undo: impl Fn(&Value) -> Option<Value> + Send + 'static) {
    let cluster = harness.cluster.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let Ok(Some(route)) = cluster.get(ObjectKind::HttpRoute, "shared") else { continue };
            if let Some(patch) = undo(&route) {
                let _ = cluster.patch(ObjectKind::HttpRoute, "shared", false, patch);
            }
        }
    });
}

fn route_writes(writes: &[String]) -> usize {
    writes.iter().filter(|write| write.contains("httproutes")).count()
}

#[test]
fn a_rollout_that_waits_for_a_user_writes_nothing() -> Result<()> {
    run(async || {
        let harness = paused(&["web"]).await?;

        let writes = harness.writes_within(MINUTE).await?;

        ensure!(writes.is_empty(), "{writes:?}");
        Ok(())
    })
}

#[test]
fn two_rollouts_on_one_route_that_wait_for_a_user_write_nothing() -> Result<()> {
    run(async || {
        let harness = paused(&["a", "b"]).await?;

        let writes = harness.writes_within(MINUTE).await?;

        ensure!(writes.is_empty(), "{writes:?}");
        Ok(())
    })
}

#[test]
fn an_idle_rollout_keeps_the_label_for_another_one_that_waits_on_the_same_route() -> Result<()> {
    run(async || {
        let harness = paused(&["a", "b"]).await?;
        promote_fully(&harness, "a")?;
        harness.wait_for_phase("a", "Healthy").await?;
        tokio::time::sleep(MINUTE).await;

        let writes = harness.writes_within(MINUTE).await?;

        let route = harness.get(ObjectKind::HttpRoute, "shared")?;
        ensure!(writes.is_empty(), "{} writes: {:?}", writes.len(), writes.iter().take(9).collect::<Vec<_>>());
        ensure!(route.pointer(LABEL).is_some_and(|value| value == "in-progress"), "no label: {route}");
        ensure!((weights(&route, 0), weights(&route, 1)) == (vec![100, 0], vec![70, 30]), "{route}");
        Ok(())
    })
}

#[test]
fn an_idle_rollout_keeps_the_label_for_one_that_another_controller_serves() -> Result<()> {
    run(async || {
        let mut harness = healthy(&["a", "b"]).await?;
        harness.start_controller(Some("other"))?;
        harness.cluster.patch(
            ObjectKind::Rollout,
            "b",
            false,
            json!({ "metadata": { "labels": { INSTANCE_ID: "other" } } }),
        )?;
        update(&harness, "b")?;
        harness.wait_for_phase("b", "Paused").await?;
        update(&harness, "a")?;
        harness.wait_for_phase("a", "Paused").await?;
        promote_fully(&harness, "a")?;
        harness.wait_for_phase("a", "Healthy").await?;
        tokio::time::sleep(MINUTE).await;

        let writes = harness.writes_within(MINUTE).await?;

        let route = harness.get(ObjectKind::HttpRoute, "shared")?;
        ensure!(writes.is_empty(), "{} writes: {:?}", writes.len(), writes.iter().take(9).collect::<Vec<_>>());
        ensure!(route.pointer(LABEL).is_some_and(|value| value == "in-progress"), "no label: {route}");
        Ok(())
    })
}

#[test]
fn two_controllers_that_serve_the_same_rollout_write_nothing_while_it_waits() -> Result<()> {
    run(async || {
        let mut harness = paused(&["web"]).await?;
        harness.start_controller(None)?;
        tokio::time::sleep(MINUTE).await;

        let writes = harness.writes_within(MINUTE).await?;

        ensure!(writes.is_empty(), "{writes:?}");
        Ok(())
    })
}

#[test]
fn the_last_rollout_to_end_removes_the_label_from_the_route() -> Result<()> {
    run(async || {
        let harness = paused(&["a", "b"]).await?;
        for name in ["a", "b"] {
            promote_fully(&harness, name)?;
            harness.wait_for_phase(name, "Healthy").await?;
        }

        let route = harness.get(ObjectKind::HttpRoute, "shared")?;
        ensure!(route.pointer(LABEL).is_none(), "the label is not removed: {route}");
        Ok(())
    })
}

#[test]
fn the_label_is_removed_when_both_rollouts_end_at_the_same_time() -> Result<()> {
    run(async || {
        let harness = paused(&["a", "b"]).await?;
        promote_fully(&harness, "a")?;
        promote_fully(&harness, "b")?;
        harness.wait_for_phase("a", "Healthy").await?;
        harness.wait_for_phase("b", "Healthy").await?;
        tokio::time::sleep(Duration::from_secs(5)).await;

        let route = harness.get(ObjectKind::HttpRoute, "shared")?;
        ensure!(route.pointer(LABEL).is_none(), "the label is not removed: {route}");
        Ok(())
    })
}

#[test]
fn a_user_who_removes_the_label_is_corrected_every_ten_seconds_at_most() -> Result<()> {
    run(async || {
        let harness = paused(&["web"]).await?;
        let off = json!({ "metadata": { "labels": { "rollouts.argoproj.io/gatewayapi-canary": null } } });
        overwrite(&harness, move |route| route.pointer(LABEL).map(|_| off.clone()));

        let writes = harness.writes_within(MINUTE).await?;

        let corrections = route_writes(&writes);
        ensure!((2..=MOST_CORRECTIONS).contains(&corrections), "{corrections} corrections: {writes:?}");
        Ok(())
    })
}

#[test]
fn a_user_who_adds_the_label_is_corrected_every_ten_seconds_at_most() -> Result<()> {
    run(async || {
        let harness = healthy(&["web"]).await?;
        let on = json!({ "metadata": { "labels": { "rollouts.argoproj.io/gatewayapi-canary": "mine" } } });
        overwrite(&harness, move |route| route.pointer(LABEL).is_none().then(|| on.clone()));

        let writes = harness.writes_within(MINUTE).await?;

        let corrections = route_writes(&writes);
        ensure!((2..=MOST_CORRECTIONS).contains(&corrections), "{corrections} corrections: {writes:?}");
        Ok(())
    })
}

#[test]
fn a_user_who_resets_weights_is_corrected_every_ten_seconds_at_most() -> Result<()> {
    run(async || {
        let harness = paused(&["web"]).await?;
        let rules = route("shared", &["web"]).pointer("/spec/rules").cloned();
        overwrite(&harness, move |route| {
            (weights(route, 0) != [100, 0]).then(|| json!({ "spec": { "rules": rules.clone() } }))
        });

        let writes = harness.writes_within(MINUTE).await?;

        let corrections = route_writes(&writes);
        ensure!((2..=MOST_CORRECTIONS).contains(&corrections), "{corrections} corrections: {writes:?}");
        Ok(())
    })
}

/// Two gateway controllers that serve the route's parent: the first accepts each generation; once they `disagree`, the second rejects it,
/// and each overwrites the other's status.
fn gateways(harness: &Harness, disagree: &Arc<AtomicBool>) {
    let (cluster, disagree) = (harness.cluster.clone(), Arc::clone(disagree));
    tokio::spawn(async move {
        for rejects in [false, true].into_iter().cycle() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Ok(Some(route)) = cluster.get(ObjectKind::HttpRoute, "shared") else { continue };
            let rejects = rejects && disagree.load(Ordering::Relaxed);
            let condition = |kind: &str, status: bool| {
                json!({
                    "type": kind, "status": if status { "True" } else { "False" }, "reason": "Test", "message": "",
                    "observedGeneration": route.pointer("/metadata/generation"), "lastTransitionTime": "2027-01-01T00:00:00Z",
                })
            };
            let parent = json!({
                "parentRef": { "name": "elsewhere" }, "controllerName": "example.com/gateway",
                "conditions": [condition("Accepted", !rejects), condition("ResolvedRefs", true)],
            });
            let _ = cluster.patch(ObjectKind::HttpRoute, "shared", true, json!({ "status": { "parents": [parent] } }));
        }
    });
}

#[test]
fn gateways_that_overwrite_each_others_status_cause_no_writes() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let disagree = Arc::new(AtomicBool::new(false));
        let mut route = route("shared", &["web"]);
        json_patch::merge(&mut route, &json!({ "spec": { "parentRefs": [{ "name": "elsewhere" }] } }));
        deploy(&harness, route, &["web"])?;
        gateways(&harness, &disagree);
        harness.wait_for_phase("web", "Healthy").await?;
        update(&harness, "web")?;
        harness.wait_for_phase("web", "Paused").await?;
        tokio::time::sleep(MINUTE).await;
        disagree.store(true, Ordering::Relaxed);

        let writes = harness.writes_within(Duration::from_secs(25)).await?;

        ensure!(writes.is_empty(), "{} writes: {:?}", writes.len(), writes.iter().take(9).collect::<Vec<_>>());
        Ok(())
    })
}
