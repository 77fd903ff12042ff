//! Header routes and mirror routes, with real requests through Envoy: who answers them, which copies arrive, and that none fails.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    backend::METRICS_PORT,
    http, kinds,
    kulta::{deployed, start, updated},
    load::{self, Load, Plan},
    manifests::Canary,
    namespace::NODE_ADDRESS,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{blocked_traffic, but_for_weights, until_blocked, until_paused_at, until_stable};

/// Between a gateway's acceptance of a route and its proxy's configuration.
const PROXY_DELAY: Duration = Duration::from_millis(500);
/// Requests of a window for counting shares.
const WINDOW: usize = 2_000;
/// Requests a second, of two streams.
const RATE: u32 = 250;

/// A canary whose spec names these managed routes.
fn managed(names: &[&str], steps: Value) -> Canary {
    let names: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    Canary::new("web").replicas(2).steps(steps).canary(json!({ "trafficRouting": { "managedRoutes": names } }))
}

fn beta(value: &str) -> Value {
    let header = json!({ "headerName": "Team", "headerValue": { "exact": value } });
    json!({ "setHeaderRoute": { "name": "beta", "match": [header] } })
}

fn stream(canary: &Canary, scenario: &Scenario, team: Option<&str>) -> Result<Load> {
    let headers = team.map(|team| ("team".to_owned(), team.to_owned())).into_iter().collect();
    Load::start(Plan { per_second: RATE, headers, ..Plan::to(&canary.host(&scenario.namespace)) })
}

async fn share(running: &Load, version: &str, percent: f64) -> Result<()> {
    tokio::time::sleep(PROXY_DELAY).await;
    let split = running.next(WINDOW).await?;
    let found = split.percent(version);
    ensure!((found - percent).abs() <= 4.0, "{version} has {found} % instead of {percent} %: {split}");
    Ok(())
}

async fn nobody_was_turned_away(running: Load) -> Result<usize> {
    let all = load::total(&running.stop().await);
    ensure!(all.failed() == 0 && all.answered() > 0, "{all}");
    Ok(all.answered())
}

/// Names of the route's rules, in their order.
async fn rules(scenario: &Scenario) -> Result<Vec<String>> {
    let route = scenario.get(&kinds::http_route(), "web").await?;
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(rules.iter().map(|rule| rule["name"].as_str().unwrap_or_default().to_owned()).collect())
}

async fn until_rules(scenario: &Scenario, wanted: &[&str]) -> Result<()> {
    wait::poll(&format!("the rules {wanted:?}"), SOON, || async {
        let found = rules(scenario).await?;
        if found == wanted { Ok(Some(())) } else { Err(anyhow::anyhow!("the rules are {found:?}")) }
    })
    .await
}

/// Requests that the pods of a version have answered so far.
async fn received(scenario: &Scenario, version: &str) -> Result<u64> {
    let mut stream = TcpStream::connect((NODE_ADDRESS, METRICS_PORT)).await.context("connect to the pods' metrics")?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: pods\r\n\r\n").await?;
    let answer = http::read(&mut stream, &mut Vec::new()).await?.context("no metrics")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let of = [format!("namespace=\"{}\"", scenario.namespace), format!("version=\"{version}\"")];
    let lines = text.lines().filter(|line| line.starts_with("http_requests_total{"));
    let lines = lines.filter(|line| of.iter().all(|label| line.contains(label.as_str())));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn requests_with_the_header_reach_the_canary_and_the_others_go_by_weight() -> Result<()> {
    let scenario = Scenario::begin("header").await?;
    let controller = start(&scenario, None).await?;
    let steps = json!([
        { "setCanaryScale": { "replicas": 1 } }, beta("qa"), { "pause": {} },
        { "setWeight": 50 }, { "pause": {} },
        { "setHeaderRoute": { "name": "beta" } }, { "pause": {} },
    ]);
    let canary = managed(&["beta"], steps);
    deployed(&scenario, &canary).await?;
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    let (testers, others) = (stream(&canary, &scenario, Some("qa"))?, stream(&canary, &scenario, None)?);
    let before = but_for_weights(&scenario.get(&kinds::http_route(), "web").await?);

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 2).await?;
    until_rules(&scenario, &["beta", ""]).await?;
    share(&testers, "v2", 100.0).await?;
    share(&others, "v2", 0.0).await?;
    scenario.verbs("web").promote().await?;
    until_paused_at(&scenario, 4).await?;
    share(&testers, "v2", 100.0).await?;
    share(&others, "v2", 50.0).await?;
    scenario.verbs("web").promote().await?;
    until_paused_at(&scenario, 6).await?;
    until_rules(&scenario, &[""]).await?;
    share(&testers, "v2", 50.0).await?;
    scenario.verbs("web").promote().await?;
    until_stable(&scenario, "web").await?;
    share(&testers, "v2", 100.0).await?;

    let after = but_for_weights(&scenario.get(&kinds::http_route(), "web").await?);
    ensure!(before == after, "the route was {before} and is {after}");
    for running in [testers, others] {
        println!("{} answered", nobody_was_turned_away(running).await?);
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_abort_takes_the_requests_with_the_header_back_and_fails_none() -> Result<()> {
    let scenario = Scenario::begin("headerabort").await?;
    let controller = start(&scenario, None).await?;
    let canary = managed(&["beta"], json!([{ "setCanaryScale": { "replicas": 1 } }, beta("qa"), { "pause": {} }]));
    let canary = canary.canary(json!({ "abortScaleDownDelaySeconds": 1 }));
    deployed(&scenario, &canary).await?;
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    let testers = stream(&canary, &scenario, Some("qa"))?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 2).await?;
    share(&testers, "v2", 100.0).await?;
    scenario.verbs("web").abort().await?;
    until_rules(&scenario, &[""]).await?;
    share(&testers, "v1", 100.0).await?;
    scenario.verbs("web").retry().await?;
    until_paused_at(&scenario, 2).await?;
    share(&testers, "v2", 100.0).await?;

    println!("{} answered", nobody_was_turned_away(testers).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_header_route_is_put_back_after_it_was_deleted_and_after_a_restart_of_the_controller() -> Result<()> {
    let scenario = Scenario::begin("headerdrift").await?;
    let controller = start(&scenario, None).await?;
    let canary = managed(&["beta"], json!([{ "setCanaryScale": { "replicas": 1 } }, beta("qa"), { "pause": {} }]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, 2).await?;
    until_rules(&scenario, &["beta", ""]).await?;
    let manifest = json!({ "spec": { "rules": canary.route(&scenario.namespace)["spec"]["rules"] } });

    scenario.patch(&kinds::http_route(), "web", manifest.clone()).await?;
    until_rules(&scenario, &["beta", ""]).await?;
    controller.stop().await?;
    scenario.patch(&kinds::http_route(), "web", manifest).await?;
    let controller = start(&scenario, None).await?;
    until_rules(&scenario, &["beta", ""]).await?;

    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn copies_of_requests_reach_the_canary_and_stable_answers_them() -> Result<()> {
    let scenario = Scenario::begin("mirror").await?;
    let controller = start(&scenario, None).await?;
    let mirror = |percentage: u32| json!({ "setMirrorRoute": { "name": "copy", "percentage": percentage, "match": [{ "path": { "prefix": "/" } }] } });
    let steps = json!([
        { "setCanaryScale": { "replicas": 1 } }, mirror(100), { "pause": {} }, mirror(20), { "pause": {} },
        { "setMirrorRoute": { "name": "copy" } }, { "pause": {} },
    ]);
    let canary = managed(&["copy"], steps);
    deployed(&scenario, &canary).await?;
    scenario.until_served(&canary.host(&scenario.namespace)).await?;
    let running = stream(&canary, &scenario, None)?;

    updated(&scenario, &canary).await?;
    // Contour 1.33 copies all requests whatever the percentage, so only the rule can show it.
    for (step, stored, percentage) in [(2, None, 100.0), (4, Some(20), 100.0), (6, None, 0.0)] {
        until_paused_at(&scenario, step).await?;
        let route = scenario.get(&kinds::http_route(), "web").await?;
        let percent = route.data.pointer("/spec/rules/0/filters/0/requestMirror/percent").and_then(Value::as_i64);
        ensure!(percent == stored, "{percent:?} in the rule");
        tokio::time::sleep(PROXY_DELAY).await;
        let before = received(&scenario, "v2").await?;
        let answered = running.next(WINDOW).await?;
        let copies = received(&scenario, "v2").await? - before;
        ensure!(answered.percent("v1") == 100.0, "{answered}");
        let found = copies as f64 * 100.0 / answered.answered() as f64;
        ensure!((found - percentage).abs() <= 5.0, "{found} % are copied instead of {percentage} %");
        scenario.verbs("web").promote().await?;
    }
    until_stable(&scenario, "web").await?;

    println!("{} answered", nobody_was_turned_away(running).await?);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rule_of_a_user_with_the_name_of_a_managed_route_is_reported_and_stays() -> Result<()> {
    let scenario = Scenario::begin("headername").await?;
    let controller = start(&scenario, None).await?;
    let canary = managed(&["beta"], json!([{ "setCanaryScale": { "replicas": 1 } }, beta("qa"), { "pause": {} }]));
    deployed(&scenario, &canary).await?;
    let mut rules = canary.route(&scenario.namespace)["spec"]["rules"].clone();
    if let Some(rule) = rules.pointer_mut("/0") {
        json_patch::merge(rule, &json!({ "name": "beta" }));
    }
    scenario.patch(&kinds::http_route(), "web", json!({ "spec": { "rules": rules } })).await?;

    updated(&scenario, &canary).await?;
    let message = until_blocked(&scenario, "ManagedRouteConflict").await?;

    ensure!(message.contains("HTTPRoute \"web\": spec.rules[0].name"), "{message}");
    ensure!(self::rules(&scenario).await? == ["beta"]);
    let rollout = scenario.get(&kinds::rollout(), "web").await?;
    ensure!(blocked_traffic(&rollout).is_some());
    controller.stop().await?;
    scenario.end().await
}
