//! Outages of both versions: `sequential` compares the versions, a threshold judges the canary alone.

use anyhow::{Result, ensure};
use kulta_tests::{api, backend::behaviour::ERRORS, kinds, kulta, load::Load, manifests::Canary, scenario::Scenario};
use serde_json::{Value, json};

use crate::{analysis, message, result, run_of, served, template, threshold_metric, until_rolled_back, until_stable};

/// Counters of one revision, by pod.
fn side(hash: &str) -> Value {
    let counter = |more: &str| {
        format!(
            r#"sum by (pod) (http_requests_total{{namespace="{{{{args.namespace}}}}",rollouts_pod_template_hash="{{{{args.{hash}}}}}"{more}}})"#
        )
    };
    json!({"total": counter(""), "bad": counter(r#",code="500""#)})
}

fn compared(count: u32) -> Value {
    let sequential = json!({
        "canary": side("canary"), "stable": side("stable"),
        "warmup": "2s", "window": "2s", "minimumSample": 50, "horizon": "pass",
    });
    json!({"name": "compared", "interval": "2s", "count": count, "provider": {"sequential": sequential}})
}

fn arguments(service: &str) -> Value {
    json!({"args": [
        {"name": "namespace", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "canary", "valueFrom": {"podTemplateHashValue": "Latest"}},
        {"name": "stable", "valueFrom": {"podTemplateHashValue": "Stable"}},
        {"name": "service", "value": service},
    ]})
}

fn judged_by(name: &str, template: &str) -> Canary {
    let args = arguments(&format!("{name}-canary"));
    Canary::new(name).steps(json!([{"setWeight": 50}, {"analysis": analysis(template, args)}]))
}

async fn templates(scenario: &Scenario) -> Result<()> {
    let args = json!({"args": [{"name": "namespace"}, {"name": "canary"}, {"name": "stable"}]});
    scenario.apply(template("sequential", vec![compared(10)], args)).await?;
    let mut plain = threshold_metric("plain", json!({"errorRate": "< 1%"}));
    json_patch::merge(&mut plain, &json!({"count": 90}));
    scenario.apply(template("threshold", vec![plain], json!({"args": [{"name": "service"}]}))).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_shared_outage_fails_a_threshold_but_not_a_comparison() -> Result<()> {
    let scenario = Scenario::begin("outage").await?;
    let controller = kulta::start(&scenario, None).await?;
    templates(&scenario).await?;
    let (fair, unfair) = (judged_by("fair", "sequential"), judged_by("unfair", "threshold"));
    let ill = |canary: &Canary| canary.clone().pod_label(ERRORS, "20");
    let mut loads: Vec<Load> = Vec::new();
    for canary in [&fair, &unfair] {
        loads.push(served(&scenario, &ill(canary)).await?);
        kulta::updated(&scenario, &ill(canary)).await?;
    }

    let seen = until_rolled_back(&scenario, "unfair").await?;
    ensure!(message(&seen).contains("Step-based analysis phase error/failed"), "{}", message(&seen));
    until_stable(&scenario, "fair").await?;

    let run = run_of(&scenario, "fair", 2, "Step").await?;
    let compared = result(&run, "compared")?;
    ensure!(compared["phase"] == "Successful" && compared.get("failed").is_none(), "{compared}");
    let evidence = compared["measurements"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    ensure!(evidence.pointer("/metadata").is_some(), "{evidence}");
    println!("a shared outage of 20 %: {}", evidence["metadata"]);
    drop(loads);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_comparison_fails_for_errors_of_the_canary_alone() -> Result<()> {
    let scenario = Scenario::begin("blamed").await?;
    let controller = kulta::start(&scenario, None).await?;
    templates(&scenario).await?;
    let canary = judged_by("bad", "sequential");
    let load = served(&scenario, &canary).await?;

    kulta::updated(&scenario, &canary.clone().pod_label(ERRORS, "20")).await?;

    let seen = until_rolled_back(&scenario, "bad").await?;
    let run = run_of(&scenario, "bad", 2, "Step").await?;
    ensure!(api::text(&run, "/status/phase") == "Failed", "{:?}", run.data);
    let record = seen.data.pointer("/status/canary/currentStepAnalysisRunStatus/status");
    ensure!(record == Some(&json!("Failed")), "{record:?}");
    ensure!(message(&seen).contains("Step-based analysis phase error/failed"), "{}", message(&seen));
    let weights = scenario.get(&kinds::http_route(), "bad").await?;
    ensure!(kulta_tests::scenario::weights(&weights).iter().any(|(_, weight)| *weight == 0), "{:?}", weights.data);
    drop(load);
    controller.stop().await?;
    scenario.end().await
}
