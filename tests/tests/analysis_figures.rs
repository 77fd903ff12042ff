//! How soon a bad version is gone, and what hundreds of analyses cost. They load the machine: run after the other stories, one at a
//! time; what depends on the machine is printed, and judged only generously.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api,
    backend::behaviour::ERRORS,
    kinds, kulta,
    load::{Load, Plan, Sample},
    manifests::Canary,
    story::{SOON, Story},
    wait,
};
use serde_json::{Value, json};

const WEB: &str = "web";
const ROUNDS: u32 = 10;
const REQUESTS_PER_SECOND: u32 = 200;
const INTERVAL: Duration = Duration::from_secs(5);
/// Bar of the 95th percentile: the interval, a scrape and a second.
const BAR: Duration = Duration::from_secs(7);
/// What no machine is too busy for.
const AT_MOST: Duration = Duration::from_secs(30);
/// The canary has got no request for so long: it will not get any more.
const QUIET: Duration = Duration::from_secs(2);

const FLEET: usize = 500;
const FLEET_PATIENCE: Duration = Duration::from_secs(900);
const WINDOW: Duration = Duration::from_secs(60);
const MEBIBYTE: u64 = 1 << 20;
/// Generous beside the bars of 10 % of a core and 80 MB.
const RESIDENT_AT_MOST: u64 = 200 * MEBIBYTE;

fn template(name: &str, metric: Value, args: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {"metrics": [metric], "args": args},
    })
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn from_the_first_bad_answer_to_the_last_request_to_the_canary() -> Result<()> {
    let story = Story::begin("breach").await?;
    let controller = kulta::start_with(&story, None, &[("KULTA_LOG_LEVEL", "info")]).await?;
    let threshold =
        json!({"errorRate": "< 1%", "gateway": "contour", "service": format!("{WEB}-canary"), "window": "10s"});
    let metric = json!({
        "name": "errors", "interval": format!("{}s", INTERVAL.as_secs()), "failureLimit": 0, "inconclusiveLimit": 1000,
        "provider": {"threshold": threshold},
    });
    story.apply(template("errors", metric, json!([]))).await?;
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 10}, {"pause": {}}])).canary(json!({
        "analysis": {"templates": [{"templateName": "errors"}]}, "abortScaleDownDelaySeconds": 30,
    }));
    kulta::deployed(&story, &canary).await?;
    story.until_served(&canary.host(&story.namespace)).await?;

    let (mut took, mut served) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (breach, answers) = breach(&story, &canary, round).await?;
        println!("round {round}: {breach:.1?} from breach to restore, {answers} requests served by the bad version");
        took.push(breach);
        served.push(answers);
    }

    took.sort_unstable();
    served.sort_unstable();
    println!(
        "breach to restore over {ROUNDS} rounds: p50 {:.1?}, p95 {:.1?} (bar {BAR:?}), at most {:.1?}; \
         the bad version served {} requests at p50, {} at p95",
        at(&took, 50),
        at(&took, 95),
        at(&took, 100),
        at(&served, 50),
        at(&served, 95),
    );
    ensure!(took.iter().all(|one| *one <= AT_MOST), "{took:?}");
    controller.stop().await?;
    story.end().await
}

/// The nearest rank.
fn at<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// One bad version: how long it stayed in traffic after its first bad answer, and how many requests it answered until then.
async fn breach(story: &Story, canary: &Canary, round: u32) -> Result<(Duration, usize)> {
    let version = format!("bad-{round}");
    let load = Load::start(Plan {
        per_second: REQUESTS_PER_SECOND,
        limit: Duration::from_secs(300),
        ..Plan::to(&canary.host(&story.namespace))
    })?;
    kulta::updated_to(story, canary, &version).await?;
    let seen = story
        .until(&kinds::rollout(), WEB, "the pause of the new version", |rollout| {
            api::text(rollout, "/status/phase") == "Paused"
                && api::text(rollout, "/spec/template/metadata/labels/version") == version
                && api::text(rollout, "/status/observedGeneration")
                    == rollout.metadata.generation.unwrap_or_default().to_string()
        })
        .await?;
    let run = api::text(&seen, "/status/canary/currentBackgroundAnalysisRunStatus/name").to_owned();
    story
        .until(&kinds::analysis_run(), &run, "a good measurement", |run| {
            api::number(run, "/status/metricResults/0/successful") > 0
        })
        .await?;
    // Each round breaks at another moment between two measurements.
    tokio::time::sleep(INTERVAL.mul_f64(f64::from(round) / f64::from(ROUNDS))).await;
    for pod in story.list(&kinds::pod(), &format!("app={WEB},version={version}")).await? {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        story.patch(&kinds::pod(), name, json!({"metadata": {"labels": {ERRORS: "50"}}})).await?;
    }
    story.until_phase(WEB, "Degraded").await?;
    wait::poll("the last request to the canary", SOON, || async {
        let last = of_version(&load.so_far(), &version).map(|sample| sample.sent).max();
        Ok(last.is_some_and(|last| last.elapsed() > QUIET).then_some(()))
    })
    .await?;
    let samples = load.stop().await;
    let bad = of_version(&samples, &version).filter(|sample| sample.result.is_err()).map(|sample| sample.sent).min();
    let bad = bad.context("no bad answer")?;
    let last = of_version(&samples, &version).map(|sample| sample.sent).max().unwrap_or_else(Instant::now);
    let answers = of_version(&samples, &version).filter(|sample| sample.sent >= bad).count();
    Ok((last.duration_since(bad), answers))
}

fn of_version<'a>(samples: &'a [Sample], version: &'a str) -> impl Iterator<Item = &'a Sample> {
    samples.iter().filter(move |sample| sample.version() == Some(version))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn five_hundred_rollouts_analysed_every_ten_seconds() -> Result<()> {
    let story = Story::begin("analysed").await?;
    let controller = kulta::start_with(&story, None, &[("KULTA_LOG_LEVEL", "info")]).await?;
    let query =
        r#"sum(rate(http_requests_total{namespace="{{args.namespace}}",app="{{args.app}}"}[30s])) or vector(0)"#;
    let metric = json!({
        "name": "rate", "interval": "10s", "successCondition": "result[0] >= 0",
        "provider": {"prometheus": {"query": query}},
    });
    story.apply(template("rate", metric, json!([{"name": "app"}, {"name": "namespace"}]))).await?;
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let analysis = json!({
        "templates": [{"templateName": "rate"}],
        "args": [
            {"name": "app", "valueFrom": field("metadata.name")},
            {"name": "namespace", "valueFrom": field("metadata.namespace")},
        ],
    });
    let canaries: Vec<Canary> = (0..FLEET)
        .map(|number| {
            Canary::new(&format!("web-{number:03}"))
                .replicas(1)
                .without_routing()
                .steps(json!([{"setWeight": 50}, {"pause": {}}]))
                .canary(json!({ "analysis": analysis }))
        })
        .collect();
    story.apply_side_by_side(canaries.iter().map(Canary::rollout).collect()).await?;
    until_all(&story, "deployed", &kinds::rollout(), |phase| phase == "Healthy").await?;
    story.apply_side_by_side(canaries.iter().map(|canary| canary.clone().version("v2").rollout()).collect()).await?;
    until_all(&story, "paused", &kinds::rollout(), |phase| phase == "Paused").await?;
    until_all(&story, "measured", &kinds::analysis_run(), |phase| phase == "Running").await?;
    // Until what the updates left to do is done.
    tokio::time::sleep(Duration::from_secs(20)).await;

    let (before, cpu, audit, began) = (measurements(&story).await?, controller.cpu()?, story.audit()?, Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (cpu, took) = (controller.cpu()? - cpu, began.elapsed());
    let tally = audit.of_agent("kulta")?.in_namespace(&story.namespace);
    let (after, resident) = (measurements(&story).await?, controller.resident()?);

    let measured = after.0 - before.0;
    println!(
        "{FLEET} rollouts analysed every 10 s: {:.1} % of one core (bar 10 %), {} MiB resident (bar 80 MB), {} MiB at most; \
         {:.1} measurements a second, {} errors; {:.1} writes and {:.1} reads a second",
        cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
        resident / MEBIBYTE,
        controller.resident_peak()? / MEBIBYTE,
        measured as f64 / took.as_secs_f64(),
        after.1 - before.1,
        tally.writes().len() as f64 / took.as_secs_f64(),
        tally.reads().len() as f64 / took.as_secs_f64(),
    );
    // Two of three that are due, were the machine ever so busy.
    let due = FLEET as u64 * took.as_secs() / 10;
    ensure!(measured * 3 >= due * 2, "{measured} measurements of {due}");
    ensure!(resident < RESIDENT_AT_MOST, "{} MiB", resident / MEBIBYTE);
    controller.stop().await?;
    story.end().await
}

/// Measurements of all runs so far, and errors.
async fn measurements(story: &Story) -> Result<(u64, u64)> {
    let runs = story.list(&kinds::analysis_run(), "").await?;
    let sum = |pointer: &str| runs.iter().map(|run| api::number(run, pointer).unsigned_abs()).sum::<u64>();
    Ok((sum("/status/metricResults/0/count"), sum("/status/metricResults/0/error")))
}

/// Waits until every object of a kind is in a phase.
async fn until_all(
    story: &Story,
    what: &str,
    kind: &kube::core::ApiResource,
    wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    let end = Instant::now() + FLEET_PATIENCE;
    loop {
        let phases = story.list(kind, "").await?;
        let there = phases.iter().filter(|object| wanted(api::text(object, "/status/phase"))).count();
        if there == FLEET {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{there} of {FLEET} are {what} after {FLEET_PATIENCE:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
