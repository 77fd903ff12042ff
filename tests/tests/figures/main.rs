//! Measures what the controller costs: memory, requests, CPU, and how late a pause ends. These scenarios load the machine, so
//! `make cluster-test` runs them after the others, one at a time; figures that depend on the machine are printed, not checked.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use kube::{api::DynamicObject, runtime::watcher};
use kulta_tests::{api, cluster::api_server_cpu, kinds, kulta, manifests::Canary, scenario::Scenario};
use serde_json::json;

mod swap;

/// The same number with which Argo Rollouts was measured.
const FLEET: usize = 500;
/// The longest time for the whole fleet to be deployed or upgraded on two busy cores.
const FLEET_PATIENCE: Duration = Duration::from_secs(900);
const PAUSES: usize = 100;
const PAUSE: Duration = Duration::from_secs(8);
/// The time from the first to the last end of a pause.
const PAUSES_WITHIN: Duration = Duration::from_secs(9);
/// After this time without a request the controller is idle.
const QUIET: Duration = Duration::from_secs(5);
const MEBIBYTE: u64 = 1 << 20;
/// The most resident bytes of the controller while the whole fleet is idle.
const MOST_RESIDENT: u64 = 60_000_000;

/// Watches all rollouts until `wanted` holds for `count` of them; returns since when it holds, by name.
async fn until_all(
    scenario: &Scenario,
    count: usize,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&DynamicObject) -> bool,
) -> Result<BTreeMap<String, (jiff::Timestamp, DynamicObject)>> {
    let mut found = BTreeMap::new();
    let mut states = watcher(scenario.api(&kinds::rollout()), watcher::Config::default()).boxed();
    let end = tokio::time::Instant::now() + limit;
    while found.len() < count {
        let event = tokio::time::timeout_at(end, states.try_next())
            .await
            .with_context(|| format!("waited {limit:?} for {count} rollouts: {what}; {} are", found.len()))?;
        let now = jiff::Timestamp::now();
        if let Some(watcher::Event::InitApply(rollout) | watcher::Event::Apply(rollout)) = event.context("watch")?
            && wanted(&rollout)
        {
            found.entry(rollout.metadata.name.clone().unwrap_or_default()).or_insert((now, rollout));
        }
    }
    Ok(found)
}

/// Waits until the last Kubernetes events are emitted and the last status is written.
async fn until_quiet(scenario: &Scenario) -> Result<()> {
    kulta_tests::wait::poll("a quiet controller", FLEET_PATIENCE, || async {
        let audit = scenario.audit()?;
        tokio::time::sleep(QUIET).await;
        let requests = audit.of_agent("kulta")?.in_namespace(&scenario.namespace).beside_watches_and_leases();
        Ok(requests.is_empty().then_some(()))
    })
    .await
}

fn healthy_at(version: &'static str, steps: i64) -> impl Fn(&DynamicObject) -> bool {
    move |rollout| {
        api::text(rollout, "/spec/template/metadata/labels/version") == version
            && api::text(rollout, "/status/observedGeneration")
                == rollout.metadata.generation.unwrap_or_default().to_string()
            && api::text(rollout, "/status/phase") == "Healthy"
            && api::number(rollout, "/status/currentStepIndex") == steps
            && api::text(rollout, "/status/stableRS") == api::text(rollout, "/status/currentPodHash")
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn five_hundred_rollouts_of_two_pods() -> Result<()> {
    let scenario = Scenario::begin("fleet").await?;
    let controller = kulta::start_with(&scenario, None, &[("KULTA_LOG_LEVEL", "info")]).await?;
    let idle = controller.resident()?;
    let canaries: Vec<Canary> = (0..FLEET)
        .map(|number| {
            Canary::new(&format!("web-{number:03}"))
                .steps(json!([
                    {"setWeight": 10}, {"pause": {"duration": "2s"}}, {"setWeight": 50}, {"pause": {"duration": "2s"}}
                ]))
                .canary(json!({"scaleDownDelaySeconds": 5}))
        })
        .collect();
    let began = Instant::now();
    scenario
        .apply_side_by_side(canaries.iter().flat_map(|canary| canary.objects(&scenario.namespace)).collect())
        .await?;
    let written = began.elapsed();
    until_all(&scenario, FLEET, "deployed", FLEET_PATIENCE, healthy_at("v1", 4)).await?;
    let deployed = began.elapsed();
    until_quiet(&scenario).await?;
    let (when_idle, cpu_before, audit) = (controller.resident()?, controller.cpu()?, scenario.audit()?);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle_requests = audit.of_agent("kulta")?.in_namespace(&scenario.namespace).beside_watches_and_leases();
    let idle_cpu = controller.cpu()? - cpu_before;

    let (cpu_before, server_before) = (controller.cpu()?, api_server_cpu(&scenario.environment.run)?);
    let (audit, began) = (scenario.audit()?, Instant::now());
    scenario.apply_side_by_side(canaries.iter().map(|canary| canary.clone().version("v2").rollout()).collect()).await?;
    until_all(&scenario, FLEET, "upgraded", FLEET_PATIENCE, healthy_at("v2", 4)).await?;
    let upgraded = began.elapsed();
    // The last old pods are deleted 5 s later.
    tokio::time::sleep(Duration::from_secs(12)).await;
    until_quiet(&scenario).await?;
    let (cpu, server_cpu) =
        (controller.cpu()? - cpu_before, api_server_cpu(&scenario.environment.run)? - server_before);
    let tally = audit.of_agent("kulta")?.in_namespace(&scenario.namespace);
    let (resident, peak) = (controller.resident()?, controller.resident_peak()?);
    let per = |count: usize| count as f64 / FLEET as f64;
    println!(
        "{FLEET} rollouts of 2 pods\n  resident: {} MiB without any, {} MiB with all idle, {} MiB after the upgrades, {} MiB at most\n  \
         idle for 10 s: {} requests, {idle_cpu:?} CPU\n  first deployments: {:.0?} (their objects written in {:.0?})\n  \
         all upgraded at once: {:.0?}, {:.1?} CPU of the controller, {:.1?} CPU of the API server\n  per upgrade: {:.1} writes, {:.1} Kubernetes events, {:.1} reads\n{tally}",
        idle / MEBIBYTE,
        when_idle / MEBIBYTE,
        resident / MEBIBYTE,
        peak / MEBIBYTE,
        idle_requests.len(),
        deployed,
        written,
        upgraded,
        cpu,
        server_cpu,
        per(tally.writes().len()),
        per(tally.events().len()),
        per(tally.reads().len()),
    );
    ensure!(idle_requests.is_empty(), "requests while idle: {idle_requests}");
    for (bytes, when) in [(when_idle, "once all are deployed"), (resident, "once all are upgraded")] {
        ensure!(bytes <= MOST_RESIDENT, "{bytes} bytes are resident {when}, more than {MOST_RESIDENT}");
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_hundred_timed_pauses_of_the_same_ten_seconds_end_on_time() -> Result<()> {
    println!("{}", timed_pauses("pauses", PAUSES_WITHIN).await?);
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_hundred_timed_pauses_of_the_same_moment_end_one_after_the_other() -> Result<()> {
    println!("{}", timed_pauses("pauses-at-once", Duration::ZERO).await?);
    Ok(())
}

/// Updates a hundred rollouts that have a pause, one after the other over a time, and returns how late the pauses are observed to end.
async fn timed_pauses(name: &str, over: Duration) -> Result<String> {
    let scenario = Scenario::begin(name).await?;
    let controller = kulta::start_with(&scenario, None, &[("KULTA_LOG_LEVEL", "info")]).await?;
    let canaries: Vec<Canary> = (0..PAUSES)
        .map(|number| {
            Canary::new(&format!("web-{number:03}"))
                .replicas(1)
                .without_routing()
                .steps(json!([{"pause": {"duration": PAUSE.as_secs()}}, {"pause": {}}]))
        })
        .collect();
    scenario
        .apply_side_by_side(canaries.iter().flat_map(|canary| canary.objects(&scenario.namespace)).collect())
        .await?;
    until_all(&scenario, PAUSES, "deployed", FLEET_PATIENCE, healthy_at("v1", 2)).await?;

    let updates: Vec<_> = canaries.iter().map(|canary| canary.clone().version("v2").rollout()).collect();
    let step = |index: i64| {
        move |rollout: &DynamicObject| {
            api::text(rollout, "/spec/template/metadata/labels/version") == "v2"
                && api::text(rollout, "/status/phase") == "Paused"
                && api::number(rollout, "/status/currentStepIndex") == index
        }
    };
    // Both watches start before the first update: a pause that ends before them would be observed late.
    let paused = until_all(&scenario, PAUSES, "paused", FLEET_PATIENCE, step(0));
    let past = until_all(&scenario, PAUSES, "past the pause", FLEET_PATIENCE, step(1));
    let (begun, ended, ()) = futures::try_join!(paused, past, async {
        if over.is_zero() {
            scenario.apply_side_by_side(updates).await?;
        } else {
            let mut each = tokio::time::interval(over / u32::try_from(PAUSES)?);
            for update in updates {
                each.tick().await;
                scenario.apply(update).await?;
            }
        }
        anyhow::Ok(())
    })?;
    let (mut late, mut due) = (Vec::new(), Vec::new());
    for (name, (_, paused)) in &begun {
        let start: jiff::Timestamp = api::text(paused, "/status/pauseConditions/0/startTime").parse()?;
        let (seen, _) = ended.get(name).context("a pause without an end")?;
        due.push(start.checked_add(PAUSE)?);
        late.push(seen.duration_since(start.checked_add(PAUSE)?).as_millis());
    }
    late.sort_unstable();
    due.sort_unstable();
    let within = due.last().zip(due.first()).map(|(last, first)| last.duration_since(*first).as_secs());
    // The percentile is the nearest rank.
    let at =
        |percent: usize| late.get((late.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
    ensure!(late.iter().all(|late| *late >= 0), "a pause ended before its time: {late:?}");
    controller.stop().await?;
    scenario.end().await?;
    Ok(format!(
        "{PAUSES} timed pauses of {PAUSE:?} that end within {} s: seen to end {} ms after their time at p50, {} ms at p99, {} ms at most",
        within.unwrap_or_default(),
        at(50),
        at(99),
        at(100)
    ))
}
