//! Which call is due now.

use jiff::Timestamp;
use kulta_api::foreign_status::StepPluginStatus;
use serde_json::Value;

use super::call::{Operation, StepCall};
use super::record::{self, Phase};
use super::{emit, entries};
use crate::decision::Situation;
use crate::pins::{self, PluginKind};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::time;

/// Seconds until plugins that are being loaded are called again.
const LOADING_SECONDS: u32 = 2;

/// The call that is due.
#[derive(Debug, Default)]
pub(crate) struct DueCall {
    pub call: Option<StepCall>,
    /// When the next call is due, if none is due now.
    pub wake_up: Option<Timestamp>,
}

/// Begins the next operation, and returns its call if that is due. `situation` describes the rollout to the plugin.
pub(crate) fn due(
    context: &Context,
    mut record: Record,
    is_loading: bool,
    situation: impl Fn(&Record) -> Situation,
) -> (Record, DueCall) {
    while let Some(at) = next_entry(context, &record) {
        let Some(mut entry) = entries::of(&mut record).get(at).cloned() else { break };
        let before = record::phase(&entry);
        let now = time::floor(context.now);
        let plugin = entries::plugin_of(&context.observed.rollout, entry.index);
        let config = plugin.filter(|plugin| plugin.name == entry.name).map(kulta_api::StepPlugin::configured);
        if entry.started_at.is_none() {
            record::begin(&mut entry, &now);
        }
        let given_up = match &config {
            None => Some("the spec no longer has this step".to_owned()),
            Some(_) => overdue(context, &entry),
        };
        if let Some(why) = &given_up {
            record::finish(&mut entry, Phase::Error, why, &now);
        }
        emit::phase(context, &mut record, &entry, before);
        entries::replace(&mut record, at, entry.clone());
        if given_up.is_none() {
            let due = call(context, &record, &entry, config.unwrap_or_default(), is_loading, situation);
            return (record, due);
        }
    }
    (record, DueCall::default())
}

/// Operations that end or undo work come before work, in the order in which they were requested.
fn next_entry(context: &Context, record: &Record) -> Option<usize> {
    let is_next = |entry: &StepPluginStatus| {
        record::is_open(entry) && record::operation(entry).is_some_and(|operation| operation != Operation::Run)
    };
    let entries = &record.status.canary.step_plugin_statuses;
    let work = || entries::current_run(record).filter(|_| entries::may_work(context, record));
    entries.iter().position(is_next).or_else(work)
}

/// When an operation that ends or undoes work is given up, so that the next one does not wait forever.
fn end_of(context: &Context, entry: &StepPluginStatus) -> Option<Timestamp> {
    let seconds = context.observed.rollout.spec.progress_deadline_seconds();
    let answered = entry.executions.unwrap_or(0) > 0;
    let end = time::after(entry.started_at.as_ref()?.0, seconds);
    (answered && !record::is(entry, Operation::Run)).then_some(end)
}

fn overdue(context: &Context, entry: &StepPluginStatus) -> Option<String> {
    let end = end_of(context, entry)?;
    let seconds = context.observed.rollout.spec.progress_deadline_seconds();
    let last = entry.message.as_deref().unwrap_or("no answer");
    (end <= context.now).then(|| format!("given up after {seconds} s: {last}"))
}

fn call(
    context: &Context,
    record: &Record,
    entry: &StepPluginStatus,
    config: Value,
    is_loading: bool,
    situation: impl Fn(&Record) -> Situation,
) -> DueCall {
    let later = |wake_up: Option<Timestamp>| DueCall { call: None, wake_up };
    if let Some(at) = record::not_before(entry).filter(|at| *at > context.now) {
        return later(time::earlier(Some(at), end_of(context, entry)));
    }
    if is_loading {
        return later(Some(time::after(context.now, LOADING_SECONDS)));
    }
    let Some(id) = record::id(entry) else { return DueCall::default() };
    let call = StepCall {
        id,
        plugin: entry.name.clone(),
        config,
        pin: pins::pin_of(record, PluginKind::Step, &entry.name),
        memory: record::memory(entry),
        situation: situation(record),
    };
    DueCall { call: Some(call), wake_up: None }
}

/// The call is the first of its work, and everything else in the plan may wait for its answer: the plan has no writes after the
/// status, and a later reconciliation would compute the same status.
pub(crate) fn first_call_may_wait(context: &Context, record: &Record, call: &StepCall, writes_nothing: bool) -> bool {
    let is_answered = context.observed.step_answers.iter().any(|answer| answer.id == call.id);
    let before = &context.before.canary.step_plugin_statuses;
    let is_this = |entry: &&StepPluginStatus| record::id(entry) == Some(call.id);
    let others = record.status.canary.step_plugin_statuses.iter().filter(|entry| !is_this(entry));
    let is_first =
        call.id.operation == Operation::Run && call.id.execution == 0 && !before.iter().any(|entry| is_this(&entry));
    let plugins = context.before.kulta.as_ref().map(|kulta| &kulta.plugins);
    is_first
        && !is_answered
        && others.eq(before)
        && writes_nothing
        && context.before.current_pod_hash == record.status.current_pod_hash
        && plugins.map_or(record.kulta.plugins.is_empty(), |plugins| *plugins == record.kulta.plugins)
}
