//! Traffic on a real control plane: routes, Services and real requests.

mod blocked;
mod contested;
mod kinds_of_routes;
mod managed;
mod services;
mod traffic;
mod untouched;

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{api, kinds, scenario::Scenario};
use serde_json::{Value, json};

/// The label of the pod's revision, in selectors of Services.
const HASH: &str = "rollouts-pod-template-hash";

/// Reason and message of the condition that reports blocked traffic.
fn blocked_traffic(rollout: &DynamicObject) -> Option<(&str, &str)> {
    let all = rollout.data.pointer("/status/conditions")?.as_array()?;
    all.iter()
        .find(|condition| condition["type"] == "TrafficReady")
        .filter(|condition| condition["status"] == "False")?;
    condition(rollout, "TrafficReady")
}

/// Reason and message of a condition.
fn condition<'a>(rollout: &'a DynamicObject, kind: &str) -> Option<(&'a str, &'a str)> {
    let all = rollout.data.pointer("/status/conditions")?.as_array()?;
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    Some((found["reason"].as_str()?, found["message"].as_str()?))
}

/// Waits for the condition with this reason, and returns its message.
async fn until_blocked(scenario: &Scenario, reason: &str) -> Result<String> {
    let what = format!("the condition TrafficReady for {reason}");
    let rollout = scenario
        .until(&kinds::rollout(), "web", &what, |rollout| {
            blocked_traffic(rollout).is_some_and(|condition| condition.0 == reason)
        })
        .await?;
    Ok(blocked_traffic(&rollout).map(|condition| condition.1.to_owned()).unwrap_or_default())
}

async fn until_unblocked(scenario: &Scenario) -> Result<()> {
    scenario
        .until(&kinds::rollout(), "web", "no False condition TrafficReady", |rollout| {
            blocked_traffic(rollout).is_none()
        })
        .await
        .map(drop)
}

/// Waits until the update has ended and the new revision has all pods of the rollout.
async fn until_stable(scenario: &Scenario, rollout: &str) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), rollout, "the new revision is stable and healthy", |object| {
            let generation = object.metadata.generation.unwrap_or_default().to_string();
            api::text(object, "/status/phase") == "Healthy"
                && api::text(object, "/status/observedGeneration") == generation
                && api::text(object, "/status/stableRS") == api::text(object, "/status/currentPodHash")
        })
        .await
}

/// Waits until the first revision is stable and has its pods. A rollout whose route is blocked is not Healthy then.
async fn until_serving(scenario: &Scenario) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), "web", "the first revision is stable and has its pods", |object| {
            !api::text(object, "/status/stableRS").is_empty()
                && api::number(object, "/status/availableReplicas") == api::number(object, "/spec/replicas")
        })
        .await
}

/// Waits for the pause of that step.
async fn until_paused_at(scenario: &Scenario, step: i64) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), "web", &format!("the pause of step {step}"), |object| {
            let generation = object.metadata.generation.unwrap_or_default().to_string();
            api::text(object, "/status/phase") == "Paused"
                && api::text(object, "/status/observedGeneration") == generation
                && api::number(object, "/status/currentStepIndex") == step
        })
        .await
}

/// How often an event with this reason and this text was emitted.
async fn events(scenario: &Scenario, reason: &str, words: &str) -> Result<usize> {
    let events = scenario.events_about("Rollout", "web").await?;
    Ok(events.iter().filter(|(event, message)| event == reason && message.contains(words)).count())
}

/// Both weights of the one rule, with the canary's Service last.
async fn until_share(scenario: &Scenario, canary: i64) -> Result<()> {
    scenario.until_weights("web", &[("web-stable", 100 - canary), ("web-canary", canary)]).await.map(drop)
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

/// The Gateway API configuration of a Rollout, as a patch for `Canary::canary`.
fn gateway(config: Value) -> Value {
    json!({ "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": config } } })
}

/// Exactly one event of a type.
async fn emitted_once(scenario: &Scenario, reason: &str, words: &str) -> Result<()> {
    let count = events(scenario, reason, words).await?;
    ensure!(count == 1, "{reason} with {words:?}: {count} events");
    Ok(())
}
