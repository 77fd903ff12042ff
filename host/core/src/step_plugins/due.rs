//! Which call is due now.

use jiff::Timestamp;
use kulta_api::foreign_status::StepPluginStatus;

use super::call::{Operation, StepCall};
use super::record::{self, Phase};
use super::wanted::plugin_of;
use crate::decision::{Goal, Waiting};
use crate::pass::Pass;
use crate::pins::PluginKind;
use crate::time;

/// Seconds until plugins that are being loaded are asked again.
const LOADING_SECONDS: u32 = 2;

impl Pass {
    /// Plans the call that is due, if one is.
    pub fn settle_step_plugins(&mut self) {
        while let Some(at) = self.next_entry() {
            let Some(mut entry) = self.entries().get(at).cloned() else { return };
            let before = record::phase(&entry);
            let (now, plugin) = (time::floor(self.scene.now), plugin_of(&self.scene.observed.rollout, entry.index));
            let config = plugin.filter(|plugin| plugin.name == entry.name).map(kulta_api::StepPlugin::configured);
            if entry.started_at.is_none() {
                record::begin(&mut entry, &now);
            }
            let given_up = match &config {
                None => Some("the spec no longer has this step".to_owned()),
                Some(_) => self.overdue(&entry),
            };
            if let Some(why) = &given_up {
                record::finish(&mut entry, Phase::Error, why, &now);
            }
            self.tell_step_plugin(&entry, before);
            if let Some(place) = self.entries().get_mut(at) {
                place.clone_from(&entry);
            }
            if given_up.is_none() {
                self.call(&entry, config.unwrap_or_default());
                return;
            }
        }
    }

    /// What ends or undoes work goes before work, in the order in which it was wanted.
    fn next_entry(&self) -> Option<usize> {
        let is_next = |entry: &StepPluginStatus| {
            record::is_open(entry) && record::operation(entry).is_some_and(|operation| operation != Operation::Run)
        };
        let entries = &self.status.canary.step_plugin_statuses;
        entries.iter().position(is_next).or_else(|| self.current_step_run().filter(|_| self.may_work()))
    }

    /// The rollout is on its way forward, and nothing has stopped it.
    pub(super) fn may_work(&self) -> bool {
        let rollout = &self.scene.observed.rollout;
        let stopped = rollout.spec.paused() || self.blocked.is_some() || !self.status.pause_conditions.is_empty();
        !stopped && !self.status.abort && !self.status.promote_full && !self.scene.is_stable(&self.status)
    }

    /// When what ends or undoes work has had its time: the next in turn must not wait for ever.
    fn end_of(&self, entry: &StepPluginStatus) -> Option<Timestamp> {
        let seconds = self.scene.observed.rollout.spec.progress_deadline_seconds();
        let answered = entry.executions.unwrap_or(0) > 0;
        let end = time::after(entry.started_at.as_ref()?.0, seconds);
        (answered && !record::is(entry, Operation::Run)).then_some(end)
    }

    fn overdue(&self, entry: &StepPluginStatus) -> Option<String> {
        let end = self.end_of(entry)?;
        let seconds = self.scene.observed.rollout.spec.progress_deadline_seconds();
        let said = entry.message.as_deref().unwrap_or("no answer");
        (end <= self.scene.now).then(|| format!("given up after {seconds} s: {said}"))
    }

    fn call(&mut self, entry: &StepPluginStatus, config: serde_json::Value) {
        if let Some(at) = record::not_before(entry).filter(|at| *at > self.scene.now) {
            self.wake_up = time::earlier(self.wake_up, time::earlier(Some(at), self.end_of(entry)));
            return;
        }
        if self.step_plugins_loading {
            self.wake(time::after(self.scene.now, LOADING_SECONDS));
            return;
        }
        let Some(id) = record::id(entry) else { return };
        self.step_call = Some(StepCall {
            id,
            plugin: entry.name.clone(),
            config,
            pin: self.pin_of(PluginKind::Step, &entry.name),
            memory: record::memory(entry),
            situation: self.situation(Goal::Forward, false),
        });
    }

    /// The call that is due is the first of work that begins here, and everything else that is to be stored may wait for its answer:
    /// nothing is to be done after it, and it keeps what no later look would find out again.
    pub fn first_call_may_wait(&self) -> bool {
        let Some(call) = &self.step_call else { return false };
        let is_answered = self.scene.observed.step_answers.iter().any(|answer| answer.id == call.id);
        let before = &self.before.canary.step_plugin_statuses;
        let is_this = |entry: &&StepPluginStatus| record::id(entry) == Some(call.id);
        let others = self.status.canary.step_plugin_statuses.iter().filter(|entry| !is_this(entry));
        let is_first = call.id.operation == Operation::Run
            && call.id.execution == 0
            && !before.iter().any(|entry| is_this(&entry));
        let plugins = self.before.kulta.as_ref().map(|kulta| &kulta.plugins);
        is_first
            && !is_answered
            && others.eq(before)
            && self.writes.is_empty()
            && self.before.current_pod_hash == self.status.current_pod_hash
            && plugins.map_or(self.kulta.plugins.is_empty(), |plugins| *plugins == self.kulta.plugins)
    }

    /// The rollout waits for work that is still to be done. Argo's deadline runs meanwhile, unlike in an analysis.
    pub fn awaits_step_plugin(&self) -> bool {
        self.waiting == Some(Waiting::Runs) && self.current_step_run().is_some()
    }

    /// Name of the step plugin whose work is waited for.
    pub fn open_step_plugin(&self) -> Option<&str> {
        let at = self.current_step_run()?;
        self.status.canary.step_plugin_statuses.get(at).map(|entry| entry.name.as_str())
    }

    /// A component that a person is to go past is still not to be had.
    pub fn step_plugin_is_lost(&self) -> bool {
        let entries = &self.status.canary.step_plugin_statuses;
        self.current_step_run()
            .and_then(|at| entries.get(at))
            .is_some_and(|entry| record::phase(entry) == Some(Phase::Error))
    }
}
