//! Scenarios of a canary with two step plugins: several reconciliations in a row, with the status stored after each.

mod disabled;
mod emitted;
mod ended;
mod first_call;
mod run;
mod undone;

use jiff::{SignedDuration, Timestamp};
use kulta_api::foreign_status::StepPluginStatus;
use kulta_api::{FailureKind, RolloutStatus};
use serde_json::{Value, json};

use super::{CallId, Operation, StepAnswer, StepCall, StepOutcome};
use crate::decision::{Decision, FailureClass, Next, RunPhase, Situation, Verdict, Waiting, WantedRun};
use crate::observed::Observed;
use crate::plan::Plan;
use crate::rollout::begin;
use crate::rollout::questions::LookedUp;
use crate::rollout::tests::support::{hold, now, plan_by, status, stored, under_way};

pub(super) fn steps() -> Value {
    json!([
        { "setWeight": 50 },
        { "plugin": { "name": "team/gate", "config": { "url": "http://gate" } } },
        { "plugin": { "name": "team/mail" } },
        { "pause": {} }
    ])
}

/// Decides like the built-in canary, as far as step plugins are concerned.
fn decide(situation: &Situation) -> Decision {
    let step = situation.step;
    let wants = |step: u32| WantedRun { name: format!("steps/{step}/plugin"), attempt: 1 };
    let runs = |step: u32| if step == 1 || step == 2 { vec![wants(step)] } else { Vec::new() };
    let run = situation.runs.iter().find(|run| run.name == wants(step).name).map(|run| &run.phase);
    let next = match run {
        _ if step != 1 && step != 2 => Next::Hold(Waiting::Pods),
        Some(RunPhase::Judged(Verdict::Pass)) => return Decision { runs: runs(step + 1), ..hold(step + 1, 50) },
        Some(RunPhase::Judged(Verdict::Fail(why))) => Next::Abort { kind: FailureKind::Gate, reason: why.clone() },
        _ => Next::Hold(Waiting::Runs),
    };
    Decision { runs: runs(step), next, ..hold(step, 50) }
}

/// An observed rollout, and the time.
pub(super) struct Scenario {
    pub observed: Observed,
    pub now: Timestamp,
}

impl Scenario {
    /// The rollout is at step 1, whose work has not begun.
    pub fn begin() -> Self {
        let mut observed = under_way(steps(), 1, 1, 50);
        observed.rollout.spec.progress_deadline_seconds = Some(600);
        Self { observed, now: now() }
    }

    pub fn after(mut self, seconds: i64) -> Self {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut RolloutStatus)) -> Self {
        change(status(&mut self.observed));
        self
    }

    /// One reconciliation, with its status stored.
    pub fn reconcile(&mut self) -> Plan {
        let plan = plan_by(begin(self.observed.clone(), self.now), &LookedUp::default(), decide);
        self.observed = stored(self.observed.clone(), &plan);
        self.observed.step_answers.clear();
        plan
    }

    /// The call that is due after a reconciliation.
    pub fn call(&mut self) -> Option<StepCall> {
        self.reconcile().step_call
    }

    /// Makes the call that is due, and records this outcome.
    pub fn answered(mut self, outcome: StepOutcome) -> Self {
        let id = self.call().unwrap().id;
        self.observed.step_answers = vec![StepAnswer { id, outcome }];
        self.reconcile();
        self
    }

    pub fn status(&self) -> &RolloutStatus {
        self.observed.rollout.status.as_ref().unwrap()
    }

    pub fn entries(&self) -> &[StepPluginStatus] {
        &self.status().canary.step_plugin_statuses
    }

    /// Step, operation and phase of each entry.
    pub fn outline(&self) -> Vec<String> {
        let phase = |entry: &StepPluginStatus| entry.phase.clone().unwrap_or_else(|| "-".to_owned());
        self.entries().iter().map(|entry| format!("{} {} {}", entry.index, entry.operation, phase(entry))).collect()
    }
}

pub(super) fn successful(memory: &[u8]) -> StepOutcome {
    StepOutcome::Successful { reason: "open".into(), memory: memory.to_vec() }
}

pub(super) fn failed() -> StepOutcome {
    StepOutcome::Failed { reason: "shut".into(), memory: Vec::new() }
}

pub(super) fn errored(class: FailureClass) -> StepOutcome {
    StepOutcome::Errored { class, message: "boom".into() }
}

/// The plugin is to be called again that many seconds after the scenario's start.
pub(super) fn waiting(seconds: i64, memory: &[u8]) -> StepOutcome {
    let until = now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
    StepOutcome::Waiting { until, reason: "not yet".into(), memory: memory.to_vec() }
}

pub(super) fn what(call: &StepCall) -> (i32, Operation, i32) {
    let CallId { index, operation, execution, .. } = call.id;
    (index, operation, execution)
}
