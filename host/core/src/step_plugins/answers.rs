//! Records the answers to calls.

use jiff::Timestamp;
use kulta_api::foreign_status::StepPluginStatus;

use super::call::{CallId, Operation, StepAnswer, StepOutcome};
use super::record::{self, Phase};
use super::{emit, entries};
use crate::decision::{FailureClass, PauseCause, StrategyFailure};
use crate::plugin_failure::Effect;
use crate::rollout::context::Context;
use crate::rollout::lifecycle;
use crate::rollout::record::Record;
use crate::time;

/// Minimum seconds until a plugin is called again, whatever it requests, as in Argo.
const FLOOR_SECONDS: u64 = 10;
/// Seconds until the next call after a call without a usable answer, as in Argo.
const ERROR_SECONDS: u64 = 30;

/// Effects of the answers, in addition to their records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswersTaken {
    /// A plugin other than the strategy stops the rollout.
    pub trouble: Option<PluginTrouble>,
    /// Step plugins are being loaded and are called a little later.
    pub loading: bool,
    /// An answer that the next reconciliation records.
    pub kept: bool,
}

/// A plugin that gave no usable answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginTrouble {
    /// Kind and name of the plugin.
    pub who: String,
    pub failure: StrategyFailure,
}

/// Whole seconds from now until then, rounded up, because the plugin counted from an earlier time.
fn seconds_until(then: Timestamp, now: Timestamp) -> u64 {
    let left = then.duration_since(now);
    let seconds = left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0));
    u64::try_from(seconds).unwrap_or(0)
}

/// Records the answers to the calls that were due. Answers to calls that are no longer due are dropped.
pub(crate) fn record_answers(context: &Context, record: Record) -> (Record, AnswersTaken) {
    let answers = context.observed.step_answers.iter();
    answers.fold((record, AnswersTaken::default()), |(mut record, taken), answer| {
        let entries = entries::of(&mut record);
        let found = entries.iter().position(|entry| record::is_open(entry) && record::id(entry) == Some(answer.id));
        let Some(at) = found else { return (record, taken) };
        let before = entries.get(at).and_then(record::phase);
        let (record, effect) = record_answer(context, record, at, answer, before);
        let taken = AnswersTaken {
            trouble: effect.trouble.or(taken.trouble),
            loading: taken.loading || effect.loading,
            ..taken
        };
        (record, taken)
    })
}

/// The result of recording one answer.
#[derive(Debug, Default)]
pub(super) struct AnswerEffect {
    /// Whether an answer was recorded.
    pub is_recorded: bool,
    pub loading: bool,
    trouble: Option<PluginTrouble>,
}

/// The answer to the first call of work that this reconciliation has begun, if there is one.
pub(super) fn first_answer(context: &Context, call: CallId) -> Option<&StepAnswer> {
    context.observed.step_answers.iter().find(|answer| answer.id == call)
}

/// The answer stops the rollout or is an error. Such an answer is recorded at the start of a reconciliation.
pub(super) fn is_recorded_later(answer: &StepAnswer) -> bool {
    matches!(&answer.outcome, StepOutcome::Errored { class, .. } if class.effect() != Effect::AwaitedSilently)
}

/// Records an answer for the entry at this position. `before` is the phase of the last event.
pub(super) fn record_answer(
    context: &Context,
    mut record: Record,
    at: usize,
    answer: &StepAnswer,
    before: Option<Phase>,
) -> (Record, AnswerEffect) {
    let mut effect = AnswerEffect::default();
    let Some(mut entry) = entries::of(&mut record).get(at).cloned() else { return (record, effect) };
    let now = time::floor(context.now);
    match &answer.outcome {
        StepOutcome::NotStored => return (record, effect),
        StepOutcome::Errored { class, .. } if class.effect() == Effect::AwaitedSilently => {
            return (record, AnswerEffect { loading: true, ..effect });
        }
        StepOutcome::Errored { class, message } => {
            (record, effect.trouble) = stop_for_user(context, record, &entry, (*class, message));
            if before != Some(Phase::Error) {
                emit::not_served(context, &mut record, &entry, (*class, message));
            }
            record::put_off(&mut entry, Phase::Error, message, ERROR_SECONDS, &now);
        }
        StepOutcome::Waiting { until, reason, memory } => {
            let seconds = seconds_until(*until, context.now).max(FLOOR_SECONDS);
            // The wait counts from a whole second that is not in the past, so that no call is made early.
            record::put_off(&mut entry, Phase::Running, reason, seconds, &time::ceil(context.now));
            record::remember(&mut entry, memory);
        }
        StepOutcome::Successful { reason, memory } => {
            record::finish(&mut entry, Phase::Successful, reason, &now);
            record::remember(&mut entry, memory);
        }
        StepOutcome::Failed { reason, memory } => {
            record::finish(&mut entry, Phase::Failed, reason, &now);
            record::remember(&mut entry, memory);
        }
    }
    entry.executions = Some(answer.id.execution.saturating_add(1));
    pass_memory_on(&mut record, at, &entry);
    emit::phase(context, &mut record, &entry, before);
    entries::replace(&mut record, at, entry);
    effect.is_recorded = true;
    (record, effect)
}

/// The operation that ends or undoes the work gets its memory. Calls are made one at a time, so that operation has not been
/// called yet.
fn pass_memory_on(record: &mut Record, at: usize, entry: &StepPluginStatus) {
    let memory = record::memory(entry);
    for later in entries::of(record).iter_mut().skip(at + 1) {
        if later.index == entry.index && later.executions.unwrap_or(0) == 0 {
            record::remember(later, &memory);
        }
    }
}

/// A component that cannot be loaded pauses the rollout until a user skips it.
fn stop_for_user(
    context: &Context,
    record: Record,
    entry: &StepPluginStatus,
    (class, message): (FailureClass, &str),
) -> (Record, Option<PluginTrouble>) {
    let stops = class.effect() == Effect::Repinned && record::is(entry, Operation::Run);
    if !stops || !entries::may_work(context, &record) {
        return (record, None);
    }
    let failure = StrategyFailure { class, message: message.to_owned() };
    let trouble = PluginTrouble { who: format!("step plugin {:?}", entry.name), failure };
    (lifecycle::pause(context, record, PauseCause::Step), Some(trouble))
}
