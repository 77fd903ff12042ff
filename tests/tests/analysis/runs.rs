//! AnalysisRuns of users: measurements, stored results and messages.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    answers::{Answers, Mode, vector},
    api, kinds, kulta,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

use crate::{count, message, metric, result, run, until_run};

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_users_run_is_measured_by_its_spec() -> Result<()> {
    let scenario = Scenario::begin("byhand").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("2")).await?;

    let metrics = vec![
        metric("thrice", &server.url(), json!({"count": 3, "interval": "1s"})),
        // A separate query: an equal concurrent query would be sent once.
        metric("once", &server.url(), json!({"initialDelay": "1s", "provider": {"prometheus": {"query": "other"}}})),
    ];
    scenario.apply(run("made", metrics, json!({}))).await?;

    let seen = until_run(&scenario, "made", "Successful").await?;
    let (thrice, once) = (result(&seen, "thrice")?, result(&seen, "once")?);
    ensure!(
        (count(thrice, "count"), count(thrice, "successful"), count(once, "count")) == (3, 3, 1),
        "{:?}",
        seen.data
    );
    let kept = thrice["measurements"].as_array().map(Vec::len).unwrap_or_default();
    ensure!(kept == 3 && thrice.pointer("/measurements/0/value") == Some(&json!("[2]")), "{thrice}");
    ensure!(seen.data.pointer("/status/runSummary") == Some(&json!({"count": 2, "successful": 2})), "{:?}", seen.data);
    ensure!(!api::text(&seen, "/status/completedAt").is_empty(), "{:?}", seen.data);
    ensure!(server.asked().len() == 4, "{} requests", server.asked().len());
    for wanted in [
        ("MetricSuccessful", "Metric 'thrice' Completed. Result: Successful"),
        ("MetricSuccessful", "Metric 'once' Completed. Result: Successful"),
        ("AnalysisRunSuccessful", "Analysis Completed. Result: Successful"),
    ] {
        let is_wanted = |(reason, message): &&(String, String)| (reason.as_str(), message.as_str()) == wanted;
        scenario.until_events("AnalysisRun", "made", |events| events.iter().filter(is_wanted).count() == 1).await?;
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_failed_metric_ends_the_run_and_a_dry_run_metric_does_not() -> Result<()> {
    let scenario = Scenario::begin("dry").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("0")).await?;
    let good = Answers::start(Mode::sample("1")).await?;

    let metrics = |also: &str| {
        vec![
            metric("bad", &server.url(), json!({"interval": "1s", "count": 2, "failureLimit": 1})),
            metric("good", also, json!({"interval": "1s", "count": 5})),
        ]
    };
    scenario.apply(run("wet", metrics(&good.url()), json!({}))).await?;
    scenario.apply(run("dry", metrics(&good.url()), json!({"dryRun": [{"metricName": "bad"}]}))).await?;

    let wet = until_run(&scenario, "wet", "Failed").await?;
    ensure!(
        message(&wet) == "Metric \"bad\" assessed Failed due to failed (2) > failureLimit (1)",
        "{}",
        message(&wet)
    );
    ensure!(result(&wet, "good")?["phase"] == "Successful", "{:?}", wet.data);
    let dry = until_run(&scenario, "dry", "Successful").await?;
    let bad = result(&dry, "bad")?;
    ensure!(bad["phase"] == "Failed" && bad["dryRun"] == true, "{bad}");
    ensure!(bad["message"] == "Metric assessed Failed due to failed (2) > failureLimit (1)", "{bad}");
    ensure!(dry.data.pointer("/status/dryRunSummary") == Some(&json!({"count": 1, "failed": 1})), "{:?}", dry.data);
    ensure!(count(result(&dry, "good")?, "count") == 5, "{:?}", dry.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_run_is_terminated_by_a_user_and_deleted_after_its_time_to_live() -> Result<()> {
    let scenario = Scenario::begin("ttl").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    let endless = vec![metric("endless", &server.url(), json!({"interval": "1s"}))];
    let fields = json!({"measurementRetention": [{"metricName": "endless", "limit": 2}]});
    scenario.apply(run("kept", endless.clone(), fields)).await?;
    scenario.apply(run("gone", endless, json!({"ttlStrategy": {"secondsAfterCompletion": 1}}))).await?;
    server.until_asked(8, SOON).await?;

    for name in ["kept", "gone"] {
        scenario.patch(&kinds::analysis_run(), name, json!({"spec": {"terminate": true}})).await?;
    }

    let kept = until_run(&scenario, "kept", "Successful").await?;
    ensure!(message(&kept) == "Run Terminated", "{}", message(&kept));
    let endless = result(&kept, "endless")?;
    ensure!(endless["measurements"].as_array().map(Vec::len) == Some(2) && count(endless, "count") > 2, "{endless}");
    wait::until_gone(&scenario.api(&kinds::analysis_run()), "gone", SOON).await?;
    scenario.get(&kinds::analysis_run(), "kept").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_time_to_live_of_a_run_depends_on_its_result() -> Result<()> {
    let scenario = Scenario::begin("ttls").await?;
    let controller = kulta::start(&scenario, None).await?;
    let (good, bad) = (Answers::start(Mode::sample("1")).await?, Answers::start(Mode::sample("0")).await?);
    let unsure = json!({"failureCondition": "result[0] < 0"});
    let (soon, late) = (1, 3600);
    let cases = [
        ("passed", metric("m", &good.url(), json!({})), json!({"secondsAfterSuccess": soon}), true),
        ("passed-other", metric("m", &good.url(), json!({})), json!({"secondsAfterFailure": soon}), false),
        (
            "passed-own",
            metric("m", &good.url(), json!({})),
            json!({"secondsAfterSuccess": late, "secondsAfterCompletion": soon}),
            false,
        ),
        (
            "failed",
            metric("m", &bad.url(), json!({})),
            json!({"secondsAfterFailure": soon, "secondsAfterCompletion": late}),
            true,
        ),
        ("failed-other", metric("m", &bad.url(), json!({})), json!({"secondsAfterSuccess": soon}), false),
        (
            "unsure",
            metric("m", &bad.url(), unsure),
            json!({"secondsAfterCompletion": soon, "secondsAfterSuccess": late, "secondsAfterFailure": late}),
            true,
        ),
    ];

    for (name, metric, ttl, _) in &cases {
        scenario.apply(run(name, vec![metric.clone()], json!({"ttlStrategy": ttl}))).await?;
    }

    for (name, ..) in cases.iter().filter(|(.., goes)| !goes) {
        until_ended(&scenario, name).await?;
    }
    for (name, ..) in cases.iter().filter(|(.., goes)| *goes) {
        wait::until_gone(&scenario.api(&kinds::analysis_run()), name, SOON).await?;
    }
    for (name, ..) in cases.iter().filter(|(.., goes)| !goes) {
        scenario.get(&kinds::analysis_run(), name).await?;
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn limits_and_counts_may_come_from_arguments() -> Result<()> {
    let scenario = Scenario::begin("limits").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("0")).await?;
    let limits = json!({"count": "{{args.count}}", "interval": "{{ args.every }}", "failureLimit": "{{args.limit}}"});
    let args = json!({"args": [
        {"name": "count", "value": "4"}, {"name": "every", "value": "1s"}, {"name": "limit", "value": "2"},
    ]});

    scenario.apply(run("templated", vec![metric("bad", &server.url(), limits)], args)).await?;

    let seen = until_run(&scenario, "templated", "Failed").await?;
    ensure!(message(&seen).ends_with("failed (3) > failureLimit (2)"), "{}", message(&seen));
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_controller_killed_during_a_measurement_counts_none_twice() -> Result<()> {
    let scenario = Scenario::begin("killed").await?;
    let controller = kulta::start(&scenario, None).await?;
    let slow = |value: &str| Mode::Late(Duration::from_secs(3), vector(&[value]));
    let server = Answers::start(Mode::sample("1")).await?;
    let metrics = vec![metric("slow", &server.url(), json!({"count": 4, "interval": "1s"}))];
    scenario.apply(run("killed", metrics, json!({}))).await?;
    server.until_asked(1, SOON).await?;
    server.set(slow("1"));
    // The second measurement is in flight, and the first is stored.
    server.until_asked(2, SOON).await?;

    controller.kill().await?;
    let before = scenario.get(&kinds::analysis_run(), "killed").await?;
    server.set(Mode::sample("1"));
    let controller = kulta::start(&scenario, None).await?;

    ensure!(count(result(&before, "slow")?, "count") == 1, "{:?}", before.data);
    let seen = until_run(&scenario, "killed", "Successful").await?;
    let slow = result(&seen, "slow")?;
    ensure!((count(slow, "count"), count(slow, "successful"), count(slow, "error")) == (4, 4, 0), "{slow}");
    let started: Vec<&str> = slow["measurements"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|measurement| measurement["startedAt"].as_str())
        .collect();
    ensure!(started.len() == 4, "{slow}");
    ensure!(server.asked().len() == 5, "{} requests: one was in the air and is made again", server.asked().len());
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_web_metric_reads_its_value_by_its_path_and_sends_its_headers() -> Result<()> {
    let scenario = Scenario::begin("web").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::Json(json!({"data": {"ok": true, "rate": 0.99}}))).await?;
    let web = json!({
        "url": format!("{}/judge?of=web", server.url()), "method": "POST", "jsonBody": {"service": "{{args.service}}"},
        "headers": [{"key": "X-Team", "value": "red"}], "jsonPath": "{$.data}", "timeoutSeconds": 5,
    });
    let metric = json!({
        "name": "judge", "provider": {"web": web}, "successCondition": "result.ok && result.rate >= 0.95",
    });

    scenario.apply(run("web", vec![metric], json!({"args": [{"name": "service", "value": "shop"}]}))).await?;

    until_run(&scenario, "web", "Successful").await?;
    let asked = server.asked();
    let request = &asked.first().ok_or_else(|| anyhow::anyhow!("no request"))?.request;
    ensure!(request.start.starts_with("POST /judge?of=web "), "{}", request.start);
    ensure!(request.header("x-team") == Some("red"), "{:?}", request.headers);
    let body: Value = serde_json::from_slice(&request.body)?;
    ensure!(body == json!({"service": "shop"}), "{body}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_real_prometheus_answers_instant_and_range_queries_and_reports_errors() -> Result<()> {
    let scenario = Scenario::begin("real").await?;
    let controller = kulta::start(&scenario, None).await?;
    // No address: the controller's default.
    let asks = |query: &str, condition: &str, more: Value| {
        let mut provider = json!({ "query": query });
        json_patch::merge(&mut provider, &more);
        let provider = json!({ "prometheus": provider });
        json!({"name": "m", "provider": provider, "successCondition": condition, "consecutiveErrorLimit": 0})
    };
    let range = json!({"rangeQuery": {"start": "now() - duration('5s')", "end": "now()", "step": "1s"}});
    let cases = [
        ("instant", asks("count(up)", "result[0] == 2", json!({})), "Successful", ""),
        ("scalar", asks("scalar(count(up)) + 1", "result == 3", json!({})), "Successful", ""),
        ("range", asks("vector(2)", "len(result) == 6 && all(result, {# == 2})", range), "Successful", ""),
        ("nothing", asks("nothing_of_the_kind", "result[0] == 0", json!({})), "Error", "no data returned"),
        ("nan", asks("vector(0) / vector(0)", "isNaN(result[0])", json!({})), "Successful", ""),
        ("wrong", asks("sum(up", "result[0] == 0", json!({})), "Error", "parse error"),
    ];
    for (name, metric, _, _) in &cases {
        scenario.apply(run(name, vec![metric.clone()], json!({}))).await?;
    }

    let mut wrong = Vec::new();
    for (name, _, phase, words) in &cases {
        let seen = until_ended(&scenario, name).await?;
        if api::text(&seen, "/status/phase") != *phase || !message(&seen).contains(words) {
            wrong.push(format!("{name}: {:?}", seen.data.get("status")));
        }
    }

    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    controller.stop().await?;
    scenario.end().await
}

async fn until_ended(scenario: &Scenario, name: &str) -> Result<DynamicObject> {
    let ended = |run: &DynamicObject| !api::text(run, "/status/completedAt").is_empty();
    scenario.until(&kinds::analysis_run(), name, "an end", ended).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_threshold_under_plugin_uses_its_policy_for_no_data() -> Result<()> {
    let scenario = Scenario::begin("no-data").await?;
    let controller = kulta::start(&scenario, None).await?;
    let (empty, all) = (Answers::start(Mode::empty()).await?, Answers::start(Mode::sample("100")).await?);
    let threshold = |address: String, policy: &str| {
        let queries = json!({"requests": "requests", "errors": "errors"});
        let config = json!({"address": address, "errorRate": "< 1%", "queries": queries, "noData": policy});
        vec![json!({"name": "m", "provider": {"plugin": {"threshold": config}}})]
    };
    let cases = [
        ("inconclusive", empty.url(), "Inconclusive"),
        ("pass", empty.url(), "Successful"),
        ("fail", empty.url(), "Failed"),
    ];
    for (policy, url, _) in &cases {
        scenario.apply(run(policy, threshold(url.clone(), policy), json!({}))).await?;
    }
    scenario.apply(run("all-bad", threshold(all.url(), "pass"), json!({}))).await?;

    for (policy, _, phase) in &cases {
        let seen = until_run(&scenario, policy, phase).await?;
        let said = result(&seen, "m")?.pointer("/measurements/0/metadata/requests");
        ensure!(said == Some(&json!("0")), "{policy}: {:?}", seen.data);
    }
    let seen = until_run(&scenario, "all-bad", "Failed").await?;
    ensure!(message(&seen).contains("error rate 100 % is not < 1 %, of 100 requests"), "{}", message(&seen));
    controller.stop().await?;
    scenario.end().await
}
