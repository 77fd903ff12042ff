//! A rollout's life on a real control plane: what its fields do, what people's verbs do, what it says of itself, how it is taken
//! over from another controller, and strategies made by plugins.

mod adoption;
mod autoscaling;
mod delays;
mod plugins;
mod pods;
mod restarts;
mod revisions;
mod scaling;
mod status;
mod verbs;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::pods,
    story::{SOON, Story, revision},
    wait,
};
use serde_json::{Value, json};

/// The name of nearly every story's Rollout.
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

/// Waits until the Rollout is paused at a step (counted from 0) and the controller has seen its newest spec.
async fn until_paused_at(story: &Story, rollout: &str, step: i64) -> Result<DynamicObject> {
    story
        .until(&kinds::rollout(), rollout, &format!("the pause at step {step}"), |object| {
            text(object, "/status/phase") == "Paused"
                && api::number(object, "/status/currentStepIndex") == step
                && object.data.pointer("/status/pauseConditions/0").is_some()
                && text(object, "/status/observedGeneration")
                    == object.metadata.generation.unwrap_or_default().to_string()
        })
        .await
}

/// Waits until the revisions, oldest first, want so many pods each.
async fn until_pods(story: &Story, rollout: &str, wanted: &[i64]) -> Result<()> {
    wait::poll(&format!("{wanted:?} pods of each revision"), SOON, || async {
        let seen = pods(story, rollout).await?;
        anyhow::ensure!(seen == wanted, "the revisions want {seen:?} pods");
        Ok(Some(()))
    })
    .await
}

/// The ReplicaSet of a revision.
async fn replica_set(story: &Story, rollout: &str, number: i64) -> Result<DynamicObject> {
    let sets = story.replica_sets(rollout).await?;
    sets.into_iter().find(|set| revision(set) == number).with_context(|| format!("no ReplicaSet of revision {number}"))
}

/// The living pods of a version.
async fn living(story: &Story, rollout: &str, version: &str) -> Result<Vec<DynamicObject>> {
    let mut pods = story.list(&kinds::pod(), &format!("app={rollout},version={version}")).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

async fn living_uids(story: &Story, rollout: &str, version: &str) -> Result<BTreeSet<String>> {
    Ok(living(story, rollout, version).await?.iter().map(uid).collect())
}

/// Pods that were made never to be ready turn ready: at most so many of them.
async fn let_be_ready(story: &Story, rollout: &str, at_most: usize) -> Result<()> {
    let unready = story.list(&kinds::pod(), &format!("app={rollout},kulta.test/ready=never")).await?;
    for pod in unready.iter().take(at_most) {
        let label = json!({"metadata": {"labels": {"kulta.test/ready": null}}});
        story.patch(&kinds::pod(), &name(pod), label).await?;
    }
    Ok(())
}

/// Waits until a second has begun in which nothing that exists was created: the API keeps whole seconds.
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
