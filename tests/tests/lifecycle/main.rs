//! A rollout's lifecycle on a real control plane: fields, users' verbs, status, adoption from another controller, and
//! plugin strategies.

mod adoption;
mod autoscaling;
mod delays;
mod plugins;
mod pods;
mod restarts;
mod revisions;
mod scaling;
mod status;
mod unrouted;
mod verbs;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::pods,
    scenario::{SOON, Scenario, revision},
    wait,
};
use serde_json::{Value, json};

/// The name of nearly every scenario's Rollout.
const WEB: &str = "web";

fn text(object: &DynamicObject, pointer: &str) -> String {
    api::text(object, pointer).to_owned()
}

fn annotation(object: &DynamicObject, key: &str) -> Option<String> {
    object.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned()
}

fn name(object: &DynamicObject) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

/// Waits until the Rollout is paused at a step (counted from 0) and the controller has observed its newest spec.
async fn until_paused_at(scenario: &Scenario, rollout: &str, step: i64) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), rollout, &format!("the pause at step {step}"), |object| {
            text(object, "/status/phase") == "Paused"
                && api::number(object, "/status/currentStepIndex") == step
                && object.data.pointer("/status/pauseConditions/0").is_some()
                && text(object, "/status/observedGeneration")
                    == object.metadata.generation.unwrap_or_default().to_string()
        })
        .await
}

/// Waits until the revisions, oldest first, have these numbers of desired pods.
async fn until_pods(scenario: &Scenario, rollout: &str, wanted: &[i64]) -> Result<()> {
    wait::poll(&format!("{wanted:?} pods of each revision"), SOON, || async {
        let seen = pods(scenario, rollout).await?;
        anyhow::ensure!(seen == wanted, "the revisions want {seen:?} pods");
        Ok(Some(()))
    })
    .await
}

/// The ReplicaSet of a revision.
async fn replica_set(scenario: &Scenario, rollout: &str, number: i64) -> Result<DynamicObject> {
    let sets = scenario.replica_sets(rollout).await?;
    sets.into_iter().find(|set| revision(set) == number).with_context(|| format!("no ReplicaSet of revision {number}"))
}

/// The living pods of a version.
async fn living(scenario: &Scenario, rollout: &str, version: &str) -> Result<Vec<DynamicObject>> {
    let mut pods = scenario.list(&kinds::pod(), &format!("app={rollout},version={version}")).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

async fn living_uids(scenario: &Scenario, rollout: &str, version: &str) -> Result<BTreeSet<String>> {
    Ok(living(scenario, rollout, version).await?.iter().map(uid).collect())
}

/// Lets pods that were created never to become ready become ready: at most this number of them.
async fn let_be_ready(scenario: &Scenario, rollout: &str, at_most: usize) -> Result<()> {
    let unready = scenario.list(&kinds::pod(), &format!("app={rollout},kulta.test/ready=never")).await?;
    for pod in unready.iter().take(at_most) {
        let label = json!({"metadata": {"labels": {"kulta.test/ready": null}}});
        scenario.patch(&kinds::pod(), &name(pod), label).await?;
    }
    Ok(())
}

/// Waits for a second in which no existing object was created: the API stores whole seconds.
async fn until_a_new_second(newest: &DynamicObject) -> Result<()> {
    let created = newest.metadata.creation_timestamp.clone().context("no creation time")?.0.as_second();
    wait::poll("the next second", SOON, || async { Ok((jiff::Timestamp::now().as_second() > created).then_some(())) })
        .await
}

/// Status, reason and message of a condition.
fn says(object: &DynamicObject, kind: &str) -> Option<(String, String, String)> {
    let all = object.data.pointer("/status/conditions")?.as_array()?;
    let found = all.iter().find(|entry| entry.get("type").and_then(Value::as_str) == Some(kind))?;
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// As [`says`], for comparing with literals.
fn said(status: &str, reason: &str, message: &str) -> Option<(String, String, String)> {
    Some((status.to_owned(), reason.to_owned(), message.to_owned()))
}
