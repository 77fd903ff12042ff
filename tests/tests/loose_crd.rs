//! Rollouts that a permissive CRD accepts and that cannot be decoded. A cluster has one Rollout CRD, so these scenarios
//! need a separate cluster: `make cluster-test` uses the one of `stock_crd`, after it.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, rights_on_loose_crd, start, updated},
    manifests::Canary,
    scenario::Scenario,
};
use serde_json::{Value, json};

fn plain(name: &str) -> Canary {
    Canary::new(name).without_routing().steps(json!([{"setWeight": 50}, {"pause": {}}]))
}

/// An error, as a merge patch on a valid Rollout: its name, the patch, and the field that must be named.
fn faults() -> Vec<(&'static str, Value, &'static str)> {
    let canary = |fields: Value| json!({"spec": {"strategy": {"canary": fields}}});
    vec![
        ("text-for-number", json!({"spec": {"replicas": "x"}}), "spec.replicas"),
        (
            "list-for-object",
            canary(json!({"steps": [{"setWeight": 50}, {"pause": ["5m"]}]})),
            "spec.strategy.canary.steps[1].pause",
        ),
        ("object-for-list", canary(json!({"steps": {"setWeight": 50}})), "spec.strategy.canary.steps"),
        (
            "text-for-weight",
            canary(json!({"steps": [{"setWeight": "half"}]})),
            "spec.strategy.canary.steps[0].setWeight",
        ),
        ("text-for-object", canary(json!({"trafficRouting": "gateway"})), "spec.strategy.canary.trafficRouting"),
        (
            "number-for-label",
            json!({"spec": {"selector": {"matchLabels": {"tier": 5}}}}),
            "spec.selector.matchLabels.tier",
        ),
        ("text-for-template", json!({"spec": {"template": "web"}}), "spec.template"),
        ("fraction-of-a-pod", json!({"spec": {"replicas": 1.5}}), "spec.replicas"),
        ("no-spec", json!({"spec": "later"}), "spec"),
    ]
}

/// Waits until the Rollout is rejected, and checks that the message names the object and the field.
async fn until_named(scenario: &Scenario, name: &str, field: &str) -> Result<DynamicObject> {
    let seen = scenario
        .until(&kinds::rollout(), name, "InvalidSpec", |rollout| {
            api::condition(rollout, "InvalidSpec").is_some_and(|(status, _)| status == "True")
        })
        .await?;
    let message = api::text(&seen, "/status/message");
    ensure!(message.contains(&format!("{name:?}")), "{name} is not named: {message}");
    let named = message.split(|c: char| c.is_whitespace() || c == ',').any(|word| word.trim_end_matches(':') == field);
    ensure!(named, "{field} is not named: {message}");
    Ok(seen)
}

async fn told_once(scenario: &Scenario, name: &str, field: &str) -> Result<()> {
    let names_it = |(reason, message): &&(String, String)| reason == "InvalidSpec" && message.contains(field);
    scenario.until_events("Rollout", name, |events| events.iter().filter(names_it).count() == 1).await.map(drop)
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn undecodable_objects_are_reported_by_name_and_field_harm_no_other_and_are_served_once_repaired() -> Result<()> {
    let scenario = Scenario::begin("faults").await?;
    rights_on_loose_crd(&scenario).await?;
    // They exist before the controller: its first list has them all.
    for (name, fault, _) in faults() {
        let mut rollout = plain(name).rollout();
        json_patch::merge(&mut rollout, &fault);
        scenario.apply(rollout).await?;
    }
    let controller = start(&scenario, None).await?;
    let good = plain("web");

    deployed(&scenario, &good).await?;
    updated(&scenario, &good).await?;
    scenario.until_phase("web", "Paused").await?;
    for (name, _, field) in faults() {
        until_named(&scenario, name, field).await?;
        told_once(&scenario, name, field).await?;
        ensure!(scenario.replica_sets(name).await?.is_empty(), "something was made of {name}");
    }
    scenario.verbs("web").promote().await?;
    scenario.until_phase("web", "Healthy").await?;

    for (name, ..) in faults() {
        // Not by server-side apply: another manager keeps owning a field that it wrote with another type.
        let whole: DynamicObject = serde_json::from_value(plain(name).rollout())?;
        scenario.patch(&kinds::rollout(), name, json!({"spec": null})).await?;
        scenario.patch(&kinds::rollout(), name, whole.data).await?;
        let seen = scenario.until_phase(name, "Healthy").await?;
        ensure!(api::condition(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
        ensure!(pods(&scenario, name).await? == [2], "{name} has no pods");
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn an_unknown_field_is_ignored_with_a_warning_as_in_argo_rollouts() -> Result<()> {
    let scenario = Scenario::begin("unknown").await?;
    rights_on_loose_crd(&scenario).await?;
    let mut rollout = plain("web").rollout();
    json_patch::merge(&mut rollout, &json!({"spec": {"replcas": 2}}));
    rollout["spec"]["strategy"]["canary"]["steps"][0]["until"] = json!("noon");
    scenario.apply(rollout).await?;
    let controller = start(&scenario, None).await?;

    scenario.until_phase("web", "Healthy").await?;

    for field in ["spec.replcas", "spec.strategy.canary.steps[0].until"] {
        let names_it = |(reason, message): &&(String, String)| reason == "SpecWarning" && message.contains(field);
        scenario.until_events("Rollout", "web", |events| events.iter().filter(names_it).count() == 1).await?;
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn an_undecodable_update_is_not_applied_also_after_a_restart_and_continues_once_repaired() -> Result<()> {
    let scenario = Scenario::begin("unreadable").await?;
    rights_on_loose_crd(&scenario).await?;
    let controller = start(&scenario, None).await?;
    let canary = plain("web");
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let before = scenario.until_phase("web", "Paused").await?;
    let mut pods_before = scenario.list(&kinds::pod(), "app=web").await?;

    scenario.patch(&kinds::rollout(), "web", json!({"spec": {"replicas": "x"}})).await?;
    until_named(&scenario, "web", "spec.replicas").await?;
    told_once(&scenario, "web", "spec.replicas").await?;
    controller.kill().await?;
    let controller = start(&scenario, None).await?;
    deployed(&scenario, &plain("other")).await?;
    until_named(&scenario, "web", "spec.replicas").await?;
    told_once(&scenario, "web", "spec.replicas").await?;
    let mut pods_after = scenario.list(&kinds::pod(), "app=web").await?;
    for pods in [&mut pods_before, &mut pods_after] {
        pods.sort_by_key(|pod| pod.metadata.uid.clone());
    }
    let uids = |pods: &[DynamicObject]| pods.iter().map(|pod| pod.metadata.uid.clone()).collect::<Vec<_>>();
    ensure!(uids(&pods_before) == uids(&pods_after), "pods of an unreadable Rollout came or went");

    scenario.patch(&kinds::rollout(), "web", json!({"spec": {"replicas": 2}})).await?;
    let seen = scenario.until_phase("web", "Paused").await?;
    for field in ["/status/currentPodHash", "/status/stableRS", "/status/currentStepIndex"] {
        ensure!(before.data.pointer(field) == seen.data.pointer(field), "{field} moved: {:?}", seen.data);
    }
    scenario.verbs("web").promote().await?;
    scenario.until_phase("web", "Healthy").await?;
    ensure!(scenario.replica_sets("web").await?.len() == 2, "a ReplicaSet was made twice");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn an_undecodable_status_is_reported_and_repaired_by_its_writer() -> Result<()> {
    let scenario = Scenario::begin("bad-status").await?;
    rights_on_loose_crd(&scenario).await?;
    let controller = start(&scenario, None).await?;
    let canary = plain("web");
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    scenario.until_phase("web", "Paused").await?;

    scenario.verbs("web").patch_status(json!({"status": {"currentStepIndex": "one"}})).await?;

    until_named(&scenario, "web", "status.currentStepIndex").await?;
    told_once(&scenario, "web", "status.currentStepIndex").await?;
    ensure!(pods(&scenario, "web").await? == [1, 1], "pods of an unreadable Rollout came or went");
    scenario.verbs("web").patch_status(json!({"status": {"currentStepIndex": 1}})).await?;
    let seen = scenario.until_phase("web", "Paused").await?;
    ensure!(api::condition(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
    scenario.verbs("web").promote().await?;
    scenario.until_phase("web", "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}
