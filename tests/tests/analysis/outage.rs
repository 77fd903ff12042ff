//! What both versions suffer from is not the new one's fault: `sequential` compares them, a plain threshold looks at one.

use anyhow::{Result, ensure};
use kulta_tests::{api, backend::behaviour::ERRORS, kinds, kulta, load::Load, manifests::Canary, story::Story};
use serde_json::{Value, json};

use crate::{analysis, message, plain_words, result, run_of, served, template, until_rolled_back, until_stable};

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

async fn templates(story: &Story) -> Result<()> {
    let args = json!({"args": [{"name": "namespace"}, {"name": "canary"}, {"name": "stable"}]});
    story.apply(template("sequential", vec![compared(10)], args)).await?;
    let mut plain = plain_words("plain", json!({"errorRate": "< 1%"}));
    json_patch::merge(&mut plain, &json!({"count": 90}));
    story.apply(template("threshold", vec![plain], json!({"args": [{"name": "service"}]}))).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_shared_outage_is_blamed_on_the_canary_by_a_threshold_and_not_by_a_comparison() -> Result<()> {
    let story = Story::begin("outage").await?;
    let controller = kulta::start(&story, None).await?;
    templates(&story).await?;
    let (fair, unfair) = (judged_by("fair", "sequential"), judged_by("unfair", "threshold"));
    let ill = |canary: &Canary| canary.clone().pod_label(ERRORS, "20");
    let mut loads: Vec<Load> = Vec::new();
    for canary in [&fair, &unfair] {
        loads.push(served(&story, &ill(canary)).await?);
        kulta::updated(&story, &ill(canary)).await?;
    }

    let seen = until_rolled_back(&story, "unfair").await?;
    ensure!(message(&seen).contains("Step-based analysis phase error/failed"), "{}", message(&seen));
    until_stable(&story, "fair").await?;

    let run = run_of(&story, "fair", 2, "Step").await?;
    let compared = result(&run, "compared")?;
    ensure!(compared["phase"] == "Successful" && compared.get("failed").is_none(), "{compared}");
    let evidence = compared["measurements"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    ensure!(evidence.pointer("/metadata").is_some(), "{evidence}");
    println!("a shared outage of 20 %: {}", evidence["metadata"]);
    drop(loads);
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_comparison_blames_the_canary_for_what_is_its_own() -> Result<()> {
    let story = Story::begin("blamed").await?;
    let controller = kulta::start(&story, None).await?;
    templates(&story).await?;
    let canary = judged_by("bad", "sequential");
    let load = served(&story, &canary).await?;

    kulta::updated(&story, &canary.clone().pod_label(ERRORS, "20")).await?;

    let seen = until_rolled_back(&story, "bad").await?;
    let run = run_of(&story, "bad", 2, "Step").await?;
    ensure!(api::text(&run, "/status/phase") == "Failed", "{:?}", run.data);
    let record = seen.data.pointer("/status/canary/currentStepAnalysisRunStatus/status");
    ensure!(record == Some(&json!("Failed")), "{record:?}");
    ensure!(message(&seen).contains("Step-based analysis phase error/failed"), "{}", message(&seen));
    let weights = story.get(&kinds::http_route(), "bad").await?;
    ensure!(kulta_tests::story::weights(&weights).iter().any(|(_, weight)| *weight == 0), "{:?}", weights.data);
    drop(load);
    controller.stop().await?;
    story.end().await
}
