//! Rollouts on a real control plane, with the real binary.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api, cdevents, kinds,
    kulta::{deployed, pods, start, updated},
    load,
    manifests::Canary,
    run_folder,
    scenario::Scenario,
    sink::Sink,
};
use serde_json::{Value, json};

fn text(object: &kube::api::DynamicObject, pointer: &str) -> String {
    api::text(object, pointer).to_owned()
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_canary_goes_through_its_weights_to_the_end() -> Result<()> {
    let scenario = Scenario::begin("weights").await?;
    let sink = Sink::start().await?;
    let controller = start(&scenario, Some(&sink)).await?;
    let canary = Canary::new("web").replicas(2).version("v1").steps(json!([
        { "setWeight": 10 }, { "pause": { "duration": "2s" } }, { "setWeight": 50 }, { "pause": { "duration": "2s" } }
    ]));
    let canary = canary.canary(json!({ "scaleDownDelaySeconds": 2 }));
    deployed(&scenario, &canary).await?;
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let audit = scenario.audit()?;

    updated(&scenario, &canary).await?;
    scenario.until_weights("web", &[("web-stable", 90), ("web-canary", 10)]).await?;
    scenario.until_weights("web", &[("web-stable", 50), ("web-canary", 50)]).await?;
    scenario.until_phase("web", "Healthy").await?;
    scenario
        .until(&kinds::rollout(), "web", "revision 2 is stable and alone", |rollout| {
            text(rollout, "/status/stableRS") == text(rollout, "/status/currentPodHash")
                && api::number(rollout, "/status/replicas") == 2
                && api::number(rollout, "/status/currentStepIndex") == 4
        })
        .await?;
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let ours = audit.of_agent("kulta")?.in_namespace(&scenario.namespace);
    println!(
        "requests of a 4-step canary of 2 pods: {} writes, {} events, {} reads\n{ours}",
        ours.writes().len(),
        ours.events().len(),
        ours.reads().len()
    );
    // Argo Rollouts with its Gateway API plugin needs 34.
    ensure!(ours.writes().len() <= 20, "{} writes", ours.writes().len());
    let routes = ours.writes().only(|request| request.resource == "httproutes");
    ensure!(routes.len() == 4, "{} writes of the route for four changes of weight", routes.len());
    let events = sink.received();
    let schemas = cdevents::Schemas::load()?;
    for event in &events {
        schemas.check(&event.body).with_context(|| event.kind().to_owned())?;
    }
    let kinds: Vec<_> = events.iter().map(|event| event.kind().to_owned()).collect();
    println!("events: {kinds:?}");
    ensure!(kinds.iter().filter(|kind| kind.as_str() == "service.upgraded").count() == 1, "{kinds:?}");
    let mut ids: Vec<_> = events.iter().map(|event| event.id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    ensure!(ids.len() == events.len(), "an event was sent twice");
    println!("resident: {} KiB", controller.resident()? / 1024);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn no_request_fails_while_weights_move_and_while_an_update_is_aborted() -> Result<()> {
    let scenario = Scenario::begin("traffic").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").replicas(4).version("v1").steps(json!([
        { "setWeight": 25 }, { "pause": {} }, { "setWeight": 75 }, { "pause": {} }
    ]));
    let canary = canary.canary(json!({ "scaleDownDelaySeconds": 2, "abortScaleDownDelaySeconds": 2 }));
    deployed(&scenario, &canary).await?;
    let host = canary.host(&scenario.namespace);
    scenario.until_served(&host).await?;
    let running = load::Load::start(load::Plan::to(&host))?;

    updated(&scenario, &canary).await?;
    scenario.until_weights("web", &[("web-stable", 75), ("web-canary", 25)]).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let quarter = running.next(4_000).await?;
    scenario.verbs("web").promote().await?;
    scenario.until_weights("web", &[("web-stable", 25), ("web-canary", 75)]).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let three_quarters = running.next(4_000).await?;
    scenario.verbs("web").abort().await?;
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    scenario.until_phase("web", "Degraded").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    scenario.verbs("web").retry().await?;
    scenario.until_weights("web", &[("web-stable", 75), ("web-canary", 25)]).await?;
    scenario.verbs("web").promote_full().await?;
    scenario.until_phase("web", "Healthy").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let all = load::total(&running.stop().await);

    println!("at 25 %: {quarter}\nat 75 %: {three_quarters}\nin all: {all}");
    for (split, expected) in [(quarter, 25.0), (three_quarters, 75.0)] {
        let share: f64 = 100.0 - split.percent("v1");
        ensure!((share - expected).abs() <= 3.0, "{share} % instead of {expected} %");
    }
    ensure!(all.failed() == 0, "{} requests failed", all.failed());
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_canary_without_routes_scales_by_pods_and_is_restored_when_aborted() -> Result<()> {
    let scenario = Scenario::begin("basic").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new("web").replicas(4).version("v1").without_routing().steps(json!([
        { "setWeight": 25 }, { "pause": {} }
    ]));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;
    scenario.until_phase("web", "Paused").await?;
    let halfway = pods(&scenario, "web").await?;
    scenario.verbs("web").abort().await?;
    scenario.until_phase("web", "Degraded").await?;
    scenario
        .until(&kinds::rollout(), "web", "only stable pods", |rollout| {
            api::number(rollout, "/status/replicas") == 4 && api::number(rollout, "/status/updatedReplicas") == 0
        })
        .await?;
    let aborted = pods(&scenario, "web").await?;

    ensure!((halfway, aborted) == (vec![3, 1], vec![4, 0]), "pods of each revision");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_killed_controller_continues_after_its_restart() -> Result<()> {
    let scenario = Scenario::begin("killed").await?;
    let sink = Sink::start().await?;
    let mut running = start(&scenario, Some(&sink)).await?;
    let canary = Canary::new("web").replicas(2).version("v1").steps(json!([
        { "setWeight": 20 }, { "pause": { "duration": "1s" } }, { "setWeight": 60 }, { "pause": { "duration": "1s" } }
    ]));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    for delay in [150, 700, 1_300, 400] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        running.kill().await?;
        running = start(&scenario, Some(&sink)).await?;
    }

    scenario
        .until(&kinds::rollout(), "web", "the end", |rollout| {
            text(rollout, "/status/observedGeneration") == rollout.metadata.generation.unwrap_or(0).to_string()
                && text(rollout, "/status/phase") == "Healthy"
                && api::number(rollout, "/status/currentStepIndex") == 4
                && text(rollout, "/status/stableRS") == text(rollout, "/status/currentPodHash")
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let sets = scenario.replica_sets("web").await?;
    let named: Vec<_> =
        sets.iter().map(|set| format!("{:?} {:?}", set.metadata.name, set.metadata.annotations)).collect();
    ensure!(sets.len() == 2, "a ReplicaSet was made twice: {named:#?}");
    let mut by_id: std::collections::BTreeMap<String, Value> = Default::default();
    for event in sink.received() {
        let before = by_id.insert(event.id().to_owned(), event.body.clone());
        ensure!(before.is_none_or(|before| before == event.body), "one id, two scenarios");
    }
    let upgraded = by_id
        .values()
        .filter(|body| body["context"]["type"].as_str().is_some_and(|kind| kind.contains("service.upgraded")));
    ensure!(upgraded.count() == 1, "one upgrade, sent once");
    running.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_invalid_rollout_is_reported_and_harms_no_other() -> Result<()> {
    let scenario = Scenario::begin("invalid").await?;
    let controller = start(&scenario, None).await?;
    let bad = Canary::new("bad").without_routing().steps(json!([{ "setWeight": 250 }])).rollout();
    scenario.apply(bad).await?;
    let good = Canary::new("web").without_routing().version("v1").steps(json!([]));

    deployed(&scenario, &good).await?;

    let seen = scenario
        .until(&kinds::rollout(), "bad", "InvalidSpec", |rollout| api::condition(rollout, "InvalidSpec").is_some())
        .await?;
    let message = text(&seen, "/status/message");
    ensure!(message.contains("spec.strategy.canary.steps[0].setWeight"), "{message}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_shipped_manifests_are_accepted() -> Result<()> {
    let scenario = Scenario::begin("deploy").await?;
    let folder = run_folder::repository().join("deploy");
    api::apply_yaml(&scenario.client, &scenario.namespace, &std::fs::read_to_string(folder.join("namespace.yaml"))?)
        .await?;

    for file in ["rbac.yaml", "controller.yaml"] {
        for document in api::documents(&std::fs::read_to_string(folder.join(file))?)? {
            api::dry_run(&scenario.client, &scenario.namespace, document).await.with_context(|| file.to_owned())?;
        }
    }
    scenario.end().await
}
