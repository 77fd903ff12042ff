//! Issues that users of Argo Rollouts reported, each with the right outcome. Three more are elsewhere: #3850 in `determinism.rs`, #795 in
//! `without_faults/jobs.rs`, and two rollouts on one route (gatewayapi plugin, PR #164) in `idle_writes.rs`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{NAMESPACE, ObjectKind};
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::{rollout, route, services};
use serde_json::{Value, json};

const SHOP: &str = "shop";
/// After this time a change of one object shows in the status of another.
const SOON: Duration = Duration::from_secs(2);
/// Longer than pods take to become ready.
const UNTIL_READY: Duration = Duration::from_secs(20);

fn template(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "metrics": [metric("ok", "/ok", "result == 'yes'", json!({}))] },
    })
}

/// A metric of the server's answers at this path.
fn metric(name: &str, path: &str, condition: &str, fields: Value) -> Value {
    let mut metric = json!({
        "name": name, "successCondition": condition,
        "provider": { "web": { "url": format!("http://answers.test{path}") } },
    });
    json_patch::merge(&mut metric, &fields);
    metric
}

/// The objects to which the rollout refers, each with the message while it is missing.
fn references() -> Vec<(ObjectKind, Value, &'static str)> {
    let [stable, canary] = services(SHOP);
    vec![
        (ObjectKind::Service, stable, "service \"shop-stable\" not found"),
        (ObjectKind::Service, canary, "service \"shop-canary\" not found"),
        (ObjectKind::HttpRoute, route("route", &[SHOP]), "HTTPRoute \"route\" not found"),
        (ObjectKind::AnalysisTemplate, template("ok"), "AnalysisTemplate/ok not found"),
    ]
}

fn deploy(harness: &Harness) -> Result<()> {
    let analysis = json!({ "templates": [{ "templateName": "ok" }] });
    let steps = json!([{ "setWeight": 25 }, { "analysis": analysis }, { "pause": { "duration": "5s" } }]);
    harness.cluster.create(ObjectKind::Rollout, rollout(SHOP, "route", &steps))
}

/// The message of the status, and the generation of the spec.
fn message_and_generation(harness: &Harness) -> Result<(String, i64)> {
    let object = harness.get(ObjectKind::Rollout, SHOP)?;
    let message = object.pointer("/status/message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((message, object.pointer("/metadata/generation").and_then(Value::as_i64).context("no generation")?))
}

/// argo-rollouts #754.
#[test]
fn the_status_names_all_missing_references_until_the_last_one_exists() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        deploy(&harness)?;
        let mut missing = references();
        while !missing.is_empty() {
            tokio::time::sleep(SOON).await;

            let (message, _) = message_and_generation(&harness)?;

            let all = missing.iter().all(|(_, _, expected)| message.contains(expected));
            ensure!(all && message.matches("not found").count() == missing.len(), "{message}");
            let (kind, object, _) = missing.remove(0);
            harness.cluster.create(kind, object)?;
        }
        tokio::time::sleep(SOON).await;

        let (message, generation) = message_and_generation(&harness)?;

        ensure!(!message.contains("InvalidSpec") && generation == 1, "generation {generation}: {message}");
        harness.wait_for_phase(SHOP, "Healthy").await
    })
}

/// argo-rollouts #754, for each object as the last one.
#[test]
fn a_rollout_becomes_healthy_soon_after_its_last_reference_is_created_and_not_before() -> Result<()> {
    for last in 0..references().len() {
        run(async || {
            let harness = Harness::start()?;
            deploy(&harness)?;
            let mut all = references();
            let (kind, object, expected) = all.remove(last);
            for (kind, object, _) in all {
                harness.cluster.create(kind, object)?;
            }
            tokio::time::sleep(UNTIL_READY).await;

            let (message, _) = message_and_generation(&harness)?;
            let phase = harness.get(ObjectKind::Rollout, SHOP)?.pointer("/status/phase").cloned();
            ensure!(message.contains(expected) && phase != Some(json!("Healthy")), "{phase:?}: {message}");
            harness.cluster.create(kind, object)?;
            tokio::time::sleep(UNTIL_READY).await;

            let phase = harness.get(ObjectKind::Rollout, SHOP)?.pointer("/status/phase").cloned();
            ensure!(
                phase == Some(json!("Healthy")) && message_and_generation(&harness)?.1 == 1,
                "{phase:?} {expected}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// Runs an AnalysisRun with these metrics and returns its final status.
async fn measured(harness: &Harness, metrics: &[Value]) -> Result<Value> {
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": "run", "namespace": NAMESPACE }, "spec": { "metrics": metrics },
    });
    harness.cluster.create(ObjectKind::AnalysisRun, run)?;
    let ended =
        |harness: &Harness| Ok(harness.get(ObjectKind::AnalysisRun, "run")?.pointer("/status/completedAt").is_some());
    harness.wait_until("the run has ended", ended).await?;
    let status =
        harness.get(ObjectKind::AnalysisRun, "run")?.pointer("/status").cloned().context("the run has no status")?;
    harness.cluster.delete(ObjectKind::AnalysisRun, "run")?;
    Ok(status)
}

/// argo-rollouts #4535, akuity/kargo #4630.
#[test]
fn the_condition_decides_for_any_body_of_an_answer() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        for (path, status, body) in [
            ("/empty", 200, ""),
            ("/null", 200, "null"),
            ("/text", 200, "PASS"),
            ("/textnl", 200, "PASS\n"),
            ("/json", 200, r#"{"status":"PASS"}"#),
            ("/down", 503, ""),
        ] {
            harness.metrics_server.set_answers(path, &[(status, body)]);
        }
        let status_of = json!({ "provider": { "web": { "jsonPath": "{$.status}" } } });
        for (path, condition, fields, expected) in [
            ("/empty", "result == 'fail123'", json!({}), "Failed"),
            ("/empty", "result == ''", json!({}), "Successful"),
            ("/null", "result == 'x'", json!({}), "Failed"),
            ("/text", "result == 'PASS'", json!({}), "Successful"),
            ("/text", "result == 'PASS'", status_of.clone(), "Successful"),
            ("/textnl", "result == 'PASS'", json!({}), "Failed"),
            ("/json", "result == 'PASS'", status_of, "Successful"),
            ("/down", "result == 'x'", json!({}), "Error"),
        ] {
            let mut limits = json!({ "count": 1, "consecutiveErrorLimit": 0 });
            json_patch::merge(&mut limits, &fields);

            let status = measured(&harness, &[metric("body", path, condition, limits)]).await?;

            ensure!(status.pointer("/phase") == Some(&json!(expected)), "{path} {condition}: {status}");
        }
        Ok(())
    })
}

/// argo-rollouts #4479.
#[test]
fn a_metric_without_a_success_is_not_successful_when_another_one_ends_its_run() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let bad = (200, r#"{"v":1}"#);
        harness.metrics_server.set_answers("/bad", &[bad]);
        harness.metrics_server.set_answers("/flaky", &[(503, ""), (503, ""), (503, ""), bad]);
        let value = |more: Value| {
            let mut fields = json!({ "provider": { "web": { "jsonPath": "{$.v}" } } });
            json_patch::merge(&mut fields, &more);
            fields
        };
        let flaky = value(json!({ "count": 5, "interval": "5s", "failureLimit": 2 }));
        let flaky = metric("flaky", "/flaky", "result == 0", flaky);
        let ends = metric("bad", "/bad", "result == 0", value(json!({ "initialDelay": "33s" })));

        let status = measured(&harness, &[flaky, ends]).await?;

        let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        ensure!(text("/phase") == "Failed" && text("/message").contains("\"bad\""), "{status}");
        let results = status.pointer("/metricResults").and_then(Value::as_array).context("no results")?;
        let flaky = results.iter().find(|result| result.get("name") == Some(&json!("flaky"))).context("no flaky")?;
        let count = |field: &str| flaky.get(field).and_then(Value::as_i64).unwrap_or(0);
        ensure!((count("error"), count("failed"), count("successful")) == (3, 1, 0), "{flaky}");
        ensure!(flaky.get("phase") == Some(&json!("Failed")), "{flaky}");
        let message = flaky.get("message").and_then(Value::as_str).unwrap_or_default();
        ensure!(message.starts_with("Cut short when another metric ended the run"), "{message}");
        Ok(())
    })
}
