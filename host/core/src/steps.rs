//! Asking the strategy, and following its answer (design section 1, "Who decides what").

use jiff::Timestamp;
use kulta_api::{DecisionEntry, PauseCondition, PauseReason, SetCanaryScale, TransitionKind};

use crate::arrange::Target;
use crate::decision::{Decision, FailureClass, Goal, Next, PauseCause, Run, Situation, StrategyFailure, Waiting};
use crate::pass::{Ask, Pass, Turn};
use crate::pins::PluginKind;
use crate::plan::{EventKind, EventReason};
use crate::plugin_failure::Effect;
use crate::runs::{PROMOTED, Stop};
use crate::scene;
use crate::time;

/// Steps that may pass in one look: more than any sensible list has, and an end for a strategy that never settles.
const STEPS_AT_ONCE: u32 = 32;
/// Failures in a row after which the rollout is paused for a person to look at.
const FAILURES_UNTIL_PAUSE: u64 = 5;
/// Seconds until a strategy that failed is asked again, times the failures so far.
const RETRY_SECONDS: u32 = 2;
/// Characters of a reason that the decision log keeps.
const REASON_CHARS: usize = 160;
const RESUMED: &str = "Rollout is resumed";

impl Pass {
    /// Asks where to go from the current step, unless the strategy has failed a moment ago: then it is left alone until its time.
    pub fn ask(self, reached: bool) -> Turn {
        let retry_at = self.kulta.strategy_retry_at.as_ref().map(|at| at.0);
        // A user who lifts the pause that the failures have brought wants an answer now.
        let is_retried = self.kulta.plugin_failures >= FAILURES_UNTIL_PAUSE && self.status.pause_lifted();
        if let Some(at) = retry_at.filter(|at| *at > self.scene.now && !is_retried) {
            return self.await_strategy(at);
        }
        let situation = self.situation(Goal::Forward, reached);
        self.put(situation)
    }

    /// Asks for the way back to stable by falling weights.
    pub fn ask_to_restore(self) -> Turn {
        let situation = self.situation(Goal::Restore, false);
        self.put(situation)
    }

    /// Holds until the strategy, which has failed, is asked again.
    fn await_strategy(mut self, at: Timestamp) -> Turn {
        if let Some(Stop::Abort(why)) = self.background_stop() {
            self.abort_by_analysis(&why);
            return self.go_on();
        }
        self.reason = format!("strategy {:?} has failed and is asked again at {at}", self.scene.strategy.plugin);
        self.wake(at);
        self.hold();
        self.done()
    }

    fn put(self, situation: Situation) -> Turn {
        if let Some(failure) = self.scene.observed.strategy_failure.clone() {
            return self.undecided(&failure);
        }
        Turn::Ask(Box::new(Ask {
            plugin: self.scene.strategy.plugin.clone(),
            config: self.scene.strategy.config.clone(),
            pin: self.pin_of(PluginKind::Strategy, &self.scene.strategy.plugin),
            situation,
            pass: self,
        }))
    }

    pub fn situation(&self, goal: Goal, reached: bool) -> Situation {
        let scene = &self.scene;
        let metadata = &scene.observed.rollout.metadata;
        let mut canary = scene.new.as_ref().map(|new| scene::revision(new)).unwrap_or_default();
        canary.hash.clone_from(&scene.new_hash);
        canary.number = scene.revision_number();
        let pauses = [
            (PauseReason::InconclusiveAnalysisRun, PauseCause::Analysis),
            (PauseReason::CanaryPauseStep, PauseCause::Step),
        ];
        let paused =
            pauses.into_iter().find_map(|(reason, cause)| Some((cause, self.status.pause(reason)?.start_time.0)));
        let step_started = self.kulta.step_started_at.as_ref().map_or(scene.now, |time| time.0);
        Situation {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            replicas: scene.replicas,
            max_weight: scene.max_weight(),
            stable: scene.stable.as_ref().map(|stable| scene::revision(stable)),
            canary,
            others: scene
                .others
                .iter()
                .filter(|other| other.created_replicas > 0)
                .map(|other| scene::revision(other))
                .collect(),
            now: scene.now,
            goal,
            step: self.step(),
            step_started_at: step_started,
            memory: memory::decode(&self.kulta.memory),
            weight: scene.weight_in_force(),
            reached,
            paused,
            promoted: self.status.pause_lifted(),
            runs: if goal == Goal::Forward { self.all_runs() } else { Vec::new() },
        }
    }

    fn all_runs(&self) -> Vec<Run> {
        let mut runs = self.runs();
        runs.extend(self.step_plugin_runs());
        runs
    }

    /// The strategy has answered.
    pub fn decided(mut self, situation: Situation, decision: Decision) -> Turn {
        if situation.goal == Goal::Restore {
            // The way back leads down: an answer that stays where the weight is would keep the abort from ever restoring stable.
            let weight = if decision.weight < situation.weight { decision.weight } else { 0 };
            self.restore(weight);
            return self.done();
        }
        match self.background_overrules(&decision.next) {
            Some(Stop::Abort(why)) => {
                self.log_decision(&decision);
                self.abort_by_analysis(&why);
                return self.go_on();
            }
            Some(Stop::Pause) => {
                self.log_decision(&decision);
                "paused: the background analysis is inconclusive".clone_into(&mut self.reason);
                self.pause(PauseCause::Analysis, None);
                self.hold();
                return self.done();
            }
            None => {}
        }
        // What ends the update begins no run.
        let afresh = situation.reached && self.is_due_afresh(situation.step);
        if !matches!(decision.next, Next::Abort { .. })
            && let Err(failure) = self.want_runs_of(&decision, afresh)
        {
            return self.undecided(&failure);
        }
        self.kulta.plugin_failures = 0;
        self.kulta.strategy_retry_at = None;
        self.kulta.memory = memory::encode(&decision.memory);
        if decision.step != situation.step {
            if self.steps_passed >= STEPS_AT_ONCE {
                return self.undecided(&StrategyFailure {
                    class: FailureClass::Endless,
                    message: format!("passed {STEPS_AT_ONCE} steps at once without settling"),
                });
            }
            self.pass_step(&situation, &decision);
            self.step_answered = false;
            return self.go_on();
        }
        if std::mem::take(&mut self.step_answered) {
            return self.go_on();
        }
        let target = Target { weight: decision.weight, canary: decision.canary };
        if !situation.reached && self.in_place(&target) {
            self.in_place = Some((situation.step, decision.weight));
            // Only what is said of it then stands: logging both would never come to rest.
            return self.ask(true);
        }
        self.log_decision(&decision);
        self.follow(&decision);
        if self.status.abort || self.status.promote_full || self.steps_done() {
            // The answer ended the way forward: the host takes over.
            return self.go_on();
        }
        if matches!(decision.next, Next::Pause { cause: PauseCause::Analysis | PauseCause::Experiment, .. }) {
            // A user decides: pods and weight stay as they are until then.
            self.hold();
        } else {
            self.arrange(&target);
        }
        self.done()
    }

    /// What the decision says beside weight and scale.
    fn follow(&mut self, decision: &Decision) {
        self.reason.clone_from(&decision.reason);
        if !matches!(decision.next, Next::Pause { .. } | Next::Abort { .. }) {
            self.went_on();
        }
        match &decision.next {
            Next::Hold(waiting) => self.waiting = Some(*waiting),
            Next::Until(at) => {
                self.waiting = Some(Waiting::Other);
                self.wake(*at);
            }
            Next::Pause { cause, until } => self.pause(*cause, *until),
            Next::Promote => match self.scene.strategy.steps {
                Some(steps) => self.set_step(steps),
                None => {
                    self.drop_runs(PROMOTED);
                    self.status.promote_full = true;
                }
            },
            Next::Abort { kind, reason } => {
                self.kulta.failure = Some(*kind);
                self.begin_abort(Some(reason));
            }
        }
    }

    pub fn pause(&mut self, cause: PauseCause, until: Option<Timestamp>) {
        let reason = match cause {
            PauseCause::Step => PauseReason::CanaryPauseStep,
            PauseCause::Analysis => PauseReason::InconclusiveAnalysisRun,
            PauseCause::Experiment => PauseReason::InconclusiveExperiment,
        };
        self.waiting = Some(Waiting::Other);
        if cause == PauseCause::Analysis {
            self.note_inconclusive_run();
        }
        if self.status.pause(reason).is_none() {
            let start_time = time::ceil(self.scene.now);
            self.status.pause_conditions.push(PauseCondition { reason, start_time });
            self.status.controller_pause = true;
            let (step, weight) = (self.step(), self.scene.weight_in_force());
            self.tell(TransitionKind::Paused, |entry| {
                entry.step = Some(step);
                entry.weight = Some(weight);
                entry.why = (cause != PauseCause::Step).then(|| reason.as_str().to_owned());
            });
            let message = format!("Rollout is paused ({})", reason.as_str());
            self.event(EventKind::Normal, EventReason::RolloutPaused, message);
        }
        if let Some(until) = until {
            // The pause was counted from the pass that began it; its start is written down in whole seconds.
            self.wake(time::ceil(until).0);
        }
    }

    /// A person lifted the pause, or its cause is gone.
    pub fn resume(&mut self) {
        self.clear_pause();
        let step = self.step();
        self.tell(TransitionKind::Resumed, |entry| entry.step = Some(step));
        self.event(EventKind::Normal, EventReason::RolloutResumed, RESUMED.to_owned());
    }

    /// A step is done: the next one begins in the same patch.
    fn pass_step(&mut self, situation: &Situation, decision: &Decision) {
        let was_paused = self.status.controller_pause;
        self.clear_pause();
        if was_paused {
            self.tell(TransitionKind::Resumed, |entry| entry.step = Some(situation.step));
        }
        self.steps_passed += 1;
        self.set_step(decision.step);
        self.kulta.step_started_at = Some(time::floor(self.scene.now));
        let steps = decision.steps;
        let before = self.kulta.step_weight.unwrap_or(if situation.step == 0 { 0 } else { situation.weight });
        let weight = self.weight_of_step(situation);
        self.kulta.step_weight = Some(weight);
        self.tell(TransitionKind::Progressed, |entry| {
            entry.step = Some(situation.step);
            entry.steps = (steps > 0).then_some(steps);
            entry.weight = Some(weight);
            entry.from = Some(before);
        });
        let what = self.step_name(situation.step);
        let of = if steps > 0 { format!("/{steps}") } else { String::new() };
        self.event(
            EventKind::Normal,
            EventReason::RolloutStepCompleted,
            format!("Rollout step {}{of} completed ({what})", situation.step + 1),
        );
        if was_paused {
            self.event(EventKind::Normal, EventReason::RolloutResumed, RESUMED.to_owned());
        }
    }

    /// The share with which the step ends: its target when that is in place, or what was last decided for the step when it is passed
    /// without being asked about, as a pause that a user ends.
    fn weight_of_step(&self, situation: &Situation) -> u32 {
        let placed = self.in_place.filter(|(step, _)| *step == situation.step).map(|(_, weight)| weight);
        let decided = || self.kulta.decisions.last().filter(|last| last.step == situation.step).map(|last| last.weight);
        placed.or_else(decided).unwrap_or(situation.weight)
    }

    /// As Argo words it in its events (upstream `utils/replicaset/canary.go`, step descriptions).
    fn step_name(&self, index: u32) -> String {
        let steps = self.scene.observed.rollout.spec.strategy.canary.as_ref().map(|canary| canary.steps.as_slice());
        let Some(step) = steps.and_then(|steps| steps.get(usize::try_from(index).ok()?)) else {
            return self.scene.strategy.plugin.clone();
        };
        if let Some(weight) = step.set_weight {
            return format!("setWeight: {weight}");
        }
        if let Some(pause) = &step.pause {
            return match &pause.duration {
                Some(kulta_api::IntOrString::Int(seconds)) => format!("pause: {seconds}"),
                Some(kulta_api::IntOrString::String(text)) => format!("pause: {text}"),
                None => "pause".to_owned(),
            };
        }
        if step.analysis.is_some() {
            return "analysis".to_owned();
        }
        if let Some(plugin) = &step.plugin {
            return format!("plugin: {}", plugin.name);
        }
        match &step.set_canary_scale {
            Some(SetCanaryScale { weight: Some(weight), .. }) => format!("setCanaryScale{{weight: {weight}}}"),
            Some(SetCanaryScale { match_traffic_weight: Some(true), .. }) => {
                "setCanaryScale{matchTrafficWeight: true}".to_owned()
            }
            Some(SetCanaryScale { replicas: Some(replicas), .. }) => format!("setCanaryScale{{replicas: {replicas}}}"),
            _ => "setCanaryScale".to_owned(),
        }
    }

    fn log_decision(&mut self, decision: &Decision) {
        self.kulta.record_decision(DecisionEntry {
            time: time::floor(self.scene.now),
            step: decision.step,
            weight: decision.weight,
            reason: decision.reason.chars().take(REASON_CHARS).collect(),
        });
    }

    /// The strategy gave no usable answer: hold, and after some failures in a row pause for a person.
    pub fn undecided(mut self, failure: &StrategyFailure) -> Turn {
        let class = failure.class;
        self.reason =
            format!("strategy {:?} failed ({}): {}", self.scene.strategy.plugin, class.label(), failure.message);
        self.strategy_failure = Some(failure.clone());
        if self.status.abort {
            // The way back never depends on a plugin.
            self.restore(0);
            return self.done();
        }
        if let Some(Stop::Abort(why)) = self.background_stop() {
            self.abort_by_analysis(&why);
            return self.go_on();
        }
        match class.effect() {
            Effect::Retried => {
                let waits_for_user = self.kulta.plugin_failures >= FAILURES_UNTIL_PAUSE;
                let failures = self.kulta.plugin_failures.saturating_add(1).min(FAILURES_UNTIL_PAUSE);
                self.kulta.plugin_failures = failures;
                if failures == FAILURES_UNTIL_PAUSE {
                    self.pause(PauseCause::Step, None);
                }
                let seconds = RETRY_SECONDS * u32::try_from(failures).unwrap_or(1);
                let at = time::ceil(time::after(self.scene.now, seconds));
                self.wake(at.0);
                // A time that moves on with each failure would be written for as long as the rollout waits for a user.
                self.kulta.strategy_retry_at = (!waits_for_user).then_some(at);
            }
            Effect::Paused | Effect::PinnedAnew => self.pause(PauseCause::Step, None),
            Effect::Awaited | Effect::AwaitedSilently => self.wake(time::after(self.scene.now, RETRY_SECONDS)),
        }
        self.hold();
        self.done()
    }
}

/// A strategy's memory in the status: hex, because the status is JSON.
mod memory {
    use std::fmt::Write as _;

    pub fn encode(bytes: &[u8]) -> String {
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// What somebody else put there counts as no memory.
    pub fn decode(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
        digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>().unwrap_or_default()
    }
}
