//! Reconciles one rollout so many times, for a tool that counts instructions: `reconciliations idle|step|abort COUNT`.
//!
//! What a strategy decides is fixed, and nothing but the pure part is counted: no cache, no plugin, no request.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::{PodTemplate, Rollout, RouteKey, RouteKind, annotations};
use kulta_core::decision::{Decision, Next, Scale, Situation, Waiting};
use kulta_core::observed::{Observed, ObservedRoute, Route, RouteState, Service};
use kulta_core::workload::Revision;
use kulta_core::{LookedUp, Plan, Turn, begin};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const STABLE: &str = "7c9d8f6b5a";

/// The reconciliations that are counted.
#[derive(Clone, Copy)]
enum Case {
    /// The revision is stable, and nothing is to be done.
    Idle,
    /// The canary has reached the weight of its step.
    Step,
    /// A user has aborted the update.
    Abort,
}

fn main() -> Result<(), &'static str> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [case, count] => parse(case).zip(count.parse::<u32>().ok()),
        _ => None,
    };
    let (case, count) = parsed.ok_or("usage: reconciliations idle|step|abort COUNT")?;
    let observed = Arc::new(observed(case).ok_or("the rollout does not decode")?);
    let now = Timestamp::from_second(NOW).map_err(|_| "the time is out of range")?;
    let writes: usize = (0..count).map(|_| plan(begin(Arc::clone(&observed), now)).writes.len()).sum();
    std::hint::black_box(writes);
    Ok(())
}

fn parse(case: &str) -> Option<Case> {
    match case {
        "idle" => Some(Case::Idle),
        "step" => Some(Case::Step),
        "abort" => Some(Case::Abort),
        _ => None,
    }
}

fn plan(mut turn: Turn) -> Plan {
    loop {
        turn = match turn {
            Turn::Done(plan) => return *plan,
            Turn::Ask(question) => {
                let decision = decide(&question.situation);
                question.answer(Ok(decision))
            }
            Turn::LookUp(look_up) => look_up.answer(nothing()),
        };
    }
}

/// No EndpointSlice lists a pod.
fn nothing() -> LookedUp {
    LookedUp { endpoints: Some(Default::default()), pods: Some(Vec::new()), ..LookedUp::default() }
}

/// Goes one step further when the step's weight is in place.
fn decide(situation: &Situation) -> Decision {
    let step = situation.step + u32::from(situation.reached);
    Decision {
        step,
        steps: 4,
        memory: Vec::new(),
        weight: if step == 0 { 20 } else { 60 },
        canary: Scale::FollowWeight,
        runs: Vec::new(),
        routes: Vec::new(),
        next: Next::Hold(Waiting::Pods),
        reason: "moving to the weight of the step".to_owned(),
    }
}

fn rollout() -> Option<Rollout> {
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": "web:2", "ports": [{ "containerPort": 8080 }] }] }
    });
    let steps =
        json!([{ "setWeight": 20 }, { "setWeight": 60 }, { "pause": { "duration": "5m" } }, { "setWeight": 80 }]);
    let routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": "web" } } });
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "6f1f3c1e-5a0e-4c55-9e0c-6f3f4a1b2c3d",
            "generation": 3, "resourceVersion": "100",
            "annotations": { "rollout.argoproj.io/revision": "2" }
        },
        "spec": {
            "replicas": 5,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template,
            "strategy": { "canary": {
                "canaryService": "canary", "stableService": "stable", "steps": steps, "trafficRouting": routing
            } }
        }
    }))
    .ok()
}

fn observed(case: Case) -> Option<Observed> {
    let mut rollout = rollout()?;
    let hash = kulta_core::hash::revision_hash(&rollout.spec.template.0, 0);
    let (stable, step, weight, pods) = match case {
        Case::Idle => (hash.as_str(), 4, 0, 5),
        Case::Step => (STABLE, 0, 20, 1),
        Case::Abort => (STABLE, 1, 60, 3),
    };
    let status = json!({
        "observedGeneration": "3", "currentPodHash": hash, "stableRS": stable, "currentStepIndex": step,
        "abort": matches!(case, Case::Abort),
        "canary": {}, "kulta": { "sequence": 3, "revisionSequence": 3 }
    });
    rollout.status = serde_json::from_value(status).ok();
    let selected = |name: &str, hash: &str| (name.to_owned(), Some(Arc::new(service(name, hash))));
    let template = rollout.spec.template.clone();
    let new = revision(&hash, 2, pods, &template);
    let old = revision(STABLE, 1, if matches!(case, Case::Idle) { 0 } else { 5 }, &template);
    Some(Observed {
        revisions: vec![Arc::new(new), Arc::new(old)],
        services: BTreeMap::from([selected("canary", &hash), selected("stable", stable)]),
        routes: vec![route(weight)],
        record_kept: true,
        rollout,
        ..Observed::default()
    })
}

fn revision(hash: &str, revision: u64, pods: u32, template: &PodTemplate) -> Revision {
    let canonical = kulta_core::hash::template_hash(&template.0);
    let template_hash = if hash == STABLE { "another".to_owned() } else { canonical };
    Revision {
        name: format!("web-{hash}"),
        uid: format!("uid-{hash}"),
        generation: 1,
        labels: BTreeMap::from([(annotations::POD_TEMPLATE_HASH.to_owned(), hash.to_owned())]),
        annotations: BTreeMap::from([
            (annotations::REVISION.to_owned(), revision.to_string()),
            (annotations::DESIRED_REPLICAS.to_owned(), "5".to_owned()),
            (annotations::TEMPLATE_HASH.to_owned(), template_hash),
        ]),
        replicas: pods,
        template: template.clone(),
        created_replicas: pods,
        ready_replicas: pods,
        available_replicas: pods,
        ..Revision::default()
    }
}

fn service(name: &str, hash: &str) -> Service {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Service {
        name: name.to_owned(),
        selector: BTreeMap::from([label("app", "web"), label(annotations::POD_TEMPLATE_HASH, hash)]),
        managed_by: Some("web".to_owned()),
        ..Service::default()
    }
}

fn route(canary: u32) -> ObservedRoute {
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "observedGeneration": 1 });
    let backends: Value = json!([{ "name": "stable", "weight": 100 - canary }, { "name": "canary", "weight": canary }]);
    let label = ("rollouts.argoproj.io/gatewayapi-canary".to_owned(), "in-progress".to_owned());
    let route = Route {
        generation: 1,
        labels: (canary > 0).then_some(label).into_iter().collect(),
        spec: json!({ "parentRefs": [{ "name": "gw" }], "rules": [{ "backendRefs": backends }] }),
        status: json!({ "parents": [{
            "parentRef": { "name": "gw" }, "conditions": [condition("Accepted"), condition("ResolvedRefs")]
        }] }),
        ..Route::default()
    };
    ObservedRoute { key: RouteKey::new(RouteKind::Http, "shop", "web"), state: RouteState::Found(Arc::new(route)) }
}
