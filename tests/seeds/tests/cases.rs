//! Reports of users of Argo Rollouts, each with the outcome that is right. Three more are told elsewhere: #3850 in `same.rs`, #795 in
//! `without_faults/jobs.rs`, and two rollouts on one route (gatewayapi plugin, PR #164) in `waiting.rs`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_seeds::calm::{Calm, run};
use kulta_seeds::cluster::{NAMESPACE, What};
use kulta_seeds::objects::{rollout, route, services};
use serde_json::{Value, json};

const SHOP: &str = "shop";
/// Until a change of one object is in the condition of another.
const SOON: Duration = Duration::from_secs(2);
/// Longer than pods take to become ready.
const WHILE: Duration = Duration::from_secs(20);

fn template(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "metrics": [metric("ok", "/ok", "result == 'yes'", json!({}))] },
    })
}

/// A metric of what a server answers at this path.
fn metric(name: &str, path: &str, condition: &str, fields: Value) -> Value {
    let mut metric = json!({
        "name": name, "successCondition": condition,
        "provider": { "web": { "url": format!("http://answers.test{path}") } },
    });
    json_patch::merge(&mut metric, &fields);
    metric
}

/// What a rollout with Services, a route and an analysis refers to, and the words that name it while it is missing.
fn referred_to() -> Vec<(What, Value, &'static str)> {
    let [stable, canary] = services(SHOP);
    vec![
        (What::Service, stable, "service \"shop-stable\" not found"),
        (What::Service, canary, "service \"shop-canary\" not found"),
        (What::Route, route("route", &[SHOP]), "HTTPRoute \"route\" not found"),
        (What::Template, template("ok"), "AnalysisTemplate/ok not found"),
    ]
}

fn deploy(calm: &Calm) -> Result<()> {
    let analysis = json!({ "templates": [{ "templateName": "ok" }] });
    let steps = json!([{ "setWeight": 25 }, { "analysis": analysis }, { "pause": { "duration": "5s" } }]);
    calm.cluster.create(What::Rollout, rollout(SHOP, "route", &steps))
}

/// The message of the status, and the generation of the spec.
fn told(calm: &Calm) -> Result<(String, i64)> {
    let object = calm.get(What::Rollout, SHOP)?;
    let message = object.pointer("/status/message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((message, object.pointer("/metadata/generation").and_then(Value::as_i64).context("no generation")?))
}

/// argo-rollouts #754.
#[test]
fn all_that_is_missing_is_named_and_the_condition_goes_with_the_last_of_it() -> Result<()> {
    run(async || {
        let calm = Calm::start()?;
        deploy(&calm)?;
        let mut missing = referred_to();
        while !missing.is_empty() {
            tokio::time::sleep(SOON).await;

            let (message, _) = told(&calm)?;

            let all = missing.iter().all(|(_, _, words)| message.contains(words));
            ensure!(all && message.matches("not found").count() == missing.len(), "{message}");
            let (what, object, _) = missing.remove(0);
            calm.cluster.create(what, object)?;
        }
        tokio::time::sleep(SOON).await;

        let (message, generation) = told(&calm)?;

        ensure!(!message.contains("InvalidSpec") && generation == 1, "generation {generation}: {message}");
        calm.until_phase(SHOP, "Healthy").await
    })
}

/// argo-rollouts #754, for every object that may be the last.
#[test]
fn whatever_comes_last_a_rollout_is_not_healthy_before_and_is_soon_after() -> Result<()> {
    for last in 0..referred_to().len() {
        run(async || {
            let calm = Calm::start()?;
            deploy(&calm)?;
            let mut all = referred_to();
            let (what, object, words) = all.remove(last);
            for (what, object, _) in all {
                calm.cluster.create(what, object)?;
            }
            tokio::time::sleep(WHILE).await;

            let (message, _) = told(&calm)?;
            let phase = calm.get(What::Rollout, SHOP)?.pointer("/status/phase").cloned();
            ensure!(message.contains(words) && phase != Some(json!("Healthy")), "{phase:?}: {message}");
            calm.cluster.create(what, object)?;
            tokio::time::sleep(WHILE).await;

            let phase = calm.get(What::Rollout, SHOP)?.pointer("/status/phase").cloned();
            ensure!(phase == Some(json!("Healthy")) && told(&calm)?.1 == 1, "{phase:?} {words}");
            Ok(())
        })?;
    }
    Ok(())
}

/// The status of a run of these metrics when it has ended.
async fn measured(calm: &Calm, metrics: &[Value]) -> Result<Value> {
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": "run", "namespace": NAMESPACE }, "spec": { "metrics": metrics },
    });
    calm.cluster.create(What::Run, run)?;
    let ended = |calm: &Calm| Ok(calm.get(What::Run, "run")?.pointer("/status/completedAt").is_some());
    calm.until("the run has ended", ended).await?;
    let status = calm.get(What::Run, "run")?.pointer("/status").cloned().context("the run has no status")?;
    calm.cluster.delete(What::Run, "run")?;
    Ok(status)
}

/// argo-rollouts #4535, akuity/kargo #4630.
#[test]
fn the_condition_decides_whatever_the_body_of_an_answer_is() -> Result<()> {
    run(async || {
        let calm = Calm::start()?;
        for (path, status, body) in [
            ("/empty", 200, ""),
            ("/null", 200, "null"),
            ("/text", 200, "PASS"),
            ("/textnl", 200, "PASS\n"),
            ("/json", 200, r#"{"status":"PASS"}"#),
            ("/down", 503, ""),
        ] {
            calm.gauge.say(path, &[(status, body)]);
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

            let status = measured(&calm, &[metric("body", path, condition, limits)]).await?;

            ensure!(status.pointer("/phase") == Some(&json!(expected)), "{path} {condition}: {status}");
        }
        Ok(())
    })
}

/// argo-rollouts #4479.
#[test]
fn a_metric_that_never_succeeded_is_no_success_when_another_one_ends_its_run() -> Result<()> {
    run(async || {
        let calm = Calm::start()?;
        let bad = (200, r#"{"v":1}"#);
        calm.gauge.say("/bad", &[bad]);
        calm.gauge.say("/flaky", &[(503, ""), (503, ""), (503, ""), bad]);
        let value = |more: Value| {
            let mut fields = json!({ "provider": { "web": { "jsonPath": "{$.v}" } } });
            json_patch::merge(&mut fields, &more);
            fields
        };
        let flaky = value(json!({ "count": 5, "interval": "5s", "failureLimit": 2 }));
        let flaky = metric("flaky", "/flaky", "result == 0", flaky);
        let ends = metric("bad", "/bad", "result == 0", value(json!({ "initialDelay": "33s" })));

        let status = measured(&calm, &[flaky, ends]).await?;

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
