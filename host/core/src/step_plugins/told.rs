//! What the calls have come to: recorded, and told.

use jiff::Timestamp;
use kulta_api::foreign_status::StepPluginStatus;

use super::call::{CallId, Operation, StepAnswer, StepOutcome};
use super::record::{self, Phase};
use crate::decision::{FailureClass, PauseCause, StrategyFailure};
use crate::pass::{Pass, PluginTrouble};
use crate::plan::{EventKind, EventReason};
use crate::plugin_failure::Effect;
use crate::time;

/// Seconds that a plugin is left alone at least, however soon it wants to be called again: as in Argo.
const FLOOR_SECONDS: u64 = 10;
/// Seconds until it is called again when there was no usable answer: as in Argo.
const ERROR_SECONDS: u64 = 30;
/// Characters of a message that an event quotes.
const QUOTED_CHARS: usize = 256;

/// Whole seconds from now to then, rounded up: what has passed since the plugin was asked is less than what it counted with.
fn seconds_until(then: Timestamp, now: Timestamp) -> u64 {
    let left = then.duration_since(now);
    let seconds = left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0));
    u64::try_from(seconds).unwrap_or(0)
}

impl Pass {
    /// Records the answers to the calls that were due. One that nobody waits for any more is dropped.
    pub fn observe_step_plugins(&mut self) {
        for answer in self.scene.observed.step_answers.clone() {
            self.observe_step_plugin(answer);
        }
    }

    fn observe_step_plugin(&mut self, answer: StepAnswer) {
        let found =
            self.entries().iter().position(|entry| record::is_open(entry) && record::id(entry) == Some(answer.id));
        let Some(at) = found else { return };
        let before = self.entries().get(at).and_then(record::phase);
        self.record_answer(at, answer, before);
    }

    /// The answer to the first call of work that this very pass has begun, where it is there: whether it is recorded.
    pub(super) fn take_first_answer(&mut self, at: usize, call: CallId) -> bool {
        let mut answers = self.scene.observed.step_answers.iter();
        let Some(answer) = answers.find(|answer| answer.id == call).cloned() else { return false };
        // What stops the rollout, or is told as a fault, is taken in at the start of a look.
        if matches!(&answer.outcome, StepOutcome::Errored { class, .. } if class.effect() != Effect::AwaitedSilently) {
            self.step_answer_kept = true;
            return false;
        }
        self.step_answered = self.record_answer(at, answer, None);
        self.step_answered
    }

    /// Answers whether there was anything to record. `before` is the phase that was told last.
    fn record_answer(&mut self, at: usize, answer: StepAnswer, before: Option<Phase>) -> bool {
        let Some(mut entry) = self.entries().get(at).cloned() else { return false };
        let now = time::floor(self.scene.now);
        match answer.outcome {
            StepOutcome::NotStored => return false,
            StepOutcome::Errored { class, .. } if class.effect() == Effect::AwaitedSilently => {
                self.step_plugins_loading = true;
                return false;
            }
            StepOutcome::Errored { class, message } => {
                self.trouble(&entry, class, &message);
                if before != Some(Phase::Error) {
                    self.tell_missing(&entry, class, &message);
                }
                record::put_off(&mut entry, Phase::Error, &message, ERROR_SECONDS, &now);
            }
            StepOutcome::Waiting { until, reason, memory } => {
                let seconds = seconds_until(until, self.scene.now).max(FLOOR_SECONDS);
                // Counted from a whole second that is not in the past: no call is made early.
                record::put_off(&mut entry, Phase::Running, &reason, seconds, &time::ceil(self.scene.now));
                record::remember(&mut entry, &memory);
            }
            StepOutcome::Successful { reason, memory } => {
                record::finish(&mut entry, Phase::Successful, &reason, &now);
                record::remember(&mut entry, &memory);
            }
            StepOutcome::Failed { reason, memory } => {
                record::finish(&mut entry, Phase::Failed, &reason, &now);
                record::remember(&mut entry, &memory);
            }
        }
        entry.executions = Some(answer.id.execution.saturating_add(1));
        self.hand_on(at, &entry);
        self.tell_step_plugin(&entry, before);
        if let Some(place) = self.entries().get_mut(at) {
            *place = entry;
        }
        true
    }

    /// What ends or undoes the work knows what has come of it: one call is made at a time, so none of these has been made yet.
    fn hand_on(&mut self, at: usize, entry: &StepPluginStatus) {
        let memory = record::memory(entry);
        for later in self.entries().iter_mut().skip(at + 1) {
            if later.index == entry.index && later.executions.unwrap_or(0) == 0 {
                record::remember(later, &memory);
            }
        }
    }

    /// A component that cannot be had stops the rollout for a person.
    fn trouble(&mut self, entry: &StepPluginStatus, class: FailureClass, message: &str) {
        if class.effect() != Effect::PinnedAnew || !record::is(entry, Operation::Run) || !self.may_work() {
            return;
        }
        let failure = StrategyFailure { class, message: message.to_owned() };
        self.trouble = Some(PluginTrouble { who: format!("step plugin {:?}", entry.name), failure });
        self.pause(PauseCause::Step, None);
    }

    /// Tells of a step plugin that is not served: the rollout stops at its step until the deadline (upstream
    /// `test/e2e/step_plugin_test.go`, `TestRolloutErrorWhenStepPluginNotConfigured`).
    fn tell_missing(&mut self, entry: &StepPluginStatus, class: FailureClass, message: &str) {
        if !matches!(class, FailureClass::Unknown | FailureClass::Refused) {
            return;
        }
        let started = entry.started_at.as_ref().map_or(0, |time| time.0.as_second());
        let mark = format!("{}.{started}.step{}", self.status.current_pod_hash, entry.index);
        let message = format!("Step plugin {:?} of step {}: {message}", entry.name, entry.index);
        let event = self.warning(&mark, EventReason::ReconciliationError, message);
        self.events.push(event);
    }

    /// Tells that an operation has come to another phase.
    pub(super) fn tell_step_plugin(&mut self, entry: &StepPluginStatus, before: Option<Phase>) {
        let after = record::phase(entry);
        let Some(phase) = after.filter(|_| after != before) else { return };
        let (index, operation) = (entry.index, &entry.operation);
        let from = before.map_or_else(String::new, |before| format!(" from {}", before.as_str()));
        let mut said: String = entry.message.iter().flat_map(|message| message.chars()).take(QUOTED_CHARS).collect();
        if !said.is_empty() {
            said.insert_str(0, ": ");
        }
        let message =
            format!("Step plugin {:?} of step {index}: {operation} went{from} to {}{said}", entry.name, phase.as_str());
        let started = entry.started_at.as_ref().map_or(0, |time| time.0.as_second());
        let mark = format!(
            "{}.{started}.step{index}-{}-{}-{}",
            self.status.current_pod_hash,
            operation.to_lowercase(),
            entry.executions.unwrap_or(0),
            phase.as_str().to_lowercase(),
        );
        let mut event = self.write_event(&mark, EventReason::StepPluginTransition, message);
        if matches!(phase, Phase::Failed | Phase::Error) {
            event.kind = EventKind::Warning;
        }
        self.events.push(event);
    }
}
