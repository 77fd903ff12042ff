//! Whole reconciliations of rollouts with analyses.

mod checked;
mod created;
mod emitted;
mod ended;
mod judged;

use std::sync::Arc;

use jiff::SignedDuration;
use kulta_api::analysis::AnalysisRun;
use kulta_api::conditions::{self, ConditionType};
use kulta_api::{
    FailureKind, InconclusiveRun, KultaStatus, OutboxEntry, PauseCondition, PauseReason, RolloutStatus, TransitionKind,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::analysis::{Scope, TemplateRef};
use crate::decision::{
    Decision, FailureClass, Next, PauseCause, RunPhase, StrategyFailure, Verdict, Waiting, WantedRun,
};
use crate::fixtures;
use crate::observed::{Analyzer, Observed};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::Turn;
use crate::rollout::tests::support::{
    asked, done, hold, now, plan_with, route_writes, scales, status, stored, under_way,
};
use crate::workload::Revision;

pub(super) const STEP: &str = "steps/1/analysis";

pub(super) fn steps() -> Value {
    json!([
        { "setWeight": 50 },
        { "analysis": { "templates": [{ "templateName": "errors" }] } },
        { "setWeight": 80 },
        { "pause": {} }
    ])
}

/// Step `index` of a canary with an analysis step as step 1 and a background analysis.
pub(super) fn analysed(index: i32) -> Observed {
    let mut observed = under_way(steps(), index, 1, 50);
    let canary = observed.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.fields.analysis = serde_json::from_value(json!({ "templates": [{ "templateName": "errors" }] })).unwrap();
    observed.analyzers =
        Arc::new(vec![Analyzer { name: "threshold".into(), pin: Some("sha256:a".into()), needs_condition: false }]);
    let spec = json!({ "metrics": [{ "name": "rate", "provider": { "threshold": {} } }] });
    template(&mut observed, spec);
    observed
}

pub(super) fn template(observed: &mut Observed, spec: Value) {
    let name = TemplateRef { scope: Scope::Namespace, name: "errors".into() };
    observed.templates.insert(name, Ok(Arc::new(serde_json::from_value(spec).unwrap())));
}

pub(super) fn hash(observed: &Observed) -> String {
    observed.rollout.status.as_ref().unwrap().current_pod_hash.clone()
}

pub(super) fn name(observed: &Observed, suffix: &str) -> String {
    format!("web-{}-{suffix}", hash(observed))
}

/// A run of the new revision in the cluster.
pub(super) fn run(observed: &mut Observed, suffix: &str, phase: &str, message: &str) {
    let revision = hash(observed);
    let metric =
        json!({ "name": "rate", "phase": if phase.is_empty() { "Pending" } else { phase }, "message": message });
    let run: AnalysisRun = serde_json::from_value(json!({
        "metadata": {
            "name": name(observed, suffix), "uid": format!("uid-{suffix}"), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "rollouts-pod-template-hash": revision }
        },
        "spec": {},
        "status": { "phase": phase, "message": message, "metricResults": [metric] },
    }))
    .unwrap();
    observed.runs.push(Arc::new(run));
}

/// Records this run of the background analysis in the status.
pub(super) fn record_background(observed: &mut Observed, suffix: &str, phase: &str) {
    let record = json!({ "name": name(observed, suffix), "status": phase });
    status(observed).canary.current_background_analysis_run_status = serde_json::from_value(record).unwrap();
}

pub(super) fn record_step(observed: &mut Observed, suffix: &str, phase: &str) {
    let record = json!({ "name": name(observed, suffix), "status": phase });
    status(observed).canary.current_step_analysis_run_status = serde_json::from_value(record).unwrap();
}

/// The background analysis is recorded and has this phase.
pub(super) fn with_background(index: i32, phase: &str, message: &str) -> Observed {
    let mut observed = analysed(index);
    run(&mut observed, "2", phase, message);
    record_background(&mut observed, "2", "Running");
    observed
}

pub(super) fn wants(step: u32, weight: u32, runs: &[(&str, u32)]) -> Decision {
    let wanted = |(name, attempt): &(&str, u32)| WantedRun { name: (*name).to_owned(), attempt: *attempt };
    Decision { runs: runs.iter().map(wanted).collect(), ..hold(step, weight) }
}

/// The plan if the strategy always gives this decision.
pub(super) fn decided(observed: Observed, decision: &Decision) -> Plan {
    plan_with(observed, decision)
}

pub(super) fn created(plan: &Plan) -> Vec<&str> {
    let names = plan.writes.iter().filter_map(|write| match &write.action {
        Action::CreateAnalysisRun { name, .. } => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

pub(super) fn terminated(plan: &Plan) -> Vec<&str> {
    let names = plan.writes.iter().filter_map(|write| match &write.action {
        Action::PatchAnalysisRun { name, patch } if patch["spec"]["terminate"] == true => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

pub(super) fn deleted(plan: &Plan) -> Vec<&str> {
    let names = plan.writes.iter().filter_map(|write| match &write.action {
        Action::DeleteAnalysisRun { name, .. } => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

pub(super) fn after(observed: &Observed, plan: &Plan) -> RolloutStatus {
    stored(observed.clone(), plan).rollout.status.unwrap()
}

pub(super) fn outbox(observed: &Observed, plan: &Plan) -> Vec<OutboxEntry> {
    after(observed, plan).kulta.unwrap().outbox
}

pub(super) fn kinds(observed: &Observed, plan: &Plan) -> Vec<TransitionKind> {
    outbox(observed, plan).into_iter().map(|entry| entry.kind).collect()
}

pub(super) fn events(plan: &Plan) -> Vec<&'static str> {
    plan.events.iter().map(|event| event.reason.as_str()).collect()
}

pub(super) fn is_aborted(observed: &Observed, plan: &Plan) -> bool {
    after(observed, plan).abort
}

pub(super) fn invalid(observed: Observed) -> Option<String> {
    let turn = begin(observed.clone(), now());
    let plan = match turn {
        Turn::Done(plan) => plan,
        Turn::Ask(_) | Turn::LookUp(_) => return None,
    };
    let status = after(&observed, &plan);
    conditions::find(&status.conditions, ConditionType::InvalidSpec).map(|condition| condition.message.clone())
}

pub(super) fn canary_without_background(observed: &mut Observed) {
    observed.rollout.spec.strategy.canary.as_mut().unwrap().fields.analysis = None;
}
