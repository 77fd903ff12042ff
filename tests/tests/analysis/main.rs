//! Analyses on a real control plane: rollouts judged by a real Prometheus, runs on their own, metrics that cannot be had, bad input.

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
    story::{SOON, Story},
    wait,
};
use serde_json::{Value, json};

/// The name of nearly every story's Rollout.
const WEB: &str = "web";

/// A metric that asks `address` for one number, of which at least 1 is well; `fields` are merged into it.
fn metric(name: &str, address: &str, fields: Value) -> Value {
    let mut metric = json!({
        "name": name, "successCondition": "result[0] >= 1",
        "provider": {"prometheus": {"address": address, "query": "up"}},
    });
    json_patch::merge(&mut metric, &fields);
    metric
}

/// A metric in plain words about the canary's Service behind Contour, measured every second over 5 s.
fn plain_words(name: &str, limits: Value) -> Value {
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

/// A run that nobody's rollout makes.
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

async fn until_run(story: &Story, name: &str, phase: &str) -> Result<DynamicObject> {
    story
        .until(&kinds::analysis_run(), name, &format!("the phase {phase}"), |run| {
            api::text(run, "/status/phase") == phase
        })
        .await
}

/// The runs that a rollout made, oldest first.
async fn runs_of(story: &Story, rollout: &str) -> Result<Vec<DynamicObject>> {
    let mut runs = story.list(&kinds::analysis_run(), "").await?;
    runs.retain(|run| run.metadata.owner_references.iter().flatten().any(|owner| owner.name == rollout));
    runs.sort_by_key(|run| run.metadata.creation_timestamp.clone().map(|time| (time.0, name(run))));
    Ok(runs)
}

/// The one run of a rollout for a revision and an occasion: `Background` or `Step`.
async fn run_of(story: &Story, rollout: &str, revision: i64, occasion: &str) -> Result<DynamicObject> {
    wait::poll(&format!("the {occasion} run of revision {revision}"), SOON, || async {
        let found = runs_of(story, rollout).await?.into_iter().find(|run| {
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

/// What a run says of one of its metrics.
fn result<'a>(run: &'a DynamicObject, metric: &str) -> Result<&'a Value> {
    let all = run.data.pointer("/status/metricResults").and_then(Value::as_array).into_iter().flatten();
    let mut of_name = all.filter(|result| result["name"] == metric);
    of_name.next().with_context(|| format!("no result of {metric}: {:?}", run.data.get("status")))
}

/// A counter of a metric's result; those at 0 are left out.
fn count(result: &Value, counter: &str) -> i64 {
    result.get(counter).and_then(Value::as_i64).unwrap_or_default()
}

async fn until_paused_at(story: &Story, rollout: &str, step: i64) -> Result<DynamicObject> {
    story
        .until(&kinds::rollout(), rollout, &format!("the pause at step {step}"), |object| {
            api::text(object, "/status/phase") == "Paused" && api::number(object, "/status/currentStepIndex") == step
        })
        .await
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

/// Waits until the newest revision was given up, as Argo says it.
async fn until_rolled_back(story: &Story, rollout: &str) -> Result<DynamicObject> {
    let seen = story.until_phase(rollout, "Degraded").await?;
    ensure!(seen.data.pointer("/status/abort") == Some(&json!(true)), "{:?}", seen.data);
    ensure!(message(&seen).starts_with("RolloutAborted: Rollout aborted update to revision"), "{}", message(&seen));
    Ok(seen)
}

/// Deploys v1 and sends it 200 requests a second until the load is dropped.
async fn served(story: &Story, canary: &Canary) -> Result<Load> {
    kulta_tests::kulta::deployed(story, canary).await?;
    let host = canary.host(&story.namespace);
    story.until_served(&host).await?;
    Load::start(Plan { per_second: 200, workers: 16, ..Plan::to(&host) })
}

/// Applies an optional role of `deploy/` in the story's namespace and waits until the API server goes by it.
async fn with_role(story: &Story, file: &str, group: &str, resource: &str, verb: &str) -> Result<()> {
    let role = std::fs::read_to_string(run_folder::repository().join("deploy").join(file))?;
    story.apply_yaml(&role).await?;
    let asked = ResourceAttributes {
        namespace: Some(story.namespace.clone()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let user = Some("system:serviceaccount:kulta-system:kulta".to_owned());
    let spec = SubjectAccessReviewSpec { resource_attributes: Some(asked), user, ..SubjectAccessReviewSpec::default() };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(story.client.clone());
    wait::poll(&format!("the right to {verb} {resource}"), SOON, || async {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed).then_some(()))
    })
    .await
}
