//! The Secrets of Argo Rollouts' providers: found under Argo's names, and shown nowhere.

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{NAMESPACE, ObjectKind};
use kulta_seeds::harness::{Harness, run};
use serde_json::{Value, json};

const RUN: &str = "run";
/// Planted in the Secret, and answered by the server as one that echoes what it gets.
const KEY: &str = "s3cret-api-key-0451";
/// [`KEY`] in base64.
const ENCODED_KEY: &str = "czNjcmV0LWFwaS1rZXktMDQ1MQ==";
const SCALAR: &str = "/api/v2/query/scalar";

fn secret(keys: &[&str]) -> Value {
    let data: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!(ENCODED_KEY))).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "datadog", "namespace": NAMESPACE }, "data": data,
    })
}

/// Runs a datadog metric to its end and returns the run.
async fn measured(harness: &Harness) -> Result<Value> {
    let metric = json!({
        "name": "errors", "count": 1, "consecutiveErrorLimit": 0, "successCondition": "result < 1",
        "provider": { "datadog": { "apiVersion": "v2", "query": "avg:errors{*}" } },
    });
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": RUN, "namespace": NAMESPACE }, "spec": { "metrics": [metric] },
    });
    harness.cluster.create(ObjectKind::AnalysisRun, object)?;
    let ended =
        |harness: &Harness| Ok(harness.get(ObjectKind::AnalysisRun, RUN)?.pointer("/status/completedAt").is_some());
    harness.wait_until("the run has ended", ended).await?;
    let run = harness.get(ObjectKind::AnalysisRun, RUN)?;
    harness.cluster.delete(ObjectKind::AnalysisRun, RUN)?;
    Ok(run)
}

fn text<'a>(run: &'a Value, pointer: &str) -> &'a str {
    run.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_provider_measures_with_the_secret_that_argo_names() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        harness.cluster.create(ObjectKind::Secret, secret(&["api-key", "app-key"]))?;
        let answer = r#"{"data":{"attributes":{"columns":[{"type":"number","values":[0.5]}]}}}"#;
        harness.metrics_server.set_answers(SCALAR, &[(200, answer)]);

        let run = measured(&harness).await?;

        ensure!(text(&run, "/status/phase") == "Successful", "{run}");
        ensure!(text(&run, "/status/metricResults/0/measurements/0/value") == "0.5", "{run}");
        Ok(())
    })
}

#[test]
fn a_missing_secret_or_key_is_an_error_that_names_metric_and_field() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        let field = "spec.metrics[0].provider.datadog.secretRef: metric \"errors\": ";
        let missing = format!("{field}there is no Secret datadog (namespace {NAMESPACE})");

        let run = measured(&harness).await?;
        ensure!(text(&run, "/status/phase") == "Error" && text(&run, "/status/message").contains(&missing), "{run}");

        harness.cluster.create(ObjectKind::Secret, secret(&["api-key"]))?;
        let run = measured(&harness).await?;
        let message = text(&run, "/status/message");
        ensure!(message.contains(field) && message.contains("has no key \"app-key\""), "{message}");
        Ok(())
    })
}

#[test]
fn a_secret_that_a_server_echoes_is_in_no_object() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        harness.cluster.create(ObjectKind::Secret, secret(&["api-key", "app-key"]))?;
        let echo = format!(r#"{{"errors":["unknown key {KEY}"]}}"#);
        harness.metrics_server.set_answers(SCALAR, &[(200, &echo)]);

        let run = measured(&harness).await?;

        let message = text(&run, "/status/metricResults/0/measurements/0/message");
        ensure!(message.contains("unknown key ***"), "{message}");
        let events = harness.cluster.list(ObjectKind::Event)?;
        events.first().context("the run has no event")?;
        let shown: String = events.iter().map(|event| event.to_string()).collect();
        ensure!(![run.to_string(), shown].iter().any(|shown| shown.contains(KEY)), "the secret is shown");
        Ok(())
    })
}
