//! What is written while a rollout waits for a user, or while somebody else writes the same route.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_api::annotations::INSTANCE_ID;
use kulta_seeds::calm::{Calm, run};
use kulta_seeds::cluster::What;
use kulta_seeds::objects::{rollout, route, template};
use serde_json::{Value, json};

const LABEL: &str = "/metadata/labels/rollouts.argoproj.io~1gatewayapi-canary";
const MINUTE: Duration = Duration::from_secs(60);
/// Corrections of a foreign writer in a minute: one at once, and one every ten seconds.
const MOST_CORRECTIONS: usize = 7;

fn steps() -> Value {
    json!([{ "setWeight": 30 }, { "pause": {} }, { "setWeight": 60 }, { "pause": { "duration": "5s" } }])
}

fn deploy(calm: &Calm, route: Value, names: &[&str]) -> Result<()> {
    let rollouts = names.iter().map(|name| rollout(name, "shared", &steps())).collect();
    calm.cluster.deploy(route, rollouts)
}

/// Rollouts on one route, each Healthy with its first version.
async fn healthy(names: &[&str]) -> Result<Calm> {
    let calm = Calm::start()?;
    deploy(&calm, route("shared", names), names)?;
    for name in names {
        calm.until_phase(name, "Healthy").await?;
    }
    Ok(calm)
}

/// The same, each paused at 30 % of its second version.
async fn paused(names: &[&str]) -> Result<Calm> {
    let calm = healthy(names).await?;
    for name in names {
        update(&calm, name)?;
    }
    for name in names {
        calm.until_phase(name, "Paused").await?;
    }
    tokio::time::sleep(MINUTE).await;
    Ok(calm)
}

fn update(calm: &Calm, name: &str) -> Result<()> {
    calm.cluster.patch(What::Rollout, name, false, json!({ "spec": { "template": template(name, "v2") } }))
}

fn promote_fully(calm: &Calm, name: &str) -> Result<()> {
    calm.cluster.patch(What::Rollout, name, true, json!({ "status": { "promoteFull": true } }))
}

fn weights(route: &Value, rule: usize) -> Vec<i64> {
    let references = route.pointer(&format!("/spec/rules/{rule}/backendRefs")).and_then(Value::as_array);
    references.into_iter().flatten().filter_map(|reference| reference.get("weight")?.as_i64()).collect()
}

/// Undoes what is written to the route as soon as it is there.
fn meddle(calm: &Calm, undo: impl Fn(&Value) -> Option<Value> + Send + 'static) {
    let cluster = calm.cluster.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let Ok(Some(route)) = cluster.get(What::Route, "shared") else { continue };
            if let Some(patch) = undo(&route) {
                let _ = cluster.patch(What::Route, "shared", false, patch);
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
        let calm = paused(&["web"]).await?;

        let writes = calm.writes_within(MINUTE).await?;

        ensure!(writes.is_empty(), "{writes:?}");
        Ok(())
    })
}

#[test]
fn two_rollouts_on_one_route_that_wait_for_a_user_write_nothing() -> Result<()> {
    run(async || {
        let calm = paused(&["a", "b"]).await?;

        let writes = calm.writes_within(MINUTE).await?;

        ensure!(writes.is_empty(), "{writes:?}");
        Ok(())
    })
}

#[test]
fn a_rollout_at_rest_leaves_the_label_to_another_one_that_waits_on_the_same_route() -> Result<()> {
    run(async || {
        let calm = paused(&["a", "b"]).await?;
        promote_fully(&calm, "a")?;
        calm.until_phase("a", "Healthy").await?;
        tokio::time::sleep(MINUTE).await;

        let writes = calm.writes_within(MINUTE).await?;

        let route = calm.get(What::Route, "shared")?;
        ensure!(writes.is_empty(), "{} writes: {:?}", writes.len(), writes.iter().take(9).collect::<Vec<_>>());
        ensure!(route.pointer(LABEL).is_some_and(|value| value == "in-progress"), "no label: {route}");
        ensure!((weights(&route, 0), weights(&route, 1)) == (vec![100, 0], vec![70, 30]), "{route}");
        Ok(())
    })
}

#[test]
fn a_rollout_at_rest_leaves_the_label_to_one_that_another_controller_serves() -> Result<()> {
    run(async || {
        let mut calm = healthy(&["a", "b"]).await?;
        calm.begin_controller(Some("other"))?;
        calm.cluster.patch(What::Rollout, "b", false, json!({ "metadata": { "labels": { INSTANCE_ID: "other" } } }))?;
        update(&calm, "b")?;
        calm.until_phase("b", "Paused").await?;
        update(&calm, "a")?;
        calm.until_phase("a", "Paused").await?;
        promote_fully(&calm, "a")?;
        calm.until_phase("a", "Healthy").await?;
        tokio::time::sleep(MINUTE).await;

        let writes = calm.writes_within(MINUTE).await?;

        let route = calm.get(What::Route, "shared")?;
        ensure!(writes.is_empty(), "{} writes: {:?}", writes.len(), writes.iter().take(9).collect::<Vec<_>>());
        ensure!(route.pointer(LABEL).is_some_and(|value| value == "in-progress"), "no label: {route}");
        Ok(())
    })
}

#[test]
fn two_controllers_that_serve_the_same_rollout_write_nothing_while_it_waits() -> Result<()> {
    run(async || {
        let mut calm = paused(&["web"]).await?;
        calm.begin_controller(None)?;
        tokio::time::sleep(MINUTE).await;

        let writes = calm.writes_within(MINUTE).await?;

        ensure!(writes.is_empty(), "{writes:?}");
        Ok(())
    })
}

#[test]
fn the_last_rollout_to_end_takes_the_label_off_the_route() -> Result<()> {
    run(async || {
        let calm = paused(&["a", "b"]).await?;
        for name in ["a", "b"] {
            promote_fully(&calm, name)?;
            calm.until_phase(name, "Healthy").await?;
        }

        let route = calm.get(What::Route, "shared")?;
        ensure!(route.pointer(LABEL).is_none(), "the label is left: {route}");
        Ok(())
    })
}

#[test]
fn the_label_goes_when_both_rollouts_end_at_the_same_time() -> Result<()> {
    run(async || {
        let calm = paused(&["a", "b"]).await?;
        promote_fully(&calm, "a")?;
        promote_fully(&calm, "b")?;
        calm.until_phase("a", "Healthy").await?;
        calm.until_phase("b", "Healthy").await?;
        tokio::time::sleep(Duration::from_secs(5)).await;

        let route = calm.get(What::Route, "shared")?;
        ensure!(route.pointer(LABEL).is_none(), "the label is left: {route}");
        Ok(())
    })
}

#[test]
fn somebody_who_takes_the_label_off_is_corrected_every_ten_seconds_at_most() -> Result<()> {
    run(async || {
        let calm = paused(&["web"]).await?;
        let off = json!({ "metadata": { "labels": { "rollouts.argoproj.io/gatewayapi-canary": null } } });
        meddle(&calm, move |route| route.pointer(LABEL).map(|_| off.clone()));

        let writes = calm.writes_within(MINUTE).await?;

        let corrections = route_writes(&writes);
        ensure!((2..=MOST_CORRECTIONS).contains(&corrections), "{corrections} corrections: {writes:?}");
        Ok(())
    })
}

#[test]
fn somebody_who_puts_the_label_on_is_corrected_every_ten_seconds_at_most() -> Result<()> {
    run(async || {
        let calm = healthy(&["web"]).await?;
        let on = json!({ "metadata": { "labels": { "rollouts.argoproj.io/gatewayapi-canary": "mine" } } });
        meddle(&calm, move |route| route.pointer(LABEL).is_none().then(|| on.clone()));

        let writes = calm.writes_within(MINUTE).await?;

        let corrections = route_writes(&writes);
        ensure!((2..=MOST_CORRECTIONS).contains(&corrections), "{corrections} corrections: {writes:?}");
        Ok(())
    })
}

#[test]
fn somebody_who_sets_weights_back_is_corrected_every_ten_seconds_at_most() -> Result<()> {
    run(async || {
        let calm = paused(&["web"]).await?;
        let rules = route("shared", &["web"]).pointer("/spec/rules").cloned();
        meddle(&calm, move |route| {
            (weights(route, 0) != [100, 0]).then(|| json!({ "spec": { "rules": rules.clone() } }))
        });

        let writes = calm.writes_within(MINUTE).await?;

        let corrections = route_writes(&writes);
        ensure!((2..=MOST_CORRECTIONS).contains(&corrections), "{corrections} corrections: {writes:?}");
        Ok(())
    })
}

/// Two gateway controllers that serve the route's parent: the first takes each generation; once they `disagree`, the second refuses it,
/// and each overwrites what the other has written.
fn gateways(calm: &Calm, disagree: &Arc<AtomicBool>) {
    let (cluster, disagree) = (calm.cluster.clone(), Arc::clone(disagree));
    tokio::spawn(async move {
        for refuses in [false, true].into_iter().cycle() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Ok(Some(route)) = cluster.get(What::Route, "shared") else { continue };
            let refuses = refuses && disagree.load(Ordering::Relaxed);
            let condition = |kind: &str, status: bool| {
                json!({
                    "type": kind, "status": if status { "True" } else { "False" }, "reason": "Test", "message": "",
                    "observedGeneration": route.pointer("/metadata/generation"), "lastTransitionTime": "2027-01-01T00:00:00Z",
                })
            };
            let parent = json!({
                "parentRef": { "name": "elsewhere" }, "controllerName": "example.com/gateway",
                "conditions": [condition("Accepted", !refuses), condition("ResolvedRefs", true)],
            });
            let _ = cluster.patch(What::Route, "shared", true, json!({ "status": { "parents": [parent] } }));
        }
    });
}

#[test]
fn gateways_that_overwrite_each_others_status_cause_no_writes() -> Result<()> {
    run(async || {
        let calm = Calm::start()?;
        let disagree = Arc::new(AtomicBool::new(false));
        let mut route = route("shared", &["web"]);
        json_patch::merge(&mut route, &json!({ "spec": { "parentRefs": [{ "name": "elsewhere" }] } }));
        deploy(&calm, route, &["web"])?;
        gateways(&calm, &disagree);
        calm.until_phase("web", "Healthy").await?;
        update(&calm, "web")?;
        calm.until_phase("web", "Paused").await?;
        tokio::time::sleep(MINUTE).await;
        disagree.store(true, Ordering::Relaxed);

        let writes = calm.writes_within(Duration::from_secs(25)).await?;

        ensure!(writes.is_empty(), "{} writes: {:?}", writes.len(), writes.iter().take(9).collect::<Vec<_>>());
        Ok(())
    })
}
