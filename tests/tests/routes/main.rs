//! Stories about traffic on a real control plane: routes, Services and real requests.

mod contested;
mod services;
mod traffic;
mod trouble;
mod untouched;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{api, kinds, story::Story};
use serde_json::{Value, json};

/// The label of the pod's revision, in selectors of Services.
const HASH: &str = "rollouts-pod-template-hash";

/// Reason and message of the condition that tells what keeps traffic from being moved.
fn obstacle(rollout: &DynamicObject) -> Option<(&str, &str)> {
    let all = rollout.data.pointer("/status/conditions")?.as_array()?;
    all.iter()
        .find(|condition| condition["type"] == "TrafficReady")
        .filter(|condition| condition["status"] == "False")?;
    told(rollout, "TrafficReady")
}

/// Reason and message of a condition.
fn told<'a>(rollout: &'a DynamicObject, kind: &str) -> Option<(&'a str, &'a str)> {
    let all = rollout.data.pointer("/status/conditions")?.as_array()?;
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    Some((found["reason"].as_str()?, found["message"].as_str()?))
}

/// Waits for the condition with this reason, and gives its message.
async fn until_obstacle(story: &Story, reason: &str) -> Result<String> {
    let what = format!("the condition TrafficReady for {reason}");
    let rollout = story
        .until(&kinds::rollout(), "web", &what, |rollout| obstacle(rollout).is_some_and(|told| told.0 == reason))
        .await?;
    Ok(obstacle(&rollout).map(|told| told.1.to_owned()).unwrap_or_default())
}

async fn until_no_obstacle(story: &Story) -> Result<()> {
    story
        .until(&kinds::rollout(), "web", "no obstacle in the condition TrafficReady", |rollout| {
            obstacle(rollout).is_none()
        })
        .await
        .map(drop)
}

/// Waits until the update has ended and the new revision has all pods of the rollout.
async fn until_stable(story: &Story, rollout: &str) -> Result<DynamicObject> {
    story
        .until(&kinds::rollout(), rollout, "the new revision is stable and healthy", |object| {
            let generation = object.metadata.generation.unwrap_or_default().to_string();
            api::text(object, "/status/phase") == "Healthy"
                && api::text(object, "/status/observedGeneration") == generation
                && api::text(object, "/status/stableRS") == api::text(object, "/status/currentPodHash")
        })
        .await
}

/// Waits until the first revision is stable and has its pods. A rollout whose route stands in its way is not Healthy with them.
async fn until_serving(story: &Story) -> Result<DynamicObject> {
    story
        .until(&kinds::rollout(), "web", "the first revision is stable and has its pods", |object| {
            !api::text(object, "/status/stableRS").is_empty()
                && api::number(object, "/status/availableReplicas") == api::number(object, "/spec/replicas")
        })
        .await
}

/// Waits for the pause of that step.
async fn until_paused_at(story: &Story, step: i64) -> Result<DynamicObject> {
    story
        .until(&kinds::rollout(), "web", &format!("the pause of step {step}"), |object| {
            let generation = object.metadata.generation.unwrap_or_default().to_string();
            api::text(object, "/status/phase") == "Paused"
                && api::text(object, "/status/observedGeneration") == generation
                && api::number(object, "/status/currentStepIndex") == step
        })
        .await
}

/// How often an event with this reason and these words was told.
async fn events(story: &Story, reason: &str, words: &str) -> Result<usize> {
    let events = story.events_about("Rollout", "web").await?;
    Ok(events.iter().filter(|(told, message)| told == reason && message.contains(words)).count())
}

/// Both weights of the one rule, with the canary's Service last.
async fn until_share(story: &Story, canary: i64) -> Result<()> {
    story.until_weights("web", &[("web-stable", 100 - canary), ("web-canary", canary)]).await.map(drop)
}

/// A spec without its weights.
fn but_for_weights(route: &DynamicObject) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("weight");
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut spec = route.data.get("spec").cloned().unwrap_or_default();
    strip(&mut spec);
    spec
}

/// The gateway's configuration of a Rollout, as a patch for `Canary::canary`.
fn gateway(config: Value) -> Value {
    json!({ "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": config } } })
}

/// One event of a kind, no more and no fewer.
async fn told_once(story: &Story, reason: &str, words: &str) -> Result<()> {
    let count = events(story, reason, words).await?;
    ensure!(count == 1, "{reason} with {words:?}: {count} events");
    Ok(())
}
