//! Which work there should be: when work begins, ends and is undone.

use kulta_api::foreign_status::StepPluginStatus;
use kulta_api::{Rollout, StepPlugin, Time};

use super::call::{Operation, StepCall};
use super::entries::{self, ENDED, plugin_of};
use super::record::{self, Phase};
use super::{answers, emit};
use crate::pins::{self, PluginKind};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::time;

const PLUGIN_DISABLED: &str = "the step plugin is disabled";
const STEP_DISABLED: &str = "the step is disabled";

/// The state of the answer to the first call of work that begins now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstAnswer {
    /// There is no answer yet.
    Awaited,
    /// The plugin is being loaded.
    Loading,
    /// The answer is recorded, and has not been reported to the strategy.
    Recorded,
    /// The next reconciliation records it.
    Kept,
}

/// Index of the step, by the strategy's name for the run.
pub(crate) fn index_of(run: &str) -> Option<u32> {
    run.strip_prefix("steps/")?.strip_suffix("/plugin")?.parse().ok()
}

/// The spec has a step plugin at that step.
pub(crate) fn is_at(rollout: &Rollout, index: u32) -> bool {
    i32::try_from(index).is_ok_and(|index| plugin_of(rollout, index).is_some())
}

/// The strategy wants this work, and no other.
pub(crate) fn want(context: &Context, mut record: Record, index: Option<u32>) -> (Record, FirstAnswer) {
    let wanted = index.and_then(|index| i32::try_from(index).ok());
    end_but(&mut record, wanted);
    // There is nothing to work on before the revision exists.
    match wanted.filter(|_| context.new.is_some()) {
        Some(index) => begin(context, record, index),
        None => (record, FirstAnswer::Awaited),
    }
}

fn begin(context: &Context, mut record: Record, index: i32) -> (Record, FirstAnswer) {
    if let Some(at) = entries::run_entry(&record, index) {
        return (skip_disabled(context, record, at), FirstAnswer::Awaited);
    }
    let Some(plugin) = plugin_of(&context.observed.rollout, index) else { return (record, FirstAnswer::Awaited) };
    let now = time::floor(context.now);
    let call = unstored_call(context, &record, index, plugin).map(|call| call.id);
    let mut entry = record::waiting(index, &plugin.name, Operation::Run);
    record::begin(&mut entry, &call.map_or_else(|| now.clone(), |call| Time(call.started_at)));
    if plugin.disabled {
        record::skip(&mut entry, STEP_DISABLED, &now);
    } else if is_disabled(context, &plugin.name) {
        record::skip(&mut entry, PLUGIN_DISABLED, &now);
    }
    // Work at a step to which a user returned is done again.
    let entries = entries::of(&mut record);
    entries.retain(|entry| entry.index != index || record::is_open(entry) && !record::is(entry, Operation::Run));
    let at = entries.len();
    entries.push(entry.clone());
    let answer = call.and_then(|call| answers::first_answer(context, call));
    let (mut record, first) = match answer {
        None => (record, FirstAnswer::Awaited),
        Some(answer) if answers::is_recorded_later(answer) => (record, FirstAnswer::Kept),
        Some(answer) => {
            let (record, effect) = answers::record_answer(context, record, at, answer, None);
            let unrecorded = if effect.loading { FirstAnswer::Loading } else { FirstAnswer::Awaited };
            (record, if effect.is_recorded { FirstAnswer::Recorded } else { unrecorded })
        }
    };
    if first != FirstAnswer::Recorded {
        emit::phase(context, &mut record, &entry, None);
    }
    (record, first)
}

/// The first call of this work is made already, but its entry is not stored.
fn unstored_call<'a>(context: &'a Context, record: &Record, index: i32, plugin: &StepPlugin) -> Option<&'a StepCall> {
    let call = context.observed.unstored_call.as_ref()?;
    let is_same = call.id.index == index
        && call.plugin == plugin.name
        && call.config == plugin.configured()
        && call.pin == pins::pin_of(record, PluginKind::Step, &plugin.name)
        && call.situation.canary.hash == context.new_hash;
    is_same.then_some(call)
}

/// The Plugin object disables the plugin, so its steps are skipped.
fn is_disabled(context: &Context, plugin: &str) -> bool {
    context.observed.disabled_step_plugins.contains(plugin)
}

/// The rollout does not wait for unfinished work of a disabled plugin.
fn skip_disabled(context: &Context, mut record: Record, at: usize) -> Record {
    let Some(mut entry) = entries::of(&mut record).get(at).cloned() else { return record };
    if !record::is_open(&entry) || !is_disabled(context, &entry.name) {
        return record;
    }
    let before = record::phase(&entry);
    record::skip(&mut entry, PLUGIN_DISABLED, &time::floor(context.now));
    emit::phase(context, &mut record, &entry, before);
    entries::replace(&mut record, at, entry);
    record
}

/// The rollout continues without the unfinished work.
pub(crate) fn end(record: &mut Record) {
    end_but(record, None);
}

fn end_but(record: &mut Record, kept: Option<i32>) {
    let unfinished = entries::work(record, &ENDED, |entry| record::is_open(entry) && Some(entry.index) != kept);
    for entry in unfinished {
        follow_up(record, &entry, Operation::Terminate);
    }
}

/// All work is undone, the newest first. Work that failed has nothing to undo.
pub(crate) fn undo(record: &mut Record) {
    let done = entries::work(record, &[Operation::Abort], |entry| {
        entry.disabled != Some(true) && record::phase(entry) != Some(Phase::Failed)
    });
    // Work that is undone is not ended first.
    entries::of(record).retain(|entry| !record::is(entry, Operation::Terminate) || entry.started_at.is_some());
    for entry in done.iter().rev() {
        follow_up(record, entry, Operation::Abort);
    }
}

/// The revision is superseded or retried. Operations that end or undo its work still follow.
pub(crate) fn leave(record: &mut Record) {
    end(record);
    entries::of(record).retain(|entry| !record::is(entry, Operation::Run) && record::is_open(entry));
}

fn follow_up(record: &mut Record, run: &StepPluginStatus, operation: Operation) {
    let mut entry = record::waiting(run.index, &run.name, operation);
    record::remember(&mut entry, &record::memory(run));
    entries::of(record).retain(|other| other.index != run.index || !record::is(other, operation));
    entries::of(record).push(entry);
}
