//! `kubectl argo rollouts` against KULTA: Argo's own plugin reads every state correctly, and its writes have their
//! effect.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api,
    argo::Argo,
    kinds,
    kulta::{deployed, pods, start},
    manifests::Canary,
    run_folder,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::json;

const WEB: &str = "web";

async fn until_paused_at(scenario: &Scenario, step: i64) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), WEB, &format!("the pause at step {step}"), |rollout| {
            api::text(rollout, "/status/phase") == "Paused"
                && api::number(rollout, "/status/currentStepIndex") == step
                && rollout.data.pointer("/status/pauseConditions/0").is_some()
                && api::text(rollout, "/status/observedGeneration")
                    == rollout.metadata.generation.unwrap_or_default().to_string()
        })
        .await
}

/// Ready and available pods are counted shortly after a step is reached.
async fn until_shown(argo: &Argo<'_>, wanted: &[(&str, &str)]) -> Result<kulta_tests::argo::Shown> {
    wait::poll("what is shown", SOON, || async {
        let shown = argo.get(WEB).await?;
        shown.says(wanted)?;
        Ok(Some(shown))
    })
    .await
}

/// The rows of `list rollouts`, word by word, without the header.
async fn listed(argo: &Argo<'_>) -> Result<Vec<Vec<String>>> {
    let rows = argo.run(&["list", "rollouts"]).await?;
    Ok(rows.lines().skip(1).map(|row| row.split_whitespace().map(str::to_owned).collect()).collect())
}

async fn pod_uids(scenario: &Scenario) -> Result<BTreeSet<String>> {
    let pods = scenario.list(&kinds::pod(), &format!("app={WEB}")).await?;
    let living = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(living.filter_map(|pod| pod.metadata.uid).collect())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_is_started_watched_and_promoted_by_steps_and_the_next_one_at_once() -> Result<()> {
    let scenario = Scenario::begin("argo-promote").await?;
    let controller = start(&scenario, None).await?;
    let argo = Argo::of(&scenario);
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
    deployed(&scenario, &Canary::new(WEB).steps(steps).canary(json!({"scaleDownDelaySeconds": 1}))).await?;
    let at_rest = until_shown(
        &argo,
        &[
            ("Name", WEB),
            ("Status", "✔ Healthy"),
            ("Message", ""),
            ("Strategy", "Canary"),
            ("Step", "4/4"),
            ("SetWeight", "100"),
            ("ActualWeight", "100"),
            ("Images", "example.test/app:v1 (stable)"),
            ("Desired", "2"),
            ("Current", "2"),
            ("Updated", "2"),
            ("Ready", "2"),
            ("Available", "2"),
        ],
    );
    at_rest.await?;
    ensure!(argo.status(WEB).await? == "Healthy");

    let said = argo.run(&["set", "image", WEB, "app=example.test/app:v2"]).await?;

    ensure!(said.contains("image updated"), "{said}");
    until_paused_at(&scenario, 1).await?;
    let paused = until_shown(
        &argo,
        &[
            ("Status", "॥ Paused"),
            ("Message", "CanaryPauseStep"),
            ("Step", "1/4"),
            ("SetWeight", "20"),
            ("ActualWeight", "20"),
            ("Images", "example.test/app:v1 (stable)"),
            ("Desired", "2"),
            ("Current", "3"),
            ("Updated", "1"),
            ("Ready", "3"),
            ("Available", "3"),
        ],
    )
    .await?;
    ensure!(paused.has_line(&["example.test/app:v2 (canary)"]), "{}", paused.0);
    ensure!(paused.has_line(&["revision:2"]) && paused.has_line(&["revision:1"]), "{}", paused.0);
    for role in ["stable", "canary"] {
        ensure!(paused.has_line(&["ReplicaSet", "✔ Healthy", role]), "no {role} ReplicaSet: {}", paused.0);
    }
    ensure!(argo.status(WEB).await? == "Paused - CanaryPauseStep");
    ensure!(
        listed(&argo).await? == [["web", "Canary", "Paused", "1/4", "20", "3/3", "2", "1", "3"]],
        "{:?}",
        listed(&argo).await?
    );

    let said = argo.run(&["promote", WEB]).await?;
    ensure!(said == "rollout 'web' promoted\n", "{said}");
    until_paused_at(&scenario, 3).await?;
    until_shown(&argo, &[("Step", "3/4"), ("SetWeight", "60"), ("ActualWeight", "60")]).await?;
    argo.run(&["promote", WEB]).await?;
    // As in a pipeline: waits until the rollout has ended, and fails with it.
    let told = argo.run(&["status", WEB, "--timeout", "60s"]).await?;
    ensure!(told.trim_end().ends_with("Healthy"), "{told}");
    // The old pods stay for their delay, because every running image is shown.
    until_shown(
        &argo,
        &[("Status", "✔ Healthy"), ("Step", "4/4"), ("Images", "example.test/app:v2 (stable)"), ("Current", "2")],
    )
    .await?;

    argo.run(&["set", "image", WEB, "app=example.test/app:v3"]).await?;
    until_paused_at(&scenario, 1).await?;
    let said = argo.run(&["promote", WEB, "--full"]).await?;
    ensure!(said == "rollout 'web' fully promoted\n", "{said}");
    argo.run(&["status", WEB, "--timeout", "60s"]).await?;
    let seen = scenario.get(&kinds::rollout(), WEB).await?;
    ensure!(api::text(&seen, "/status/duration/completionStatus") == "FastPromoted", "{:?}", seen.data);
    ensure!(api::text(&seen, "/status/stableRS") == api::text(&seen, "/status/currentPodHash"), "{:?}", seen.data);
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_is_aborted_shown_as_degraded_and_retried() -> Result<()> {
    let scenario = Scenario::begin("argo-abort").await?;
    let controller = start(&scenario, None).await?;
    let argo = Argo::of(&scenario);
    let canary = Canary::new(WEB).steps(json!([{"setWeight": 20}, {"pause": {}}]));
    deployed(&scenario, &canary.canary(json!({"abortScaleDownDelaySeconds": 1}))).await?;
    argo.run(&["set", "image", WEB, "app=example.test/app:v2"]).await?;
    until_paused_at(&scenario, 1).await?;
    scenario.until_weights(WEB, &[("web-stable", 80), ("web-canary", 20)]).await?;

    let said = argo.run(&["abort", WEB]).await?;

    ensure!(said == "rollout 'web' aborted\n", "{said}");
    scenario.until_weights(WEB, &[("web-stable", 100), ("web-canary", 0)]).await?;
    scenario.until_phase(WEB, "Degraded").await?;
    let message = "RolloutAborted: Rollout aborted update to revision 2";
    until_shown(
        &argo,
        &[
            ("Status", "✖ Degraded"),
            ("Message", message),
            ("Step", "0/2"),
            ("SetWeight", "0"),
            ("ActualWeight", "0"),
            ("Images", "example.test/app:v1 (stable)"),
            ("Current", "2"),
            ("Ready", "2"),
            ("Available", "2"),
        ],
    )
    .await?;
    let answer = argo.ask(&["status", WEB, "--watch=false"]).await?;
    ensure!(!answer.succeeded && answer.output.trim() == "Degraded" && answer.errors.contains(message), "{answer:?}");

    let said = argo.run(&["retry", "rollout", WEB]).await?;
    ensure!(said == "rollout 'web' retried\n", "{said}");
    until_paused_at(&scenario, 1).await?;
    scenario.until_weights(WEB, &[("web-stable", 80), ("web-canary", 20)]).await?;
    until_shown(&argo, &[("Status", "॥ Paused"), ("Step", "1/2"), ("ActualWeight", "20")]).await?;
    argo.run(&["promote", WEB]).await?;
    argo.run(&["status", WEB, "--timeout", "60s"]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_update_is_undone_with_the_existing_replica_set() -> Result<()> {
    let scenario = Scenario::begin("argo-undo").await?;
    let controller = start(&scenario, None).await?;
    let argo = Argo::of(&scenario);
    deployed(&scenario, &Canary::new(WEB).without_routing()).await?;
    let first = api::text(&scenario.get(&kinds::rollout(), WEB).await?, "/status/stableRS").to_owned();
    argo.run(&["set", "image", WEB, "app=example.test/app:v2"]).await?;
    until_paused_at(&scenario, 1).await?;
    until_shown(&argo, &[("SetWeight", "50"), ("ActualWeight", "50"), ("Current", "2"), ("Updated", "1")]).await?;
    argo.run(&["promote", WEB]).await?;
    argo.run(&["status", WEB, "--timeout", "60s"]).await?;

    let said = argo.run(&["undo", WEB]).await?;

    ensure!(said.contains("undo"), "{said}");
    let seen = until_paused_at(&scenario, 1).await?;
    ensure!(api::text(&seen, "/status/currentPodHash") == first, "a new revision for an old template: {:?}", seen.data);
    ensure!(scenario.replica_sets(WEB).await?.len() == 2, "a third ReplicaSet");
    let shown = until_shown(&argo, &[("Images", "example.test/app:v1 (canary)"), ("Step", "1/2")]).await?;
    ensure!(shown.has_line(&["revision:3"]) && !shown.has_line(&["revision:1"]), "{}", shown.0);
    argo.run(&["promote", WEB]).await?;
    argo.run(&["status", WEB, "--timeout", "60s"]).await?;

    // And undone again during the update: a rollback to stable takes no steps.
    argo.run(&["undo", WEB, "--to-revision", "2"]).await?;
    until_paused_at(&scenario, 1).await?;
    argo.run(&["undo", WEB, "--to-revision", "3"]).await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(api::text(&seen, "/status/currentPodHash") == first, "{:?}", seen.data);
    ensure!(scenario.replica_sets(WEB).await?.len() == 2, "a third ReplicaSet");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_is_restarted_and_a_paused_one_waits_for_its_promotion() -> Result<()> {
    let scenario = Scenario::begin("argo-pause").await?;
    let controller = start(&scenario, None).await?;
    let argo = Argo::of(&scenario);
    deployed(&scenario, &Canary::new(WEB).without_routing()).await?;
    let before = pod_uids(&scenario).await?;
    let newest = scenario.list(&kinds::pod(), &format!("app={WEB}")).await?;
    let newest = newest.iter().filter_map(|pod| pod.metadata.creation_timestamp.as_ref()).map(|time| time.0).max();
    let newest = newest.context("no pod")?.as_second();
    wait::poll("the next second", SOON, || async { Ok((jiff::Timestamp::now().as_second() > newest).then_some(())) })
        .await?;

    let said = argo.run(&["restart", WEB]).await?;

    ensure!(said.contains("rollout 'web' restarts in"), "{said}");
    scenario
        .until(&kinds::rollout(), WEB, "the end of the restart", |rollout| {
            let wanted = api::text(rollout, "/spec/restartAt");
            !wanted.is_empty() && api::text(rollout, "/status/restartedAt") == wanted
        })
        .await?;
    argo.run(&["status", WEB, "--timeout", "60s"]).await?;
    ensure!(pod_uids(&scenario).await?.is_disjoint(&before), "every pod is a new one");

    let said = argo.run(&["pause", WEB]).await?;
    ensure!(said == "rollout 'web' paused\n", "{said}");
    argo.run(&["set", "image", WEB, "app=example.test/app:v2"]).await?;
    let seen = scenario.until_phase(WEB, "Paused").await?;
    ensure!(api::text(&seen, "/status/message") == "manually paused", "{:?}", seen.data);
    until_shown(&argo, &[("Status", "॥ Paused"), ("Message", "manually paused"), ("Updated", "0")]).await?;
    ensure!(argo.status(WEB).await? == "Paused - manually paused");
    ensure!(pods(&scenario, WEB).await? == [2], "new pods while stopped");
    argo.run(&["promote", WEB]).await?;
    until_paused_at(&scenario, 1).await?;
    ensure!(pods(&scenario, WEB).await? == [1, 1]);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn errors_of_argos_lint_are_errors_of_kulta_and_manifests_that_both_accept_are_valid() -> Result<()> {
    let scenario = Scenario::begin("argo-lint").await?;
    let controller = start(&scenario, None).await?;
    let argo = Argo::of(&scenario);
    let manifests = run_folder::repository().join("host/api/tests/manifests");
    for name in ["basic-canary", "gateway-canary", "dynamic-scale", "no-steps", "analysed"] {
        let file = manifests.join(format!("good/{name}.yaml"));
        argo.run(&["lint", "-f", &file.to_string_lossy()]).await.with_context(|| format!("KULTA takes {name}"))?;
    }
    let bad = Canary::new(WEB).without_routing().canary(json!({"maxSurge": 0, "maxUnavailable": 0}));
    let bad = bad.steps(json!([{"setWeight": 250}, {"pause": {"duration": -1}}])).rollout();
    let file = scenario.environment.run.join("lint.json");
    tokio::fs::write(&file, serde_json::to_vec(&bad)?).await?;

    let found = argo.ask(&["lint", "-f", &file.to_string_lossy()]).await?;

    ensure!(!found.succeeded && found.output.lines().count() == 3, "{found:?}");
    scenario.apply(bad).await?;
    let seen = scenario.until_phase(WEB, "Degraded").await?;
    let message = api::text(&seen, "/status/message");
    for field in ["maxSurge", "steps[0].setWeight", "steps[1].pause.duration"] {
        ensure!(message.contains(&format!("spec.strategy.canary.{field}")), "{field} is not named: {message}");
    }
    until_shown(&argo, &[("Status", "✖ Degraded"), ("Message", message)]).await?;
    controller.stop().await?;
    scenario.end().await
}
