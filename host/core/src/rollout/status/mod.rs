//! The status after a reconciliation. It decides only whether a deadline is exceeded.

mod autoscaling;
mod condition;
mod conditions;
mod counts;
mod deadline;
mod patch;
mod phase;
mod progressing;
mod readiness;
pub(super) mod refused;
mod waits;

use jiff::Timestamp;
use kulta_api::conditions::{self as all, ConditionType};
use kulta_api::{FailureKind, KultaPhase, RolloutPhase};

use super::context::Context;
use super::lifecycle;
use super::outcome::Outcome;
use super::record::Record;
use super::strategy;
use super::writes::{Writes, analysis_runs};
use crate::decision::{Goal, StrategyFailure, Waiting};
use crate::plan::Plan;
use crate::runs::records;
use crate::step_plugins::{self, AnswersTaken};
use crate::time;
use crate::traffic::Blocked;
use deadline::Deadline;

/// The inputs of the plan.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub context: Context,
    pub outcome: Outcome,
    pub writes: Writes,
    pub wake_up: Option<Timestamp>,
}

/// The inputs of the conditions in addition to the record.
#[derive(Debug)]
struct Report<'a> {
    context: &'a Context,
    waiting: Option<Waiting>,
    reason: &'a str,
    strategy_failure: Option<&'a StrategyFailure>,
    answers: &'a AnswersTaken,
    /// Another writer changes the weights of this rollout, or the API server refuses them.
    conflict: Option<&'a Blocked>,
}

/// The plan: status, writes, events, and when to reconcile again.
pub(super) fn conclude(conclusion: Conclusion) -> Plan {
    let Conclusion { context, outcome, writes, wake_up } = conclusion;
    let Outcome { record, waiting, reason, strategy_failure, answers, .. } = outcome;
    let record = counts::update(&context, record);
    let runs = analysis_runs::plan(&context, &record);
    // The next reconciliation handles the consequences of a run that cannot be created.
    let failed_at = (!runs.failed.is_empty()).then_some(context.now);
    let record = runs
        .failed
        .into_iter()
        .fold(record, |record, (current, why)| records::record_error(&context, record, &current, why));
    let record = match &writes.restarted_at {
        Some(at) => with_restart(record, at.clone()),
        None => record,
    };
    let report = Report {
        context: &context,
        waiting,
        reason: &reason,
        strategy_failure: strategy_failure.as_ref(),
        answers: &answers,
        conflict: writes.conflict.as_ref(),
    };
    let (record, deadline_at) = with_conditions(&report, record);
    let (record, due) = step_plugins::due(&context, record, answers.loading, |record| {
        strategy::situation(&context, record, Goal::Forward, false)
    });
    let (record, faults_reason, faults_at) = with_faults(&context, record);
    let record = with_phase(&report, record);
    let all_writes: Vec<_> = writes.writes.into_iter().chain(runs.writes).chain(writes.refused_before).collect();
    let may_wait = |call| step_plugins::first_call_may_wait(&context, &record, call, all_writes.is_empty());
    let first_call_may_wait = due.call.as_ref().is_some_and(may_wait);
    let (record, stores) = with_outbox(&context, record);
    let traffic_at = context.traffic.as_ref().and_then(|traffic| traffic.state.retry_at);
    let wake_ups = [outcome.wake_up, writes.wake_up, traffic_at, failed_at, deadline_at, due.wake_up, faults_at];
    let now = context.now;
    let Record { mut status, kulta, events, transitions, .. } = record;
    status.kulta = Some(kulta);
    let mut plan = Plan {
        status: patch::status_patch(&context.before, &status, stores),
        writes: all_writes,
        events,
        transitions,
        step_call: due.call,
        first_call_may_wait,
        step_answers_taken: !answers.kept,
        accepted_routes: context.traffic.map(|traffic| traffic.accepted_routes()).unwrap_or_default(),
        wake_up: wake_ups.into_iter().fold(wake_up, time::earlier),
        reason: faults_reason.unwrap_or(reason),
    };
    plan.order_events(now);
    plan
}

fn with_restart(mut record: Record, at: kulta_api::Time) -> Record {
    record.status.restarted_at = Some(at);
    record
}

/// Sets the conditions. An update whose deadline is exceeded is aborted if the spec requests it. Returns when the deadline ends.
fn with_conditions(report: &Report<'_>, record: Record) -> (Record, Option<Timestamp>) {
    let context = report.context;
    let (record, deadline) = conditions::update(report, record);
    let (record, wake_up) = match deadline {
        Deadline::None => (record, None),
        Deadline::Due(at) => (record, Some(at)),
        Deadline::Exceeded { message } => {
            let aborts = context.observed.rollout.spec.progress_deadline_abort.unwrap_or(false);
            if aborts && !record.status.stable_rs.is_empty() {
                // The next reconciliation restores stable.
                (abort_overdue(context, record, &message), Some(context.now))
            } else {
                (record, None)
            }
        }
    };
    (conditions::update_completion(report, record), wake_up)
}

fn abort_overdue(context: &Context, mut record: Record, message: &str) -> Record {
    record.kulta.failure = Some(FailureKind::Deployment);
    let record = lifecycle::abort(context, record, Some(message));
    progressing::set_aborted(context, record, &format!(": {message}"))
}

/// The condition and the event of an update whose spec has errors.
fn with_faults(context: &Context, mut record: Record) -> (Record, Option<String>, Option<Timestamp>) {
    let Some(faults) = &context.faults else { return (record, None, None) };
    let rollout = &context.observed.rollout;
    let message = refused::invalid_message(rollout, &faults.errors);
    let generation = rollout.metadata.generation.unwrap_or(0).to_string();
    let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
    let event = refused::set_invalid(&mut record.status.conditions, &message, &generation, uid, context.now);
    record.events.extend(event);
    (record, Some(message), Some(time::after(context.now, refused::RETRY_SECONDS)))
}

fn with_phase(report: &Report<'_>, mut record: Record) -> Record {
    let context = report.context;
    let generation = context.observed.rollout.metadata.generation.unwrap_or(0);
    record.status.observed_generation = generation.to_string();
    let (phase, message) = match all::find(&record.status.conditions, ConditionType::InvalidSpec) {
        Some(invalid) => (RolloutPhase::Degraded, format!("InvalidSpec: {}", invalid.message)),
        None => {
            let wait = waits::of(context, &record, report.waiting);
            phase::of(&context.observed.rollout.spec, &record.status, wait.as_ref())
        }
    };
    record.status.phase = Some(phase);
    record.status.message = message;
    record.kulta.phase = Some(kulta_phase(context, &record));
    record
}

fn kulta_phase(context: &Context, record: &Record) -> KultaPhase {
    let restoring = record.kulta.restoring.is_some();
    if record.status.stable_rs.is_empty() {
        return KultaPhase::Initializing;
    }
    if record.status.abort && !restoring {
        return KultaPhase::Failed;
    }
    match record.status.phase {
        Some(RolloutPhase::Paused) => KultaPhase::Paused,
        _ if record.is_stable(context) && !restoring => KultaPhase::Completed,
        _ => KultaPhase::Progressing,
    }
}

/// Removes delivered entries from the outbox: together with a change that is written anyway, or alone once no entry is left to
/// deliver. Returns whether the status stores transitions.
fn with_outbox(context: &Context, mut record: Record) -> (Record, bool) {
    let delivered = context.observed.delivered;
    let before = context.before.kulta.as_ref().map_or(0, |kulta| kulta.sequence);
    record.status.kulta = Some(std::mem::take(&mut record.kulta));
    let changes = record.status != context.before;
    record.kulta = record.status.kulta.take().unwrap_or_default();
    let is_settled = matches!(record.kulta.phase, Some(KultaPhase::Completed | KultaPhase::Failed));
    if changes || (is_settled && record.kulta.outbox.iter().all(|entry| entry.seq <= delivered)) {
        record.kulta.outbox.retain(|entry| entry.seq > delivered);
    }
    let stores = record.kulta.sequence > before;
    (record, stores)
}
