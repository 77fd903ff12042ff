//! Blue-green on a real control plane: real requests to the active Service, verbs, status and events, adoption from Argo Rollouts.

mod adoption;
mod status;
mod traffic;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    manifests::{Canary, http_route},
    scenario::{SOON, Scenario, revision},
    wait,
};
use serde_json::{Value, json};

const WEB: &str = "web";
/// The label of the pod's revision, in selectors of Services.
const HASH: &str = "rollouts-pod-template-hash";

/// The Services of a blue-green rollout, and a route to the active one.
async fn prepared(scenario: &Scenario, web: &Canary) -> Result<()> {
    scenario.apply_all(web.services()).await?;
    let route = http_route(WEB, &web.host(&scenario.namespace), &[(web.stable_service(), 1)]);
    scenario.apply(route).await.map(drop)
}

async fn deployed(scenario: &Scenario, web: &Canary, fields: &Value) -> Result<()> {
    prepared(scenario, web).await?;
    scenario.apply(web.blue_green(fields)).await?;
    until_healthy(scenario).await.map(drop)
}

async fn updated(scenario: &Scenario, web: &Canary, fields: &Value, version: &str) -> Result<()> {
    scenario.apply(web.clone().version(version).blue_green(fields)).await.map(drop)
}

fn is_observed(rollout: &DynamicObject) -> bool {
    api::text(rollout, "/status/observedGeneration") == rollout.metadata.generation.unwrap_or_default().to_string()
}

async fn until_healthy(scenario: &Scenario) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), WEB, "a healthy Rollout", |rollout| {
            is_observed(rollout) && api::text(rollout, "/status/phase") == "Healthy"
        })
        .await
}

/// Waits for the pause before the promotion.
async fn until_paused(scenario: &Scenario) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), WEB, "the pause before the promotion", |rollout| {
            is_observed(rollout)
                && api::text(rollout, "/status/phase") == "Paused"
                && api::text(rollout, "/status/message") == "BlueGreenPause"
        })
        .await
}

/// Waits until a Service selects this revision.
async fn until_selected(scenario: &Scenario, service: &str, number: i64) -> Result<()> {
    wait::poll(&format!("Service {service} selects revision {number}"), SOON, || async {
        let object = scenario.get(&kinds::service(), service).await?;
        let selected = api::text(&object, &format!("/spec/selector/{HASH}")).to_owned();
        let sets = scenario.replica_sets(WEB).await?;
        let set = sets.iter().find(|set| set.metadata.labels.as_ref().and_then(|all| all.get(HASH)) == Some(&selected));
        let found = revision(set.with_context(|| format!("it selects {selected:?}"))?);
        ensure!(found == number, "it selects revision {found}");
        Ok(Some(()))
    })
    .await
}

/// Waits until the revisions, oldest first, have these numbers of desired pods.
async fn until_pods(scenario: &Scenario, wanted: &[i64]) -> Result<()> {
    wait::poll(&format!("{wanted:?} pods of each revision"), SOON, || async {
        let seen = kulta_tests::kulta::pods(scenario, WEB).await?;
        ensure!(seen == wanted, "the revisions want {seen:?} pods");
        Ok(Some(()))
    })
    .await
}

fn by_user() -> Value {
    json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 2, "abortScaleDownDelaySeconds": 2})
}
