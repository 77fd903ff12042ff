//! Analyses on a real control plane: rollouts judged by a real Prometheus, standalone runs, unavailable metrics, bad
//! input.

mod broken;
mod input;
mod jobs;
mod judged;
mod outage;
mod rollouts;
mod runs;
mod secrets;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
};
use kulta_tests::{
    api, kinds,
    load::{Load, Plan},
    manifests::Canary,
    run_folder,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::{Value, json};

/// The name of nearly every scenario's Rollout.
const WEB: &str = "web";

/// A metric that queries one number from `address`, which passes if it is at least 1; `fields` are merged into it.
fn metric(name: &str, address: &str, fields: Value) -> Value {
    let mut metric = json!({
        "name": name, "successCondition": "result[0] >= 1",
        "provider": {"prometheus": {"address": address, "query": "up"}},
    });
    json_patch::merge(&mut metric, &fields);
    metric
}

/// A threshold metric of the canary's Service behind Contour, measured every second over 5 s.
fn threshold_metric(name: &str, limits: Value) -> Value {
    let mut threshold = json!({"gateway": "contour", "service": "{{args.service}}", "window": "5s", "minimum": 20});
    json_patch::merge(&mut threshold, &limits);
    json!({"name": name, "interval": "1s", "inconclusiveLimit": 90, "provider": {"threshold": threshold}})
}

fn template(name: &str, metrics: Vec<Value>, fields: Value) -> Value {
    let mut template = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {"metrics": metrics},
    });
    json_patch::merge(&mut template, &json!({ "spec": fields }));
    template
}

/// A run without a rollout.
fn run(name: &str, metrics: Vec<Value>, fields: Value) -> Value {
    let mut run = template(name, metrics, fields);
    json_patch::merge(&mut run, &json!({"kind": "AnalysisRun"}));
    run
}

/// An analysis by one template, for a step or for the background; `fields` are merged into it.
fn analysis(template: &str, fields: Value) -> Value {
    let mut analysis = json!({"templates": [{"templateName": template}]});
    json_patch::merge(&mut analysis, &fields);
    analysis
}

async fn until_run(scenario: &Scenario, name: &str, phase: &str) -> Result<DynamicObject> {
    scenario
        .until(&kinds::analysis_run(), name, &format!("the phase {phase}"), |run| {
            api::text(run, "/status/phase") == phase
        })
        .await
}

/// The runs of a rollout, oldest first.
async fn runs_of(scenario: &Scenario, rollout: &str) -> Result<Vec<DynamicObject>> {
    let mut runs = scenario.list(&kinds::analysis_run(), "").await?;
    runs.retain(|run| run.metadata.owner_references.iter().flatten().any(|owner| owner.name == rollout));
    runs.sort_by_key(|run| run.metadata.creation_timestamp.clone().map(|time| (time.0, name(run))));
    Ok(runs)
}

/// The only run of a rollout for a revision and a type: `Background` or `Step`.
async fn run_of(scenario: &Scenario, rollout: &str, revision: i64, occasion: &str) -> Result<DynamicObject> {
    wait::poll(&format!("the {occasion} run of revision {revision}"), SOON, || async {
        let found = runs_of(scenario, rollout).await?.into_iter().find(|run| {
            let annotation = run.metadata.annotations.as_ref().and_then(|all| all.get("rollout.argoproj.io/revision"));
            annotation == Some(&revision.to_string()) && label(run, "rollout-type") == occasion
        });
        Ok(found)
    })
    .await
}

fn name(object: &DynamicObject) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

fn label<'a>(object: &'a DynamicObject, key: &str) -> &'a str {
    object.metadata.labels.as_ref().and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default()
}

fn message(object: &DynamicObject) -> &str {
    api::text(object, "/status/message")
}

/// A run's result for one of its metrics.
fn result<'a>(run: &'a DynamicObject, metric: &str) -> Result<&'a Value> {
    let all = run.data.pointer("/status/metricResults").and_then(Value::as_array).into_iter().flatten();
    let mut of_name = all.filter(|result| result["name"] == metric);
    of_name.next().with_context(|| format!("no result of {metric}: {:?}", run.data.get("status")))
}

/// A counter of a metric's result; zeros are omitted.
fn count(result: &Value, counter: &str) -> i64 {
    result.get(counter).and_then(Value::as_i64).unwrap_or_default()
}

async fn until_paused_at(scenario: &Scenario, rollout: &str, step: i64) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), rollout, &format!("the pause at step {step}"), |object| {
            api::text(object, "/status/phase") == "Paused" && api::number(object, "/status/currentStepIndex") == step
        })
        .await
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

/// Waits until the newest revision is aborted, with Argo's status.
async fn until_rolled_back(scenario: &Scenario, rollout: &str) -> Result<DynamicObject> {
    let seen = scenario.until_phase(rollout, "Degraded").await?;
    ensure!(seen.data.pointer("/status/abort") == Some(&json!(true)), "{:?}", seen.data);
    ensure!(message(&seen).starts_with("RolloutAborted: Rollout aborted update to revision"), "{}", message(&seen));
    Ok(seen)
}

/// Deploys v1 and sends it 200 requests a second until the load is dropped.
async fn served(scenario: &Scenario, canary: &Canary) -> Result<Load> {
    kulta_tests::kulta::deployed(scenario, canary).await?;
    let host = canary.host(&scenario.namespace);
    scenario.until_served(&host).await?;
    Load::start(Plan { per_second: 200, workers: 16, ..Plan::to(&host) })
}

/// Applies an optional role of `deploy/` in the scenario's namespace and waits until the API server applies it.
async fn with_role(scenario: &Scenario, file: &str, group: &str, resource: &str, verb: &str) -> Result<()> {
    let role = std::fs::read_to_string(run_folder::repository().join("deploy").join(file))?;
    scenario.apply_yaml(&role).await?;
    let asked = ResourceAttributes {
        namespace: Some(scenario.namespace.clone()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let user = Some("system:serviceaccount:kulta-system:kulta".to_owned());
    let spec = SubjectAccessReviewSpec { resource_attributes: Some(asked), user, ..SubjectAccessReviewSpec::default() };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(scenario.client.clone());
    wait::poll(&format!("the right to {verb} {resource}"), SOON, || async {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed).then_some(()))
    })
    .await
}
