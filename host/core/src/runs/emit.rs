//! Events about runs: Kubernetes events, and entries of the outbox.

use kulta_api::analysis::{AnalysisPhase, MetricResult};
use kulta_api::kulta_status::FAILURE_CHARS;
use kulta_api::{Outcome, TransitionKind};

use super::current::{Current, phase as parse_phase, suffix, summary_of};
use super::role::Role;
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::rollout::transition::Transition;

fn outcome(phase: AnalysisPhase) -> Option<Outcome> {
    match phase {
        AnalysisPhase::Successful => Some(Outcome::Success),
        AnalysisPhase::Failed => Some(Outcome::Failure),
        // The version of the run is unknown.
        AnalysisPhase::Error | AnalysisPhase::Inconclusive => Some(Outcome::Error),
        AnalysisPhase::Pending | AnalysisPhase::Running => None,
    }
}

/// A run has reached this phase, which is recorded. `before` is the phase that was recorded earlier.
pub(super) fn phase(context: &Context, record: &mut Record, current: &Current, now: AnalysisPhase, before: &str) {
    let name = &current.summary.name;
    let message = format!("{} Analysis Run '{name}' Status New: '{now}' Previous: '{before}'", current.role.label());
    let hash = record.status.current_pod_hash.clone();
    let mark = format!("{hash}.{}", suffix(context, name, &hash));
    let mut event = context.event(&mark, EventReason::of_run(now), message);
    if matches!(now, AnalysisPhase::Failed | AnalysisPhase::Error) {
        event.kind = EventKind::Warning;
    }
    record.events.push(event);
    let known = parse_phase(before).is_some_and(AnalysisPhase::is_completed);
    let Some(outcome) = outcome(now).filter(|_| !known) else { return };
    let stopped = current.object.as_ref().is_some_and(|object| object.spec.terminate);
    let outcome = if stopped && outcome == Outcome::Success { Outcome::Cancel } else { outcome };
    let recorded = summary_of(record, current.role).clone();
    let why = recorded.and_then(|summary| summary.message).or_else(|| match now {
        AnalysisPhase::Inconclusive => Some("inconclusive".to_owned()),
        _ => None,
    });
    let sequence = end(context, record, current, &hash, outcome, why.clone());
    if current.has_failed() || now == AnalysisPhase::Error {
        record.kulta.failure_cause = Some(sequence);
        record.kulta.failure_reason = why.map(|why| why.chars().take(FAILURE_CHARS).collect());
    }
}

/// A run begins.
pub(super) fn begin(context: &Context, record: &mut Record, role: Role, name: &str) {
    let run = suffix(context, name, &context.new_hash).to_owned();
    record.store(context, TransitionKind::AnalysisStarted, |entry| {
        entry.stable = None;
        entry.steps = None;
        entry.run = Some(run);
        entry.step = step_of(role);
    });
}

/// A run has ended. Stores the outcome of each metric, then that of the run. Returns the sequence of the latter.
pub(super) fn end(
    context: &Context,
    record: &mut Record,
    current: &Current,
    hash: &str,
    outcome: Outcome,
    why: Option<String>,
) -> u64 {
    let run = suffix(context, &current.summary.name, hash).to_owned();
    let status = current.object.as_ref().and_then(|object| object.status.as_ref());
    let metrics = status.map(|status| status.metric_results.clone()).unwrap_or_default();
    for MetricResult { name, phase, message, dry_run, .. } in metrics {
        let judged = self::outcome(phase).unwrap_or(outcome);
        let message = if dry_run { format!("dry run: {message}") } else { message };
        record.store(context, TransitionKind::MetricFinished, |entry| {
            hash.clone_into(&mut entry.hash);
            entry.stable = None;
            entry.steps = None;
            entry.run = Some(run.clone());
            entry.metric = Some(name);
            entry.outcome = Some(judged);
            entry.why = Some(message).filter(|message| !message.is_empty());
        });
    }
    let because = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let message = format!("AnalysisRun {} ended with {}{because}", current.summary.name, outcome.as_str());
    record.transitions.push(Transition { revision: Some(context.revision_number()), message });
    record.store(context, TransitionKind::AnalysisFinished, |entry| {
        hash.clone_into(&mut entry.hash);
        entry.stable = None;
        entry.steps = None;
        entry.run = Some(run);
        entry.step = step_of(current.role);
        entry.outcome = Some(outcome);
        entry.why = why;
    });
    record.kulta.sequence
}

fn step_of(role: Role) -> Option<u32> {
    match role {
        Role::Step(index) => Some(index),
        Role::Background | Role::PrePromotion | Role::PostPromotion => None,
    }
}
