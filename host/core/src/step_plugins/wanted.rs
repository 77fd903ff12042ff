//! Which work there should be: begun, ended and undone as the rollout goes.

use kulta_api::foreign_status::StepPluginStatus;
use kulta_api::{Rollout, StepPlugin, Time};

use super::call::{Operation, StepCall};
use super::record::{self, Phase};
use crate::decision::{Run, RunPhase, Verdict};
use crate::pass::Pass;
use crate::pins::PluginKind;
use crate::runs::shortened;
use crate::time;

/// What work is not done after any more.
const ENDED: [Operation; 2] = [Operation::Terminate, Operation::Abort];

const PLUGIN_DISABLED: &str = "the step plugin is disabled";

/// By the strategy's name for the run.
pub(crate) fn index_of(run: &str) -> Option<u32> {
    run.strip_prefix("steps/")?.strip_suffix("/plugin")?.parse().ok()
}

fn run_name(index: i32) -> String {
    format!("steps/{index}/plugin")
}

pub(super) fn plugin_of(rollout: &Rollout, index: i32) -> Option<&StepPlugin> {
    let steps = &rollout.spec.strategy.canary.as_ref()?.steps;
    steps.get(usize::try_from(index).ok()?)?.plugin.as_ref()
}

impl Pass {
    /// The spec has a step plugin at that step.
    pub fn has_step_plugin(&self, index: u32) -> bool {
        i32::try_from(index).is_ok_and(|index| plugin_of(&self.scene.observed.rollout, index).is_some())
    }

    pub(super) fn entries(&mut self) -> &mut Vec<StepPluginStatus> {
        &mut self.status.canary.step_plugin_statuses
    }

    /// The work of the step, as long as nobody has ended or undone it since.
    fn run_entry(&self, index: i32) -> Option<usize> {
        let entries = &self.status.canary.step_plugin_statuses;
        let at = entries.iter().rposition(|entry| entry.index == index && record::is(entry, Operation::Run))?;
        (!self.is_followed(at, &ENDED)).then_some(at)
    }

    /// Another operation on the same step has come after this entry.
    fn is_followed(&self, at: usize, by: &[Operation]) -> bool {
        let entries = &self.status.canary.step_plugin_statuses;
        let Some(index) = entries.get(at).map(|entry| entry.index) else { return false };
        let follows = |later: &StepPluginStatus| record::operation(later).is_some_and(|later| by.contains(&later));
        entries.iter().skip(at + 1).any(|later| later.index == index && follows(later))
    }

    /// The work at the current step that is still to be done.
    pub(super) fn current_step_run(&self) -> Option<usize> {
        let at = self.run_entry(i32::try_from(self.step()).ok()?)?;
        self.status.canary.step_plugin_statuses.get(at).is_some_and(record::is_open).then_some(at)
    }

    /// The strategy wants this work, and no other.
    pub fn want_step_plugin(&mut self, index: Option<u32>) {
        let wanted = index.and_then(|index| i32::try_from(index).ok());
        self.end_step_plugins_but(wanted);
        // There is nothing to work on before the revision is there.
        if let Some(index) = wanted.filter(|_| self.scene.new.is_some()) {
            self.begin_step_plugin(index);
        }
    }

    fn begin_step_plugin(&mut self, index: i32) {
        if let Some(at) = self.run_entry(index) {
            self.skip_disabled(at);
            return;
        }
        let Some(plugin) = plugin_of(&self.scene.observed.rollout, index).cloned() else { return };
        let now = time::floor(self.scene.now);
        let call = self.unstored_call(index, &plugin).map(|call| call.id);
        let mut entry = record::waiting(index, &plugin.name, Operation::Run);
        record::begin(&mut entry, &call.map_or_else(|| now.clone(), |call| Time(call.started_at)));
        if plugin.disabled {
            record::skip(&mut entry, "the step is disabled", &now);
        } else if self.is_disabled(&plugin.name) {
            record::skip(&mut entry, PLUGIN_DISABLED, &now);
        }
        // What a person went back to is done anew.
        self.entries()
            .retain(|entry| entry.index != index || record::is_open(entry) && !record::is(entry, Operation::Run));
        let at = self.entries().len();
        self.entries().push(entry.clone());
        if !call.is_some_and(|call| self.take_first_answer(at, call)) {
            self.tell_step_plugin(&entry, None);
        }
    }

    /// The first call of this work is made already, and only its entry is not stored.
    fn unstored_call(&self, index: i32, plugin: &StepPlugin) -> Option<&StepCall> {
        let call = self.scene.observed.unstored_call.as_ref()?;
        let is_same = call.id.index == index
            && call.plugin == plugin.name
            && call.config == plugin.configured()
            && call.pin == self.pin_of(PluginKind::Step, &plugin.name)
            && call.situation.canary.hash == self.scene.new_hash;
        is_same.then_some(call)
    }

    /// An admin's Plugin object says that its steps are skipped.
    fn is_disabled(&self, plugin: &str) -> bool {
        self.scene.observed.disabled_step_plugins.contains(plugin)
    }

    /// Work that is not finished is not waited for once its plugin is disabled.
    fn skip_disabled(&mut self, at: usize) {
        let Some(mut entry) = self.entries().get(at).cloned() else { return };
        if !record::is_open(&entry) || !self.is_disabled(&entry.name) {
            return;
        }
        let before = record::phase(&entry);
        record::skip(&mut entry, PLUGIN_DISABLED, &time::floor(self.scene.now));
        self.tell_step_plugin(&entry, before);
        if let Some(place) = self.entries().get_mut(at) {
            *place = entry;
        }
    }

    /// The rollout goes on without the work that is not finished.
    pub fn end_step_plugins(&mut self) {
        self.end_step_plugins_but(None);
    }

    fn end_step_plugins_but(&mut self, kept: Option<i32>) {
        let unfinished = self.work(&ENDED, |entry| record::is_open(entry) && Some(entry.index) != kept);
        for entry in unfinished {
            self.follow_up(&entry, Operation::Terminate);
        }
    }

    /// All work is undone, the newest first. What failed has nothing to undo.
    pub fn undo_step_plugins(&mut self) {
        let done = self.work(&[Operation::Abort], |entry| {
            entry.disabled != Some(true) && record::phase(entry) != Some(Phase::Failed)
        });
        // What is undone need not be ended before.
        self.entries().retain(|entry| !record::is(entry, Operation::Terminate) || entry.started_at.is_some());
        for entry in done.iter().rev() {
            self.follow_up(entry, Operation::Abort);
        }
    }

    /// The work of a revision that is left, or tried anew: what ends or undoes it is still to be done.
    pub fn leave_step_plugins(&mut self) {
        self.end_step_plugins();
        self.entries().retain(|entry| !record::is(entry, Operation::Run) && record::is_open(entry));
    }

    /// The work that none of these has come after.
    fn work(&self, after: &[Operation], condition: impl Fn(&StepPluginStatus) -> bool) -> Vec<StepPluginStatus> {
        let entries = self.status.canary.step_plugin_statuses.iter().enumerate();
        let runs = entries.filter(|(at, entry)| record::is(entry, Operation::Run) && !self.is_followed(*at, after));
        runs.map(|(_, entry)| entry).filter(|entry| condition(entry)).cloned().collect()
    }

    fn follow_up(&mut self, run: &StepPluginStatus, operation: Operation) {
        let mut entry = record::waiting(run.index, &run.name, operation);
        record::remember(&mut entry, &record::memory(run));
        self.entries().retain(|other| other.index != run.index || !record::is(other, operation));
        self.entries().push(entry);
    }

    /// The work as the strategy sees it.
    pub fn step_plugin_runs(&self) -> Vec<Run> {
        let seen = |entry: &StepPluginStatus| Run {
            name: run_name(entry.index),
            attempt: 1,
            phase: match record::phase(entry) {
                Some(Phase::Successful) => RunPhase::Judged(Verdict::Pass),
                Some(Phase::Failed) => {
                    RunPhase::Judged(Verdict::Fail(shortened(entry.message.as_deref().unwrap_or_default()).to_owned()))
                }
                // What gave no usable answer is called again, until the deadline.
                Some(Phase::Running | Phase::Error) | None => RunPhase::Running,
            },
            started_at: entry.started_at.as_ref().map_or(self.scene.now, |time| time.0),
        };
        self.work(&ENDED, |_| true).iter().map(seen).collect()
    }
}
