//! Metrics that are unavailable: only the user's limits decide.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_tests::{
    answers::{Answers, Mode, vector},
    kinds, kulta,
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{WEB, analysis, count, message, metric, result, run, template, until_rolled_back, until_run, until_stable};

const MEBIBYTE: u64 = 1 << 20;

/// A kind of failure, further fields of the metric, the run's phase, and a part of its message.
type Case = (&'static str, Mode, Value, &'static str, &'static str);

fn cases() -> Vec<Case> {
    let none = json!({});
    let within = json!({"provider": {"prometheus": {"timeout": 1}}});
    let late = Mode::Late(Duration::from_secs(4), vector(&["1"]));
    let success = |text: &str| json!({ "successCondition": text });
    vec![
        ("down", Mode::Down, none.clone(), "Error", "the request failed"),
        ("silent", Mode::Silent, within.clone(), "Error", "the request timed out"),
        ("late", late, within, "Error", "the request timed out"),
        ("unavailable", Mode::Status(503), none.clone(), "Error", "503"),
        ("html", Mode::Page("text/html", "<html>Sign in</html>".into()), none.clone(), "Error", "<html>Sign in</html>"),
        ("large", Mode::Bytes(50 << 20), none.clone(), "Error", "larger than the limit of 2097152 bytes"),
        ("million", Mode::Series(1_000_000), none.clone(), "Error", "larger than the limit of 2097152 bytes"),
        ("thousands", Mode::Series(20_000), none.clone(), "Error", "aggregate it"),
        ("nan", Mode::sample("NaN"), none.clone(), "Failed", "failed (1) > failureLimit (0)"),
        ("nan-fine", Mode::sample("NaN"), success("isNaN(result[0]) || result[0] > 1"), "Successful", ""),
        ("empty", Mode::empty(), none, "Error", "no data returned from the metric provider"),
        ("empty-fine", Mode::empty(), success("len(result) == 0 || result[0] > 1"), "Successful", ""),
    ]
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_failing_server_leads_to_the_result_of_the_limits() -> Result<()> {
    let scenario = Scenario::begin("broken").await?;
    let controller = kulta::start(&scenario, None).await?;
    let idle = controller.resident()?;
    let mut servers = Vec::new();
    for (name, mode, fields, _, _) in cases() {
        let server = Answers::start(mode).await?;
        let mut fields = fields;
        json_patch::merge(&mut fields, &json!({"consecutiveErrorLimit": 0}));
        scenario.apply(run(name, vec![metric("m", &server.url(), fields)], json!({}))).await?;
        servers.push(server);
    }

    let mut wrong = Vec::new();
    for (name, _, _, phase, words) in cases() {
        let seen = until_run(&scenario, name, phase).await.map(|seen| message(&seen).to_owned());
        match seen {
            Ok(said) if said.contains(words) => {}
            Ok(said) => wrong.push(format!("{name}: {said:?} says nothing of {words:?}")),
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
    }

    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let peak = controller.resident_peak()?;
    println!("resident: {} MiB before, {} MiB at most with every broken answer", idle / MEBIBYTE, peak / MEBIBYTE);
    ensure!(peak < idle + 96 * MEBIBYTE, "an answer was taken into memory: {} MiB", peak / MEBIBYTE);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_server_that_recovers_within_the_error_limit_has_no_effect() -> Result<()> {
    let scenario = Scenario::begin("back").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::Down).await?;
    scenario
        .apply(run("back", vec![metric("m", &server.url(), json!({"count": 2, "interval": "1s"}))], json!({})))
        .await?;
    scenario
        .until(&kinds::analysis_run(), "back", "an error", |run| result(run, "m").is_ok_and(|m| count(m, "error") == 1))
        .await?;

    server.set(Mode::sample("1"));

    let seen = until_run(&scenario, "back", "Successful").await?;
    let m = result(&seen, "m")?;
    ensure!((count(m, "count"), count(m, "successful"), count(m, "error")) == (2, 2, 1), "{m}");
    ensure!(count(m, "consecutiveError") == 0, "{m}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_server_that_stays_unavailable_rolls_back_according_to_the_error_limit() -> Result<()> {
    let scenario = Scenario::begin("away").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::Down).await?;
    let strict = metric("m", &server.url(), json!({"interval": "1s", "consecutiveErrorLimit": 0}));
    let patient = metric("m", &server.url(), json!({"interval": "1s", "consecutiveErrorLimit": 1000}));
    scenario.apply(template("strict", vec![strict], json!({}))).await?;
    scenario.apply(template("patient", vec![patient], json!({}))).await?;
    let of = |name: &str| {
        Canary::new(&format!("{WEB}-{name}"))
            .without_routing()
            .steps(json!([{"setWeight": 50}, {"pause": {"duration": "3s"}}]))
            .canary(json!({"analysis": analysis(name, json!({}))}))
    };
    for name in ["strict", "patient"] {
        kulta::deployed(&scenario, &of(name)).await?;
        kulta::updated(&scenario, &of(name)).await?;
    }

    let seen = until_rolled_back(&scenario, "web-strict").await?;
    ensure!(message(&seen).contains("consecutiveErrors (1) > consecutiveErrorLimit (0)"), "{}", message(&seen));
    until_stable(&scenario, "web-patient").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn addresses_that_are_denied_to_analyses_are_rejected() -> Result<()> {
    let scenario = Scenario::begin("denied").await?;
    let server = Answers::start(Mode::sample("1")).await?;
    let prefix = format!("{}/allowed", server.url());
    let controller = kulta::start_with(
        &scenario,
        None,
        &[("KULTA_ANALYSIS_URL_PREFIX", &format!("{prefix},http://127.0.0.1,http://169.254.169.254,http://localhost"))],
    )
    .await?;
    let strict = json!({"consecutiveErrorLimit": 0});
    let denied = [
        ("loopback", "http://127.0.0.1:9090".to_owned()),
        ("by-name", "http://localhost:9090".to_owned()),
        ("metadata", "http://169.254.169.254".to_owned()),
        ("elsewhere", server.url()),
    ];
    for (name, url) in &denied {
        scenario.apply(run(name, vec![metric("m", url, strict.clone())], json!({}))).await?;
    }
    scenario.apply(run("allowed", vec![metric("m", &prefix, strict)], json!({}))).await?;

    for (name, _) in &denied {
        let seen = until_run(&scenario, name, "Error").await?;
        ensure!(message(&seen).contains("not allowed"), "{name}: {}", message(&seen));
    }
    until_run(&scenario, "allowed", "Successful").await?;
    ensure!(server.asked().len() == 1, "{:?}", server.asked());
    controller.stop().await?;
    scenario.end().await
}
