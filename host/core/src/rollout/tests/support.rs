//! A routed canary and its objects, and the answers to the questions of a reconciliation.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::{RolloutStatus, RouteKey, RouteKind};
use serde_json::{Value, json};

use crate::decision::{Decision, Next, Scale, Situation, Waiting};
use crate::fixtures;
use crate::observed::{Observed, ObservedRoute, Route, RouteState, Service};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::{Ask, LookedUp, Need, Turn};
use crate::workload::WorkloadWrite;

const NOW: i64 = 1_800_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

pub(crate) fn routed(steps: Value) -> Value {
    json!({ "canary": {
        "canaryService": "canary", "stableService": "stable", "steps": steps,
        "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": "web" } } }
    } })
}

pub(crate) fn service(name: &str, hash: &str) -> (String, Option<Arc<Service>>) {
    let selector = BTreeMap::from([("app".into(), "web".into()), ("rollouts-pod-template-hash".into(), hash.into())]);
    let service = Service { name: name.into(), selector, managed_by: Some("web".into()), ..Service::default() };
    (name.into(), Some(Arc::new(service)))
}

pub(crate) fn route(canary: u32) -> ObservedRoute {
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "observedGeneration": 1 });
    let label = ("rollouts.argoproj.io/gatewayapi-canary".to_owned(), "in-progress".to_owned());
    let route = Route {
        generation: 1,
        labels: (canary > 0).then_some(label).into_iter().collect(),
        spec: json!({
            "parentRefs": [{ "name": "gw" }],
            "rules": [{ "backendRefs": [{ "name": "stable", "weight": 100 - canary }, { "name": "canary", "weight": canary }] }]
        }),
        status: json!({ "parents": [{ "parentRef": { "name": "gw" }, "conditions": [condition("Accepted"), condition("ResolvedRefs")] }] }),
        ..Route::default()
    };
    ObservedRoute { key: RouteKey::new(RouteKind::Http, "shop", "web"), state: RouteState::Found(Arc::new(route)) }
}

/// Revision 2 of a routed canary in progress: `old` is stable, the new revision has `canary` pods and `weight` % of the traffic.
pub(crate) fn under_way(steps: Value, index: i32, canary: u32, weight: u32) -> Observed {
    let mut rollout = fixtures::rollout(routed(steps));
    let hash = crate::hash::revision_hash(&rollout.spec.template.0, 0);
    let mut new = fixtures::revision(&hash, 2, canary, canary);
    new.annotations.insert("kulta.io/template-hash".into(), crate::hash::template_hash(&rollout.spec.template.0));
    let selected = if canary > 0 { hash.as_str() } else { "old" };
    rollout.status = Some(RolloutStatus {
        current_pod_hash: hash.clone(),
        stable_rs: "old".into(),
        current_step_index: Some(index),
        observed_generation: "1".into(),
        ..RolloutStatus::default()
    });
    Observed {
        services: BTreeMap::from([service("canary", selected), service("stable", "old")]),
        revisions: vec![Arc::new(new), Arc::new(fixtures::revision("old", 1, 2, 2))],
        routes: vec![route(weight)],
        record_kept: true,
        rollout,
        ..Observed::default()
    }
}

pub(crate) fn status(observed: &mut Observed) -> &mut RolloutStatus {
    observed.rollout.status.as_mut().unwrap()
}

pub(crate) fn asked(turn: Turn) -> Box<Ask> {
    match turn {
        Turn::Ask(ask) => ask,
        Turn::LookUp(_) | Turn::Done(_) => panic!("not asked: {turn:?}"),
    }
}

/// The plan if the strategy is not asked. Look-ups are answered for a cluster in which no EndpointSlice lists a pod.
pub(crate) fn done(turn: Turn) -> Plan {
    done_with(turn, &LookedUp::default())
}

/// Like [`done`], with these answers to look-ups.
pub(crate) fn done_with(turn: Turn, known: &LookedUp) -> Plan {
    plan_by(turn, known, |situation| panic!("asked: {situation:?}"))
}

/// The plan if the strategy decides by `decide`, with these answers to look-ups.
pub(crate) fn plan_by(mut turn: Turn, known: &LookedUp, mut decide: impl FnMut(&Situation) -> Decision) -> Plan {
    loop {
        turn = match turn {
            Turn::Done(plan) => return *plan,
            Turn::Ask(ask) => {
                let decision = decide(&ask.situation);
                ask.answer(Ok(decision))
            }
            Turn::LookUp(look_up) => {
                let answer = answer(&look_up.need, known);
                look_up.answer(answer)
            }
        };
    }
}

fn answer(need: &Need, known: &LookedUp) -> LookedUp {
    let stored = |body: &Value| Ok(kulta_api::PodTemplate(body["spec"]["template"].clone()));
    match need {
        Need::DefaultedTemplate { body } => LookedUp {
            defaulted_template: Some(known.defaulted_template.clone().unwrap_or_else(|| stored(body))),
            ..LookedUp::default()
        },
        Need::Endpoints { .. } => {
            LookedUp { endpoints: Some(known.endpoints.clone().unwrap_or_default()), ..LookedUp::default() }
        }
        Need::Pods { .. } => LookedUp { pods: Some(known.pods.clone().unwrap_or_default()), ..LookedUp::default() },
    }
}

/// The plan if the strategy always gives the same decision.
pub(crate) fn plan_with(observed: Observed, decision: &Decision) -> Plan {
    plan_by(begin(observed, now()), &LookedUp::default(), |_| decision.clone())
}

pub(crate) fn hold(step: u32, weight: u32) -> Decision {
    Decision {
        step,
        steps: 4,
        memory: Vec::new(),
        weight,
        canary: Scale::FollowWeight,
        runs: Vec::new(),
        routes: Vec::new(),
        next: Next::Hold(Waiting::Pods),
        reason: "because".into(),
    }
}

pub(crate) fn steps() -> Value {
    json!([{ "setWeight": 50 }, { "pause": {} }, { "setWeight": 80 }, { "pause": {} }])
}

pub(crate) fn route_writes(plan: &Plan) -> Vec<u32> {
    plan.writes
        .iter()
        .filter_map(|write| match &write.action {
            Action::PatchRoute { weight, .. } => Some(*weight),
            _ => None,
        })
        .collect()
}

pub(crate) fn scales(plan: &Plan) -> Vec<(String, u64)> {
    plan.writes
        .iter()
        .filter_map(|write| match &write.action {
            Action::Workload(WorkloadWrite::Patch { name, patch }) => {
                Some((name.clone(), patch.pointer("/spec/replicas")?.as_u64()?))
            }
            _ => None,
        })
        .collect()
}

/// The observed objects after the plan's status was stored.
pub(crate) fn stored(mut observed: Observed, plan: &Plan) -> Observed {
    let mut status = serde_json::to_value(observed.rollout.status.clone().unwrap_or_default()).unwrap();
    if let Some(patch) = &plan.status {
        json_patch::merge(&mut status, &patch.patch);
    }
    observed.rollout.status = Some(serde_json::from_value(status).unwrap());
    observed
}
