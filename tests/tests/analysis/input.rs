//! Bad input: each error names the object and the field, and a repair is enough to continue.

use anyhow::{Result, ensure};
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds, kulta,
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

use crate::{WEB, analysis, message, metric, run, template, until_paused_at, until_run, with_role};

const NOWHERE: &str = "http://prometheus.test:9090";

fn judged(rollout: &str, template: &str) -> Canary {
    Canary::new(rollout)
        .replicas(1)
        .without_routing()
        .steps(json!([{"setWeight": 50}, {"analysis": analysis(template, json!({}))}, {"pause": {}}]))
}

async fn until_refused(scenario: &Scenario, rollout: &str, words: &[&str]) -> Result<()> {
    wait::poll(&format!("{rollout} to be refused"), SOON, || async {
        let seen = scenario.get(&kinds::rollout(), rollout).await?;
        let told = api::condition(&seen, "InvalidSpec").is_some();
        ensure!(told, "no InvalidSpec: {:?}", seen.data.get("status"));
        let said = message(&seen);
        for words in words {
            ensure!(said.contains(words), "{words:?} is not in {said:?}");
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_missing_template_is_named_and_the_rollout_continues_once_it_exists() -> Result<()> {
    let scenario = Scenario::begin("missing").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    scenario.apply_canary(&judged(WEB, "missing")).await?;
    until_refused(&scenario, WEB, &["spec.strategy.canary.steps[1].analysis.templates[0]", "missing", "not found"])
        .await?;
    ensure!(scenario.replica_sets(WEB).await?.is_empty(), "something was made of an invalid spec");

    scenario.apply(template("missing", vec![metric("m", &server.url(), json!({}))], json!({}))).await?;

    scenario.until_phase(WEB, "Healthy").await?;
    kulta::updated(&scenario, &judged(WEB, "missing")).await?;
    until_paused_at(&scenario, WEB, 2).await?;
    controller.stop().await?;
    scenario.end().await
}

/// An error of a template, and a part of the message.
fn mistakes() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let with = |fields: Value| json!({"metrics": [metric("m", NOWHERE, fields)]});
    let of = |provider: Value| json!({"metrics": [{"name": "m", "provider": provider, "successCondition": "true"}]});
    let many: Vec<Value> = (0..401).map(|number| metric(&format!("m{number}"), NOWHERE, json!({}))).collect();
    vec![
        (
            "unresolved",
            json!({"metrics": [metric("m", NOWHERE, json!({}))], "args": [{"name": "who"}]}),
            vec!["args.who", "not resolved"],
        ),
        (
            "unknown",
            of(json!({"opsmx": {"query": "x"}})),
            vec!["spec.metrics[0].provider.opsmx", "is not served", "prometheus"],
        ),
        (
            "two",
            of(json!({"prometheus": {"query": "x"}, "web": {"url": NOWHERE}})),
            vec!["spec.metrics[0].provider", "one analyzer"],
        ),
        (
            "wordy",
            with(json!({"count": "many", "interval": "soon"})),
            vec!["spec.metrics[0].count", "spec.metrics[0].interval"],
        ),
        ("endless", with(json!({"interval": "1s"})), vec!["spec.metrics[0]"]),
        (
            "misspelt",
            // The value of the argument does not matter for it.
            json!({
                "metrics": [{"name": "m", "provider": {"threshold": {
                    "errorRat": "< 1%", "gateway": "contour", "service": "web-{{args.hash}}",
                }}}],
                "args": [{"name": "hash", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            }),
            vec!["spec.metrics[0].provider.threshold.errorRat", "metric \"m\"", "unknown field"],
        ),
        (
            "limitless",
            of(json!({"plugin": {"threshold": {"errorRate": "1%", "gateway": "contour", "service": "web"}}})),
            vec!["spec.metrics[0].provider.plugin.threshold", "metric \"m\"", "errorRate"],
        ),
        ("crowd", json!({"metrics": many}), vec!["spec.metrics", "401 metrics are more than the 400 allowed"]),
        ("circle", json!({"metrics": [], "templates": [{"templateName": "circle"}]}), vec!["circle"]),
    ]
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn errors_of_templates_are_reported_with_template_and_field() -> Result<()> {
    let scenario = Scenario::begin("mistaken").await?;
    let controller = kulta::start(&scenario, None).await?;
    for (name, spec, _) in mistakes() {
        scenario.apply(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name}, "spec": spec,
        })).await?;
        scenario.apply_canary(&judged(name, name)).await?;
    }

    let mut wrong = Vec::new();
    for (name, _, words) in mistakes() {
        let words: Vec<&str> = words.into_iter().chain([name]).collect();
        let limit = std::time::Duration::from_secs(20);
        match tokio::time::timeout(limit, until_refused(&scenario, name, &words)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => wrong.push(format!("{name}: {error:#}")),
            Err(_) => {
                let seen = scenario.get(&kinds::rollout(), name).await?;
                wrong.push(format!("{name}: {:?}", seen.data.get("status")));
            }
        }
    }

    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_users_run_with_a_bad_spec_ends_in_an_error_that_names_the_field() -> Result<()> {
    let scenario = Scenario::begin("bad-run").await?;
    let controller = kulta::start(&scenario, None).await?;
    with_role(&scenario, "secrets-role.yaml", "", "secrets", "get").await?;
    let secret = json!({"args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "k"}}}]});
    let cases = [
        ("secret", metric("m", NOWHERE, json!({})), secret, vec!["spec.args[0].valueFrom.secretKeyRef", "nowhere"]),
        (
            "argument",
            metric("m", NOWHERE, json!({"provider": {"prometheus": {"query": "{{args.who}}"}}})),
            json!({}),
            vec!["spec.metrics[0]", "args.who"],
        ),
        (
            "provider",
            json!({"name": "m", "provider": {"cloudWatch": {}}}),
            json!({}),
            vec!["spec.metrics[0].provider.cloudWatch", "is not served"],
        ),
        (
            "query",
            json!({"name": "m", "provider": {"prometheus": {}}, "successCondition": "true"}),
            json!({}),
            vec!["spec.metrics[0].provider.prometheus", "query"],
        ),
        (
            "limit",
            json!({"name": "m", "provider": {"threshold": {"errorRate": "1%", "gateway": "contour", "service": "web"}}}),
            json!({}),
            vec!["spec.metrics[0].provider.threshold", "errorRate"],
        ),
        (
            "rule",
            metric("m", NOWHERE, json!({})),
            json!({"dryRun": [{"metricName": "other"}]}),
            vec!["spec.dryRun[0].metricName"],
        ),
    ];
    for (name, metric, fields, _) in &cases {
        scenario.apply(run(name, vec![metric.clone()], fields.clone())).await?;
    }

    for (name, _, _, words) in &cases {
        let seen = until_run(&scenario, name, "Error").await?;
        for words in words {
            ensure!(message(&seen).contains(words), "{name}: {words:?} is not in {:?}", message(&seen));
        }
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn no_condition_can_harm_the_controller() -> Result<()> {
    let scenario = Scenario::begin("conditions").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    let long = format!("result[0] == 1 || '{}' == ''", "x".repeat(200_000));
    let deep = format!("{}result[0]{} == 1", "(".repeat(20_000), ")".repeat(20_000));
    let cases = [
        ("number", "result[0]".to_owned()),
        ("range", "len(0..100000000) > 0".to_owned()),
        ("deep", deep),
        ("syntax", "result[0] >=".to_owned()),
        ("unknown", "reslut[0] >= 1".to_owned()),
    ];
    for (name, condition) in &cases {
        let fields = json!({"successCondition": condition, "consecutiveErrorLimit": 0});
        scenario.apply(run(name, vec![metric("m", &server.url(), fields)], json!({}))).await?;
    }
    scenario
        .apply(run(
            "long",
            vec![metric("m", &server.url(), json!({"successCondition": long, "consecutiveErrorLimit": 0}))],
            json!({}),
        ))
        .await?;

    for (name, _) in &cases {
        let seen = until_run(&scenario, name, "Error").await?;
        ensure!(message(&seen).contains("successCondition"), "{name}: {}", message(&seen));
        ensure!(message(&seen).len() < 4096, "{name}: a message of {} bytes", message(&seen).len());
    }
    scenario
        .until(&kinds::analysis_run(), "long", "an end", |run| !api::text(run, "/status/completedAt").is_empty())
        .await?;
    scenario.apply(run("after", vec![metric("m", &server.url(), json!({}))], json!({}))).await?;
    until_run(&scenario, "after", "Successful").await?;
    controller.stop().await?;
    scenario.end().await
}
