//! Rollouts that a CRD without a schema lets through and that nobody can read as Rollouts. A cluster has one Rollout CRD, so these
//! stories need a cluster of their own: `make cluster-test` gives them that of `stock_crd`, after it.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, rights_on_loose_crd, start, updated},
    manifests::Canary,
    story::Story,
};
use serde_json::{Value, json};

fn plain(name: &str) -> Canary {
    Canary::new(name).without_routing().steps(json!([{"setWeight": 50}, {"pause": {}}]))
}

/// A fault, as a merge patch on a good Rollout: its name, the patch, and the field that has to be named.
fn faults() -> Vec<(&'static str, Value, &'static str)> {
    let canary = |fields: Value| json!({"spec": {"strategy": {"canary": fields}}});
    vec![
        ("text-for-number", json!({"spec": {"replicas": "x"}}), "spec.replicas"),
        ("slip-of-the-pen", json!({"spec": {"replcas": 2}}), "spec.replcas"),
        (
            "unknown-deep",
            canary(json!({"steps": [{"setWeight": 50, "until": "noon"}]})),
            "spec.strategy.canary.steps[0].until",
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

/// Waits until the Rollout is refused, and checks that it is told which object and which field is meant.
async fn until_named(story: &Story, name: &str, field: &str) -> Result<DynamicObject> {
    let seen = story
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

async fn told_once(story: &Story, name: &str, field: &str) -> Result<()> {
    let names_it = |(reason, message): &&(String, String)| reason == "InvalidSpec" && message.contains(field);
    story.until_events("Rollout", name, |events| events.iter().filter(names_it).count() == 1).await.map(drop)
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn objects_that_cannot_be_read_are_told_by_name_and_field_harm_no_other_and_are_served_once_repaired()
-> Result<()> {
    let story = Story::begin("faults").await?;
    rights_on_loose_crd(&story).await?;
    // They are there before the controller: its first list has them all.
    for (name, fault, _) in faults() {
        let mut rollout = plain(name).rollout();
        json_patch::merge(&mut rollout, &fault);
        story.apply(rollout).await?;
    }
    let controller = start(&story, None).await?;
    let good = plain("web");

    deployed(&story, &good).await?;
    updated(&story, &good).await?;
    story.until_phase("web", "Paused").await?;
    for (name, _, field) in faults() {
        until_named(&story, name, field).await?;
        told_once(&story, name, field).await?;
        ensure!(story.replica_sets(name).await?.is_empty(), "something was made of {name}");
    }
    story.verbs("web").promote().await?;
    story.until_phase("web", "Healthy").await?;

    for (name, ..) in faults() {
        // Not applied: a field that someone else wrote by another type stays theirs.
        let whole: DynamicObject = serde_json::from_value(plain(name).rollout())?;
        story.patch(&kinds::rollout(), name, json!({"spec": null})).await?;
        story.patch(&kinds::rollout(), name, whole.data).await?;
        let seen = story.until_phase(name, "Healthy").await?;
        ensure!(api::condition(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
        ensure!(pods(&story, name).await? == [2], "{name} has no pods");
    }
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn an_update_that_becomes_unreadable_stays_as_it_is_also_for_the_next_controller_and_goes_on_once_repaired()
-> Result<()> {
    let story = Story::begin("unreadable").await?;
    rights_on_loose_crd(&story).await?;
    let controller = start(&story, None).await?;
    let canary = plain("web");
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    let before = story.until_phase("web", "Paused").await?;
    let mut pods_before = story.list(&kinds::pod(), "app=web").await?;

    story.patch(&kinds::rollout(), "web", json!({"spec": {"replicas": "x"}})).await?;
    until_named(&story, "web", "spec.replicas").await?;
    told_once(&story, "web", "spec.replicas").await?;
    controller.kill().await?;
    let controller = start(&story, None).await?;
    deployed(&story, &plain("other")).await?;
    until_named(&story, "web", "spec.replicas").await?;
    told_once(&story, "web", "spec.replicas").await?;
    let mut pods_after = story.list(&kinds::pod(), "app=web").await?;
    for pods in [&mut pods_before, &mut pods_after] {
        pods.sort_by_key(|pod| pod.metadata.uid.clone());
    }
    let uids = |pods: &[DynamicObject]| pods.iter().map(|pod| pod.metadata.uid.clone()).collect::<Vec<_>>();
    ensure!(uids(&pods_before) == uids(&pods_after), "pods of an unreadable Rollout came or went");

    story.patch(&kinds::rollout(), "web", json!({"spec": {"replicas": 2}})).await?;
    let seen = story.until_phase("web", "Paused").await?;
    for field in ["/status/currentPodHash", "/status/stableRS", "/status/currentStepIndex"] {
        ensure!(before.data.pointer(field) == seen.data.pointer(field), "{field} moved: {:?}", seen.data);
    }
    story.verbs("web").promote().await?;
    story.until_phase("web", "Healthy").await?;
    ensure!(story.replica_sets("web").await?.len() == 2, "a ReplicaSet was made twice");
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "replaces the cluster's Rollout CRD"]
async fn a_status_that_cannot_be_read_is_named_and_put_right_by_whoever_broke_it() -> Result<()> {
    let story = Story::begin("bad-status").await?;
    rights_on_loose_crd(&story).await?;
    let controller = start(&story, None).await?;
    let canary = plain("web");
    deployed(&story, &canary).await?;
    updated(&story, &canary).await?;
    story.until_phase("web", "Paused").await?;

    story.verbs("web").patch_status(json!({"status": {"currentStepIndex": "one"}})).await?;

    until_named(&story, "web", "status.currentStepIndex").await?;
    told_once(&story, "web", "status.currentStepIndex").await?;
    ensure!(pods(&story, "web").await? == [1, 1], "pods of an unreadable Rollout came or went");
    story.verbs("web").patch_status(json!({"status": {"currentStepIndex": 1}})).await?;
    let seen = story.until_phase("web", "Paused").await?;
    ensure!(api::condition(&seen, "InvalidSpec").is_none(), "{:?}", seen.data);
    story.verbs("web").promote().await?;
    story.until_phase("web", "Healthy").await?;
    controller.stop().await?;
    story.end().await
}
