//! Effects of verdicts on a rollout, and of users' verbs on analyses; the scenario sets the metrics' answers.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds, kulta,
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

use crate::{
    WEB, analysis, message, metric, name, result, run_of, runs_of, template, until_paused_at, until_rolled_back,
    until_run, until_stable,
};

/// At least 1 passes, less than 0 fails, anything between is inconclusive.
fn unsure(address: &str, fields: Value) -> Value {
    let mut metric = metric("m", address, json!({"failureCondition": "result[0] < 0"}));
    json_patch::merge(&mut metric, &fields);
    metric
}

/// One analysis step between two weights.
fn stepwise() -> Canary {
    Canary::new(WEB)
        .without_routing()
        .steps(json!([{"setWeight": 50}, {"analysis": analysis("t", json!({}))}, {"pause": {}}]))
}

/// An analysis in the background of an indefinite pause.
fn background() -> Canary {
    Canary::new(WEB)
        .without_routing()
        .steps(json!([{"setWeight": 50}, {"pause": {}}]))
        .canary(json!({"analysis": analysis("t", json!({}))}))
}

fn paused_for(rollout: &DynamicObject) -> Vec<&str> {
    let pauses = rollout.data.pointer("/status/pauseConditions").and_then(Value::as_array).into_iter().flatten();
    pauses.filter_map(|pause| pause["reason"].as_str()).collect()
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_inconclusive_step_pauses_and_promote_passes_it() -> Result<()> {
    let scenario = Scenario::begin("unsure").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("0")).await?;
    scenario.apply(template("t", vec![unsure(&server.url(), json!({}))], json!({}))).await?;
    kulta::deployed(&scenario, &stepwise()).await?;

    kulta::updated(&scenario, &stepwise()).await?;

    let seen = until_paused_at(&scenario, WEB, 1).await?;
    ensure!(paused_for(&seen) == ["InconclusiveAnalysisRun"], "{:?}", seen.data);
    ensure!(message(&seen) == "InconclusiveAnalysisRun", "{}", message(&seen));
    let record = seen.data.pointer("/status/canary/currentStepAnalysisRunStatus/status");
    ensure!(record == Some(&json!("Inconclusive")), "{record:?}");
    scenario.verbs(WEB).promote().await?;
    let seen = until_paused_at(&scenario, WEB, 2).await?;
    ensure!(paused_for(&seen) == ["CanaryPauseStep"], "{:?}", seen.data);
    scenario.verbs(WEB).promote().await?;
    until_stable(&scenario, WEB).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_inconclusive_background_analysis_pauses_and_is_repeated_after_promote() -> Result<()> {
    let scenario = Scenario::begin("unsure-behind").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("0")).await?;
    scenario.apply(template("t", vec![unsure(&server.url(), json!({"interval": "1s"}))], json!({}))).await?;
    let canary = background().steps(json!([{"setWeight": 50}, {"pause": {"duration": "10m"}}, {"pause": {}}]));
    kulta::deployed(&scenario, &canary).await?;
    kulta::updated(&scenario, &canary).await?;
    scenario
        .until(&kinds::rollout(), WEB, "the pause by analysis", |rollout| {
            paused_for(rollout).contains(&"InconclusiveAnalysisRun")
        })
        .await?;
    let first = run_of(&scenario, WEB, 2, "Background").await?;

    server.set(Mode::sample("2"));
    scenario.verbs(WEB).promote().await?;

    let repeated = until_run(&scenario, &format!("{}.1", name(&first)), "Running").await?;
    ensure!(result(&repeated, "m").is_err() || result(&repeated, "m")?.get("failed").is_none(), "{:?}", repeated.data);
    let seen = scenario.get(&kinds::rollout(), WEB).await?;
    ensure!(!paused_for(&seen).contains(&"InconclusiveAnalysisRun"), "{:?}", seen.data);
    scenario.verbs(WEB).promote_full().await?;
    until_stable(&scenario, WEB).await?;
    until_run(&scenario, &name(&repeated), "Successful").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_run_ends_when_its_rollout_moves_on_or_is_aborted() -> Result<()> {
    let scenario = Scenario::begin("moved-on").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    scenario.apply(template("t", vec![metric("m", &server.url(), json!({"interval": "1s"}))], json!({}))).await?;
    kulta::deployed(&scenario, &background()).await?;
    kulta::updated(&scenario, &background()).await?;
    let second = run_of(&scenario, WEB, 2, "Background").await?;
    until_run(&scenario, &name(&second), "Running").await?;

    kulta::updated_to(&scenario, &background(), "v3").await?;
    let third = run_of(&scenario, WEB, 3, "Background").await?;
    let seen = until_run(&scenario, &name(&second), "Successful").await?;
    ensure!(message(&seen) == "Run Terminated", "{}", message(&seen));
    until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).abort().await?;

    let seen = until_run(&scenario, &name(&third), "Successful").await?;
    ensure!(message(&seen) == "Run Terminated", "{}", message(&seen));
    until_rolled_back(&scenario, WEB).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn retry_after_an_abort_is_judged_by_a_new_run() -> Result<()> {
    let scenario = Scenario::begin("again").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("0")).await?;
    scenario.apply(template("t", vec![metric("m", &server.url(), json!({}))], json!({}))).await?;
    kulta::deployed(&scenario, &stepwise()).await?;
    kulta::updated(&scenario, &stepwise()).await?;
    let seen = until_rolled_back(&scenario, WEB).await?;
    ensure!(
        message(&seen).contains("Step-based analysis phase error/failed: Metric \"m\" assessed Failed"),
        "{}",
        message(&seen)
    );
    let record = seen.data.pointer("/status/canary/currentStepAnalysisRunStatus/status");
    ensure!(record == Some(&json!("Failed")), "{record:?}");
    let failed = run_of(&scenario, WEB, 2, "Step").await?;

    server.set(Mode::sample("1"));
    scenario.verbs(WEB).retry().await?;

    until_run(&scenario, &format!("{}.1", name(&failed)), "Successful").await?;
    until_paused_at(&scenario, WEB, 2).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_restore_of_stable_is_not_analysed() -> Result<()> {
    let scenario = Scenario::begin("way-back").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    scenario.apply(template("t", vec![metric("m", &server.url(), json!({}))], json!({}))).await?;
    let canary = stepwise().spec(json!({"rollbackWindow": {"revisions": 1}}));
    kulta::deployed(&scenario, &canary).await?;
    // The order of revisions is known by whole seconds.
    let first = scenario.replica_sets(WEB).await?.into_iter().next().context("no ReplicaSet")?;
    let created = first.metadata.creation_timestamp.context("no creation time")?.0.as_second();
    wait::poll("the next second", SOON, || async { Ok((jiff::Timestamp::now().as_second() > created).then_some(())) })
        .await?;
    kulta::updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 2).await?;

    // During the update, and then after it, within the rollback window.
    kulta::updated_to(&scenario, &canary, "v1").await?;
    until_stable(&scenario, WEB).await?;
    kulta::updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 2).await?;
    scenario.verbs(WEB).promote().await?;
    until_stable(&scenario, WEB).await?;
    kulta::updated_to(&scenario, &canary, "v1").await?;
    let seen = until_stable(&scenario, WEB).await?;

    ensure!(api::number(&seen, "/status/currentStepIndex") == 3, "{:?}", seen.data);
    let hash = api::text(&seen, "/status/currentPodHash");
    let runs = runs_of(&scenario, WEB).await?;
    let back: Vec<String> = runs.iter().map(name).filter(|run| run.contains(hash)).collect();
    ensure!(back.is_empty() && runs.len() == 2, "{back:?} of {}", runs.len());
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn old_runs_beyond_the_history_limits_are_deleted() -> Result<()> {
    let scenario = Scenario::begin("history").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    scenario.apply(template("t", vec![metric("m", &server.url(), json!({}))], json!({}))).await?;
    let limits = json!({"analysis": {"successfulRunHistoryLimit": 1, "unsuccessfulRunHistoryLimit": 1}});
    let canary = stepwise().steps(json!([{"setWeight": 50}, {"analysis": analysis("t", json!({}))}])).spec(limits);
    kulta::deployed(&scenario, &canary).await?;

    for version in ["v2", "v3", "v4"] {
        kulta::updated_to(&scenario, &canary, version).await?;
        until_stable(&scenario, WEB).await?;
    }

    wait::poll("one run that is left", SOON, || async {
        let runs = runs_of(&scenario, WEB).await?;
        let left: Vec<&str> = runs
            .iter()
            .filter_map(|run| Some(run.metadata.annotations.as_ref()?.get("rollout.argoproj.io/revision")?.as_str()))
            .collect();
        ensure!(left == ["4"], "runs of the revisions {left:?} are left");
        Ok(Some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn failed_runs_have_a_separate_limit_and_the_newest_of_each_kind_are_kept() -> Result<()> {
    let scenario = Scenario::begin("histories").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    scenario.apply(template("t", vec![metric("m", &server.url(), json!({}))], json!({}))).await?;
    let limits = json!({"analysis": {"successfulRunHistoryLimit": 2, "unsuccessfulRunHistoryLimit": 1}});
    let canary = stepwise().steps(json!([{"setWeight": 50}, {"analysis": analysis("t", json!({}))}])).spec(limits);
    kulta::deployed(&scenario, &canary).await?;

    for (version, value) in [("v2", "1"), ("v3", "0"), ("v4", "0"), ("v5", "1"), ("v6", "1")] {
        server.set(Mode::sample(value));
        kulta::updated_to(&scenario, &canary, version).await?;
        if value == "1" {
            until_stable(&scenario, WEB).await?;
        } else {
            until_rolled_back(&scenario, WEB).await?;
        }
    }

    wait::poll("the newest runs that are left", SOON, || async {
        let mut left: Vec<String> = runs_of(&scenario, WEB).await?.iter().map(revision_and_phase).collect();
        left.sort();
        ensure!(left == ["4 Failed", "5 Successful", "6 Successful"], "{left:?} are left");
        Ok(Some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}

fn revision_and_phase(run: &DynamicObject) -> String {
    let annotations = run.metadata.annotations.as_ref();
    let revision = annotations.and_then(|all| all.get("rollout.argoproj.io/revision")).cloned().unwrap_or_default();
    format!("{revision} {}", api::text(run, "/status/phase"))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn cluster_templates_and_nested_templates_make_one_run() -> Result<()> {
    let scenario = Scenario::begin("nested").await?;
    let controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    let named = |name: &str, metric_name: &str, fields: Value| {
        template(name, vec![metric(metric_name, &server.url(), json!({}))], fields)
    };
    let shared = format!("shared-{}", scenario.namespace);
    let mut cluster = named(&shared, "of-the-cluster", json!({"args": [{"name": "who", "value": "nobody"}]}));
    json_patch::merge(&mut cluster, &json!({"kind": "ClusterAnalysisTemplate"}));
    json_patch::merge(
        &mut cluster["spec"]["metrics"][0],
        &json!({"provider": {"prometheus": {"query": "up{who=\"{{args.who}}\"}"}}}),
    );
    scenario.apply(cluster).await?;
    scenario.apply(named("inner", "inner", json!({}))).await?;
    let nested = json!({"templates": [{"templateName": "inner"}, {"templateName": shared, "clusterScope": true}]});
    scenario.apply(named("t", "outer", nested)).await?;
    let args = json!({"args": [{"name": "who", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}}]});
    let canary = stepwise()
        .steps(json!([{"setWeight": 50}, {"analysis": analysis("t", args)}, {"pause": {}}]))
        .metadata(json!({"labels": {"team": "red"}}));
    kulta::deployed(&scenario, &canary).await?;

    kulta::updated(&scenario, &canary).await?;

    until_paused_at(&scenario, WEB, 2).await?;
    let run = run_of(&scenario, WEB, 2, "Step").await?;
    let metrics = run.data.pointer("/spec/metrics").and_then(Value::as_array).into_iter().flatten();
    let metrics: Vec<&str> = metrics.filter_map(|metric| metric["name"].as_str()).collect();
    ensure!(metrics == ["outer", "inner", "of-the-cluster"], "{metrics:?}");
    let asked = server.asked();
    ensure!(asked.iter().any(|asked| asked.request.start.contains("who%3D%22red%22")), "{asked:?}");
    kube::Api::<DynamicObject>::all_with(scenario.client.clone(), &kinds::cluster_analysis_template())
        .delete(&shared, &kube::api::DeleteParams::default())
        .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_repeatedly_killed_controller_creates_one_run_and_counts_each_measurement_once() -> Result<()> {
    let scenario = Scenario::begin("kills").await?;
    let mut controller = kulta::start(&scenario, None).await?;
    let server = Answers::start(Mode::sample("1")).await?;
    scenario.apply(template("t", vec![metric("m", &server.url(), json!({"interval": "1s"}))], json!({}))).await?;
    kulta::deployed(&scenario, &background()).await?;

    kulta::updated(&scenario, &background()).await?;
    for kill in 1..=4 {
        server.until_asked(server.asked().len() + kill, SOON).await?;
        controller.kill().await?;
        controller = kulta::start(&scenario, None).await?;
    }
    until_paused_at(&scenario, WEB, 1).await?;
    scenario.verbs(WEB).promote_full().await?;
    until_stable(&scenario, WEB).await?;

    let run = run_of(&scenario, WEB, 2, "Background").await?;
    let run = until_run(&scenario, &name(&run), "Successful").await?;
    ensure!(runs_of(&scenario, WEB).await?.len() == 1, "more than one run");
    let (counted, asked) = (api::number(&run, "/status/metricResults/0/count"), server.asked().len());
    let m = result(&run, "m")?;
    let mut started: Vec<&str> =
        m["measurements"].as_array().into_iter().flatten().filter_map(|one| one["startedAt"].as_str()).collect();
    started.dedup();
    ensure!(m["measurements"].as_array().map(Vec::len) == Some(started.len()), "two measurements of one second: {m}");
    // Each kill may lose the measurement in flight, and the run's end one more.
    let asked = i64::try_from(asked)?;
    ensure!(counted <= asked && counted >= asked - 5, "{counted} counted of {asked}");
    controller.stop().await?;
    scenario.end().await
}
