//! Rollouts with real requests, judged by what a real Prometheus has scraped.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api,
    backend::behaviour::{DELAY, ERRORS},
    cdevents::Schemas,
    kinds, kulta,
    manifests::Canary,
    scenario::{SOON, Scenario},
    sink::{Received, Sink},
    wait,
};
use serde_json::{Value, json};

use crate::{
    WEB, analysis, count, label, message, name, result, run_of, runs_of, served, template, threshold_metric,
    until_rolled_back, until_run, until_stable,
};

/// The background analysis of the canary's Service by a template of [`threshold_metric`].
fn watched(template: &str) -> Value {
    let service = format!("{WEB}-canary");
    json!({"analysis": analysis(template, json!({"args": [{"name": "service", "value": service}]}))})
}

fn service_argument() -> Value {
    json!({"args": [{"name": "service"}]})
}

/// The share of good answers of one revision, in PromQL, as users of Argo Rollouts write it.
fn success_rate() -> Value {
    let labels = r#"namespace="{{args.namespace}}",rollouts_pod_template_hash="{{args.hash}}""#;
    let requests = |more: &str| format!("sum(rate(http_requests_total{{{labels}{more}}}[10s]))");
    json!({
        "name": "success-rate", "initialDelay": "4s", "interval": "1s", "count": 3,
        "successCondition": "len(result) > 0 && result[0] >= 0.99",
        "provider": {"prometheus": {"query": format!("{} / {}", requests(r#",code="200""#), requests(""))}},
    })
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_good_version_is_promoted_by_its_background_and_step_analysis() -> Result<()> {
    let scenario = Scenario::begin("good").await?;
    let controller = kulta::start(&scenario, None).await?;
    scenario
        .apply(template("errors", vec![threshold_metric("errors", json!({"errorRate": "< 1%"}))], service_argument()))
        .await?;
    let args = json!({"args": [{"name": "namespace"}, {"name": "hash"}]});
    scenario.apply(template("rate", vec![success_rate()], args)).await?;
    let args = json!({"args": [
        {"name": "namespace", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
    ], "analysisRunMetadata": {"labels": {"team": "red"}}});
    let canary = Canary::new(WEB)
        .steps(json!([{"setWeight": 50}, {"analysis": analysis("rate", args)}, {"setWeight": 80}]))
        .canary(watched("errors"));
    let load = served(&scenario, &canary).await?;

    kulta::updated(&scenario, &canary).await?;

    let seen = until_stable(&scenario, WEB).await?;
    let hash = api::text(&seen, "/status/currentPodHash");
    let step = run_of(&scenario, WEB, 2, "Step").await?;
    ensure!(name(&step) == format!("{WEB}-{hash}-2-1"), "{}", name(&step));
    ensure!(label(&step, "step-index") == "1" && label(&step, "rollouts-pod-template-hash") == hash, "{step:?}");
    ensure!(label(&step, "app") == WEB && label(&step, "team") == "red", "{:?}", step.metadata.labels);
    ensure!(api::text(&step, "/status/phase") == "Successful", "{:?}", step.data);
    ensure!(result(&step, "success-rate")?["successful"] == 3, "{:?}", step.data);
    let background = until_run(&scenario, &format!("{WEB}-{hash}-2"), "Successful").await?;
    ensure!(label(&background, "rollout-type") == "Background", "{:?}", background.metadata.labels);
    ensure!(background.data.pointer("/spec/terminate") == Some(&json!(true)), "{:?}", background.data);
    ensure!(runs_of(&scenario, WEB).await?.len() == 2, "a run of the first deployment?");
    for reason in ["AnalysisRunRunning", "AnalysisRunSuccessful"] {
        scenario.until_events("Rollout", WEB, |events| events.iter().any(|(told, _)| told == reason)).await?;
    }
    drop(load);
    controller.stop().await?;
    scenario.end().await
}

/// All events of a type, of any subject.
fn of_kind(all: &[Received], kind: &str) -> Vec<Received> {
    all.iter().filter(|event| event.accepted && event.kind() == kind).cloned().collect()
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn five_percent_errors_are_rolled_back_and_all_events_are_sent() -> Result<()> {
    let scenario = Scenario::begin("errors").await?;
    let sink = Sink::start().await?;
    let controller = kulta::start(&scenario, Some(&sink)).await?;
    scenario
        .apply(template("errors", vec![threshold_metric("errors", json!({"errorRate": "< 1%"}))], service_argument()))
        .await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {}}])).canary(watched("errors"));
    let load = served(&scenario, &canary).await?;

    kulta::updated(&scenario, &canary.clone().pod_label(ERRORS, "5")).await?;

    let seen = until_rolled_back(&scenario, WEB).await?;
    let hash = api::text(&seen, "/status/currentPodHash").to_owned();
    let run = scenario.get(&kinds::analysis_run(), &format!("{WEB}-{hash}-2")).await?;
    the_statuses_are_argos(&seen, &run)?;
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    the_kubernetes_events_tell_it(&scenario, &run).await?;
    wait::poll("service.rolledback", SOON, || async {
        Ok((!of_kind(&sink.received(), "service.rolledback").is_empty()).then_some(()))
    })
    .await?;
    the_cdevents_tell_it(&sink.received(), &format!("{}/{}", scenario.namespace, name(&run)))?;
    drop(load);
    controller.stop().await?;
    scenario.end().await
}

fn the_statuses_are_argos(rollout: &DynamicObject, run: &DynamicObject) -> Result<()> {
    ensure!(api::text(run, "/status/phase") == "Failed", "{:?}", run.data);
    let said = message(run);
    let begins = "Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0): \"Error Message: error rate ";
    ensure!(said.starts_with(begins) && said.contains("is not < 1 %"), "{said}");
    ensure!(message(rollout).contains("Background analysis phase error/failed: "), "{}", message(rollout));
    ensure!(message(rollout).contains(said), "{}", message(rollout));
    let record = rollout.data.pointer("/status/canary/currentBackgroundAnalysisRunStatus").context("no record")?;
    ensure!(record == &json!({"name": name(run), "status": "Failed", "message": said}), "{record}");
    ensure!(api::number(rollout, "/status/currentStepIndex") == 0, "{:?}", rollout.data);
    let measurement = result(run, "errors")?["measurements"].as_array().and_then(|all| all.last().cloned());
    let measurement = measurement.context("no measurement")?;
    ensure!(
        measurement.get("phase") == Some(&json!("Failed")) && measurement.pointer("/metadata/errorRate").is_some(),
        "{measurement}"
    );
    Ok(())
}

async fn the_kubernetes_events_tell_it(scenario: &Scenario, run: &DynamicObject) -> Result<()> {
    let changed = format!("Background Analysis Run '{}' Status New: 'Failed' Previous: 'Running'", name(run));
    for (reason, words) in
        [("AnalysisRunFailed", changed.as_str()), ("RolloutAborted", "Rollout aborted update to revision 2")]
    {
        let is_wanted = |(told, message): &&(String, String)| told == reason && message.contains(words);
        scenario.until_events("Rollout", WEB, |events| events.iter().filter(is_wanted).count() == 1).await?;
    }
    for reason in ["MetricFailed", "AnalysisRunFailed"] {
        scenario.until_events_with("AnalysisRun", &name(run), reason, 1).await?;
    }
    Ok(())
}

fn the_cdevents_tell_it(all: &[Received], run: &str) -> Result<()> {
    let schemas = Schemas::load()?;
    for event in all {
        schemas.check(&event.body).with_context(|| event.body.to_string())?;
    }
    let one = |kind: &str| -> Result<Received> {
        let found: Vec<Received> =
            of_kind(all, kind).into_iter().filter(|event| event.subject().starts_with(run)).collect();
        ensure!(found.len() == 1, "{} events {kind} of {run}", found.len());
        found.into_iter().next().context("none")
    };
    one("testsuiterun.started")?;
    let case = one("testcaserun.finished")?;
    ensure!(case.subject() == format!("{run}/errors"), "{}", case.subject());
    let reason = case.body.pointer("/subject/content/reason").and_then(Value::as_str).unwrap_or_default();
    ensure!(reason.contains("error rate"), "{}", case.body);
    let suite = one("testsuiterun.finished")?;
    for event in [&case, &suite] {
        ensure!(event.body.pointer("/subject/content/outcome") == Some(&json!("failure")), "{}", event.body);
    }
    let rolled_back = of_kind(all, "service.rolledback");
    let rolled_back = &rolled_back.first().context("no service.rolledback")?.body;
    let restored = rolled_back.pointer("/subject/content/artifactId").and_then(Value::as_str).unwrap_or_default();
    ensure!(restored.contains("app"), "{rolled_back}");
    let finished = of_kind(all, "kulta-rollout.finished")
        .into_iter()
        .find(|event| event.body.pointer("/subject/content/outcome") == Some(&json!("failure")));
    let finished = finished.context("no kulta-rollout.finished with outcome failure")?.body;
    ensure!(finished.pointer("/subject/content/failureType") == Some(&json!("analysis")), "{finished}");
    let reason = finished.pointer("/subject/content/reason").and_then(Value::as_str).unwrap_or_default();
    ensure!(reason.contains("error rate "), "{finished}");
    for event in [rolled_back, &finished] {
        let links = event.pointer("/context/links").and_then(Value::as_array).into_iter().flatten();
        let caused = links.filter(|link| link["linkType"] == "RELATION" && link["linkKind"] == "causedBy");
        let targets: Vec<Option<&str>> =
            caused.map(|link| link.pointer("/target/contextId").and_then(Value::as_str)).collect();
        ensure!(targets == [Some(suite.id())], "{event}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_slow_version_is_rolled_back_by_its_latency() -> Result<()> {
    let scenario = Scenario::begin("slow").await?;
    let controller = kulta::start(&scenario, None).await?;
    let latency = threshold_metric("latency", json!({"latency": {"p90": "< 250ms"}}));
    scenario.apply(template("latency", vec![latency], service_argument())).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {}}])).canary(watched("latency"));
    let load = served(&scenario, &canary).await?;

    kulta::updated(&scenario, &canary.clone().pod_label(DELAY, "600")).await?;

    let seen = until_rolled_back(&scenario, WEB).await?;
    ensure!(message(&seen).contains("p90 ") && message(&seen).contains("is not < 250 ms"), "{}", message(&seen));
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    drop(load);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_version_is_not_judged_by_the_requests_of_the_one_before() -> Result<()> {
    let scenario = Scenario::begin("heir").await?;
    let controller = kulta::start(&scenario, None).await?;
    // Bad measurements are counted, and none ends the run: each version stays as long as the scenario needs.
    let limits = json!({"errorRate": "< 1%", "window": "30s"});
    let mut metric = threshold_metric("errors", limits);
    json_patch::merge(&mut metric, &json!({"failureLimit": 1000}));
    scenario.apply(template("errors", vec![metric], service_argument())).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 50}, {"pause": {}}])).canary(watched("errors"));
    let load = served(&scenario, &canary).await?;

    for round in 0..3 {
        let revision = 2 + 2 * round;
        kulta::updated_to(&scenario, &canary.clone().pod_label(ERRORS, "50"), &format!("bad-{round}")).await?;
        let bad = run_of(&scenario, WEB, revision, "Background").await?;
        scenario
            .until(&kinds::analysis_run(), &name(&bad), "a bad measurement", |run| {
                api::number(run, "/status/metricResults/0/failed") > 0
            })
            .await?;
        kulta::updated_to(&scenario, &canary, &format!("good-{round}")).await?;
        let good = run_of(&scenario, WEB, revision + 1, "Background").await?;
        let good = scenario
            .until(&kinds::analysis_run(), &name(&good), "five good measurements", |run| {
                api::number(run, "/status/metricResults/0/successful") >= 5
            })
            .await?;
        let failed = count(result(&good, "errors")?, "failed");
        ensure!(failed == 0, "round {round}: {:?}", good.data.get("status"));
    }
    drop(load);
    controller.stop().await?;
    scenario.end().await
}
