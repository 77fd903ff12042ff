//! One reconciliation of a rollout, from the observed objects to the plan:
//!
//! ```text
//! Observed → Context → lifecycle (Record) → stage → Goal → SafeGoal → writes → status → Plan
//!                              questions ↔ answers
//! ```
//!
//! Each arrow is a function from values to a value. [`context`] holds the facts that do not change, and [`record`] the values to
//! be stored. [`lifecycle`] has the transitions, [`dispatch`] and [`stages`] the goal of each stage, and [`strategy`] the
//! decisions of the strategy. [`safety`] is the gate. [`writes`] and [`status`] make the plan.

mod blue_green;
pub(crate) mod context;
mod dispatch;
pub(crate) mod lifecycle;
mod managed_routes;
mod outcome;
pub(crate) mod questions;
pub(crate) mod record;
mod restart;
pub(crate) mod safety;
mod scale_down;
mod selectors;
mod stages;
mod status;
mod step_names;
mod strategy;
pub(crate) mod strategy_choice;
mod strategy_failure;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod transition;
mod warnings;
mod weight;
mod writes;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::validation::FieldError;
use serde_json::Value;

use crate::decision::{Decision, Situation, StrategyFailure};
use crate::identity::{self, Identity};
use crate::observed::Observed;
use crate::plan::{Action, Plan, Write};
use crate::workload::{self, NewWorkload};
use crate::{hash, time};
use context::{Context, NewRevision};
use lifecycle::faults::{self, Faults};
use outcome::{Goal, Next, Outcome, Progress};
use questions::{Ask, LookUp, LookedUp, Need, Turn, Waiting};
use record::Record;
use safety::SafeGoal;
use status::Conclusion;
use strategy_choice::StrategyChoice;
use writes::AnnotationChanges;

/// Begins a reconciliation. `now` is the wall clock. `observed` may be shared, so that a question does not copy it.
#[must_use]
pub fn begin(observed: impl Into<Arc<Observed>>, now: Timestamp) -> Turn {
    identify(observed.into(), now, LookedUp::default())
}

/// The plan for an object that cannot be decoded: it only sets a condition that names the field.
/// `object` is the Rollout as JSON.
#[must_use]
pub fn undecodable(object: &Value, error: &FieldError, now: Timestamp) -> Plan {
    status::refused::undecodable(object, error, now)
}

/// Finds the revision of the pod template.
fn identify(observed: Arc<Observed>, now: Timestamp, looked_up: LookedUp) -> Turn {
    let rollout = &observed.rollout;
    let faults = Faults::of(&observed);
    let fields = rollout.spec.strategy.any_fields().map(Cow::into_owned);
    let chosen = fields.zip(StrategyChoice::of(&rollout.spec.strategy));
    let strategy = match chosen {
        Some(strategy) if faults.is_empty() => strategy,
        _ => return begin_with_faults(observed, &faults, now),
    };
    if rollout.spec.replicas.is_none() {
        return done(default_replicas());
    }
    let mut record = Record::of(rollout.status.clone().unwrap_or_default());
    let new = match identity::identify(&observed, looked_up.defaulted_template.as_ref()) {
        Identity::Known(revision) => NewRevision { hash: revision.hash().to_owned(), revision: Some(revision) },
        Identity::New { hash, collisions } => {
            let Record { status, kulta, .. } = &mut record;
            identity::count_collisions(observed.template(), &hash, collisions, status, kulta);
            NewRevision { hash, revision: None }
        }
        Identity::Refused { hash, .. } => NewRevision { hash, revision: None },
        Identity::Unclear => {
            let need = need_defaults(&observed);
            return look_up(need, Waiting::Identity { observed, now }, looked_up);
        }
    };
    let context = Context::new(observed, strategy, new, &record.status, None, now);
    let (record, answers) = lifecycle::update(&context, record);
    advance(context, Next::Stage(Progress::begin(record, answers)))
}

/// Without a stable revision there is nothing to keep or to restore.
fn begin_with_faults(observed: Arc<Observed>, faults: &Faults, now: Timestamp) -> Turn {
    if !faults::is_deployed(&observed.rollout) {
        return done(status::refused::invalid(&observed, &faults.all(), now));
    }
    let context = faults::context(observed, faults, now);
    let (record, answers) = lifecycle::update_with_faults(&context, Record::of(context.before.clone()));
    advance(context, Next::Stage(Progress::begin(record, answers)))
}

/// Runs stage after stage until a question has to be answered or no stage follows.
fn advance(context: Context, mut next: Next) -> Turn {
    loop {
        match next {
            Next::Stage(progress) => next = dispatch::next(&context, progress),
            Next::Ask(situation, progress) => {
                let plugin = context.strategy.plugin.clone();
                let pin = crate::pins::pin_of(&progress.record, crate::pins::PluginKind::Strategy, &plugin);
                let config = context.strategy.config.clone();
                let situation = *situation;
                return Turn::Ask(Box::new(Ask { plugin, config, pin, situation, context, progress }));
            }
            Next::Settled(outcome) => return conclude(context, outcome, LookedUp::default()),
        }
    }
}

/// Continues with the strategy's answer.
fn answered(
    context: Context,
    progress: Progress,
    situation: &Situation,
    answer: Result<Decision, StrategyFailure>,
) -> Turn {
    let next = match answer {
        Ok(decision) => strategy::decided(&context, progress, situation, &decision),
        Err(failure) => strategy_failure::undecided(&context, progress, &failure),
    };
    advance(context, next)
}

/// Continues with the answer of a look-up.
fn looked_up(waiting: Waiting, known: LookedUp) -> Turn {
    match waiting {
        Waiting::Identity { observed, now } => identify(observed, now, known),
        Waiting::Writes { context, outcome } => conclude(*context, *outcome, known),
    }
}

/// Makes the plan from the decision: the safe goal, the writes, the status.
fn conclude(context: Context, outcome: Outcome, known: LookedUp) -> Turn {
    let older = match outcome.goal {
        Goal::Sides(_) if context.shape().is_some() => scale_down::older(&context, &outcome.record),
        Goal::Sides(_) | Goal::KeepPods => Vec::new(),
    };
    let older_pods: Vec<u32> = older.iter().map(|kept| kept.pods).collect();
    let checked = SafeGoal::check(&context, &outcome, &older_pods, &known);
    let canary_deadline = outcome.canary_deadline.map(|at| (context.new_hash.clone(), at));
    let deadlines =
        context.others.iter().zip(&older).filter_map(|(other, kept)| Some((other.hash().to_owned(), kept.deadline?)));
    let annotations = match outcome.goal {
        Goal::Sides(_) => {
            AnnotationChanges::deadlines(&context, &outcome.record, canary_deadline.into_iter().chain(deadlines))
        }
        Goal::KeepPods => AnnotationChanges::default(),
    };
    let writes = writes::plan(&context, &outcome.record, &checked.goal, &annotations, &known);
    if let Some(need) = checked.need.or_else(|| writes.need.clone()) {
        let waiting = Waiting::Writes { context: Box::new(context), outcome: Box::new(outcome) };
        return look_up(need, waiting, known);
    }
    let wake_up = older.iter().map(|kept| kept.wake_up).fold(checked.wake_up, time::earlier);
    done(status::conclude(Conclusion { context, outcome, writes, wake_up }))
}

fn look_up(need: Need, waiting: Waiting, known: LookedUp) -> Turn {
    Turn::LookUp(Box::new(LookUp { need, waiting, known }))
}

fn done(plan: Plan) -> Turn {
    Turn::Done(Box::new(plan))
}

/// Writes the default of `spec.replicas`, because a HorizontalPodAutoscaler reads it (`reference/argo-rollouts.md` section 1.1).
fn default_replicas() -> Plan {
    let patch = serde_json::json!({ "spec": { "replicas": kulta_api::rollout::DEFAULT_REPLICAS } });
    Plan {
        writes: vec![Write { action: Action::PatchRollout { patch }, events: Vec::new() }],
        reason: "spec.replicas is absent: writing the default".to_owned(),
        ..Plan::default()
    }
}

/// Asks for the template with the API server's defaults, to compare it with revisions of other controllers.
fn need_defaults(observed: &Observed) -> Need {
    let (rollout, template) = (&observed.rollout, observed.template());
    let hash = hash::revision_hash(&template.0, 0);
    let mut body =
        workload::body(&NewWorkload { rollout, template, hash: &hash, revision: 0, replicas: 0, stable: None });
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        // The name is generated, so that an existing object cannot prevent the server's answer.
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), format!("{hash}-").into());
    }
    Need::DefaultedTemplate { body }
}
