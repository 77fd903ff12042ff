//! Asks the strategy, and follows its decision (design section 1, "Who decides what").

use jiff::Timestamp;
use kulta_api::{DecisionEntry, PauseReason, TransitionKind};

use super::context::Context;
use super::lifecycle::{self, Stage};
use super::managed_routes;
use super::outcome::{Next as NextStage, Outcome, Progress};
use super::record::Record;
use super::stages::{self, INCONCLUSIVE, Target};
use super::step_names;
use super::strategy_failure::{self, memory};
use crate::decision::{Decision, FailureClass, Goal, Next, PauseCause, Situation, StrategyFailure, Waiting};
use crate::plan::{EventKind, EventReason};
use crate::runs::{self, PROMOTED, Stop, WantedRuns};
use crate::step_plugins::{self, AnswersTaken, FirstAnswer};
use crate::time;
use crate::traffic::ManagedGoal;

/// Maximum number of steps that one reconciliation completes. It is more than any sensible list has, and stops a strategy that
/// completes steps without end.
const STEPS_AT_ONCE: u32 = 32;
/// Number of characters of a reason that the decision log keeps.
const REASON_CHARS: usize = 160;

/// Asks for the next decision at the current step. A strategy that has just failed is not asked until its retry time.
pub(super) fn ask(context: &Context, progress: Progress, goal: Goal, reached: bool) -> NextStage {
    if goal == Goal::Forward
        && let Some(at) = strategy_failure::retry_at(context, &progress.record)
    {
        return wait_until(context, progress, at);
    }
    if let Some(failure) = &context.observed.strategy_failure {
        return strategy_failure::undecided(context, progress, failure);
    }
    NextStage::Ask(Box::new(situation(context, &progress.record, goal, reached)), progress)
}

/// Holds until the failed strategy is asked again.
fn wait_until(context: &Context, progress: Progress, at: Timestamp) -> NextStage {
    if let Some(why) = runs::background_failure(context, &progress.record) {
        return stages::abort_by_analysis(context, progress, &why);
    }
    let reason = format!("strategy {:?} has failed and is asked again at {at}", context.strategy.plugin);
    NextStage::Settled(stages::wakes_at(stages::hold(context, progress, reason), Some(at)))
}

/// The rollout as the strategy gets it.
pub(super) fn situation(context: &Context, record: &Record, goal: Goal, reached: bool) -> Situation {
    let metadata = &context.observed.rollout.metadata;
    let mut canary = context.new.as_ref().map(|new| new.state()).unwrap_or_default();
    canary.hash.clone_from(&context.new_hash);
    canary.number = context.revision_number();
    let pauses = [
        (PauseReason::InconclusiveAnalysisRun, PauseCause::Analysis),
        (PauseReason::CanaryPauseStep, PauseCause::Step),
        (PauseReason::BlueGreenPause, PauseCause::Step),
    ];
    let paused =
        pauses.into_iter().find_map(|(reason, cause)| Some((cause, record.status.pause(reason)?.start_time.0)));
    let runs = || {
        let mut runs = runs::reported(context, record);
        runs.extend(step_plugins::reported(context, record));
        runs
    };
    Situation {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        replicas: context.replicas,
        max_weight: context.max_weight(),
        stable: context.stable.as_ref().map(|stable| stable.state()),
        canary,
        others: context.others.iter().filter(|other| other.created_replicas > 0).map(|other| other.state()).collect(),
        now: context.now,
        goal,
        step: record.step(),
        step_started_at: record.kulta.step_started_at.as_ref().map_or(context.now, |time| time.0),
        memory: memory::decode(&record.kulta.memory),
        weight: context.weight_in_force(),
        reached,
        paused,
        promoted: record.status.pause_lifted(),
        runs: if goal == Goal::Forward { runs() } else { Vec::new() },
    }
}

/// The strategy has answered.
pub(super) fn decided(
    context: &Context,
    mut progress: Progress,
    situation: &Situation,
    decision: &Decision,
) -> NextStage {
    if situation.goal == Goal::Restore {
        // While stable is restored the weight must fall. A decision that keeps it would prevent the abort from completing.
        let weight = if decision.weight < situation.weight { decision.weight } else { 0 };
        return NextStage::Settled(stages::restore(context, progress, weight, None));
    }
    match runs::background_overrules(context, &progress.record, &decision.next) {
        Some(Stop::Abort(why)) => {
            log_decision(context, &mut progress.record, decision);
            return stages::abort_by_analysis(context, progress, &why);
        }
        Some(Stop::Pause) => {
            log_decision(context, &mut progress.record, decision);
            progress.record = lifecycle::pause(context, progress.record, PauseCause::Analysis);
            return NextStage::Settled(stages::hold(context, progress, INCONCLUSIVE).waits_for(Waiting::Other));
        }
        None => {}
    }
    let (mut progress, first_answer) = if matches!(decision.next, Next::Abort { .. }) {
        // A decision that ends the update starts no run.
        (progress, FirstAnswer::Awaited)
    } else {
        match runs::wanted_by(context, &progress.record, decision) {
            Ok(wanted) => with_runs(context, progress, situation, &wanted),
            Err(failure) => return strategy_failure::undecided(context, progress, &failure),
        }
    };
    progress.record.kulta.plugin_failures = 0;
    progress.record.kulta.strategy_retry_at = None;
    progress.record.kulta.memory = memory::encode(&decision.memory);
    if decision.step != situation.step {
        return complete_step(context, progress, situation, decision);
    }
    if first_answer == FirstAnswer::Recorded {
        // This outcome has not been reported to the strategy.
        return NextStage::Stage(progress);
    }
    let routes = match managed_routes::wanted(context, &decision.routes) {
        Ok(routes) => routes,
        Err(failure) => return strategy_failure::undecided(context, progress, &failure),
    };
    let target = Target { weight: decision.weight, canary: decision.canary, routes };
    let lacks = if situation.reached { None } else { stages::lacks(context, &target) };
    if !situation.reached && lacks.is_none() {
        progress.in_place = Some((situation.step, decision.weight));
        // The log gets only the answer to this question. With both answers it would change in each reconciliation.
        return ask(context, progress, Goal::Forward, true);
    }
    log_decision(context, &mut progress.record, decision);
    follow(context, progress, decision, (&target, lacks))
}

/// Records the runs that are wanted, and what has become of the first answer of a step plugin that begins to work.
fn with_runs(
    context: &Context,
    progress: Progress,
    situation: &Situation,
    wanted: &WantedRuns,
) -> (Progress, FirstAnswer) {
    let Progress { record, steps_completed, in_place, answers, strategy_failure } = progress;
    let afresh = situation.reached && runs::is_due_afresh(&record, situation.step);
    let record = runs::want(context, record, wanted, afresh);
    let (record, first) = step_plugins::want(context, record, wanted.step_plugin);
    let answers = AnswersTaken {
        loading: answers.loading || first == FirstAnswer::Loading,
        kept: answers.kept || first == FirstAnswer::Kept,
        ..answers
    };
    (Progress { record, steps_completed, in_place, answers, strategy_failure }, first)
}

/// Applies the decision to the update, and moves towards its target.
fn follow(
    context: &Context,
    mut progress: Progress,
    decision: &Decision,
    (target, lacks): (&Target, Option<Waiting>),
) -> NextStage {
    if !matches!(decision.next, Next::Pause { .. } | Next::Abort { .. }) {
        progress.record = lifecycle::continue_after_pause(context, progress.record);
    }
    let (mut waiting, mut wake_up) = (lacks, None);
    match &decision.next {
        Next::Hold(on) => waiting = Some(*on),
        Next::Until(at) => (waiting, wake_up) = (Some(Waiting::Other), Some(*at)),
        Next::Pause { cause, until } => {
            progress.record = lifecycle::pause(context, progress.record, *cause);
            // The pause counts from this reconciliation; its start is stored in whole seconds.
            (waiting, wake_up) = (Some(Waiting::Other), until.map(|until| time::ceil(until).0));
        }
        Next::Promote => match context.strategy.steps {
            Some(steps) => progress.record.set_step(context, steps),
            None => {
                runs::drop_all(context, &mut progress.record, PROMOTED);
                progress.record.set_last_step(context);
                progress.record.status.promote_full = true;
            }
        },
        Next::Abort { kind, reason } => {
            progress.record.kulta.failure = Some(*kind);
            progress.record = lifecycle::abort(context, progress.record, Some(reason));
        }
    }
    if lifecycle::stage(context, &progress.record) != Stage::Forward {
        // The decision ended the update's steps, so the host continues.
        return NextStage::Stage(progress);
    }
    let reason = decision.reason.as_str();
    let outcome = match decision.next {
        // A user has to decide. Until then pods and weight stay unchanged.
        Next::Pause { cause: PauseCause::Analysis | PauseCause::Experiment, .. } => {
            stages::hold(context, progress, reason)
        }
        _ => {
            let goal = stages::forward(context, target);
            let record = lifecycle::note_exposure(context, progress.record);
            let routes = ManagedGoal::Exactly(target.routes_now(context).to_vec());
            Outcome { routes, ..Outcome::new(Progress { record, ..progress }, goal, reason) }
        }
    };
    NextStage::Settled(stages::wakes_at(Outcome { waiting, ..outcome }, wake_up))
}

/// A step is completed. The next step begins in the same patch.
fn complete_step(context: &Context, mut progress: Progress, situation: &Situation, decision: &Decision) -> NextStage {
    if progress.steps_completed >= STEPS_AT_ONCE {
        let message = format!("passed {STEPS_AT_ONCE} steps at once without settling");
        let failure = StrategyFailure { class: FailureClass::Endless, message };
        return strategy_failure::undecided(context, progress, &failure);
    }
    let weight = weight_of_step(&progress, situation);
    let record = &mut progress.record;
    let was_paused = record.status.controller_pause;
    record.clear_pause();
    if was_paused {
        record.store(context, TransitionKind::Resumed, |entry| entry.step = Some(situation.step));
    }
    record.set_step(context, decision.step);
    record.kulta.step_started_at = Some(time::floor(context.now));
    let steps = decision.steps;
    let before = record.kulta.step_weight.unwrap_or(if situation.step == 0 { 0 } else { situation.weight });
    record.kulta.step_weight = Some(weight);
    record.store(context, TransitionKind::Progressed, |entry| {
        entry.step = Some(situation.step);
        entry.steps = (steps > 0).then_some(steps);
        entry.weight = Some(weight);
        entry.from = Some(before);
    });
    // Argo's blue-green has no steps.
    if !context.is_blue_green() {
        let name = step_names::of(context, situation.step);
        let of = if steps > 0 { format!("/{steps}") } else { String::new() };
        let message = format!("Rollout step {}{of} completed ({name})", situation.step + 1);
        record.emit(context, EventKind::Normal, EventReason::RolloutStepCompleted, message);
    }
    if was_paused {
        let message = lifecycle::RESUMED.to_owned();
        record.emit(context, EventKind::Normal, EventReason::RolloutResumed, message);
    }
    NextStage::Stage(Progress { steps_completed: progress.steps_completed + 1, ..progress })
}

/// The share at the end of the step: its target if that is in place. If the step was completed without a question, as when a user
/// ends a pause, it is the last decided weight.
fn weight_of_step(progress: &Progress, situation: &Situation) -> u32 {
    let placed = progress.in_place.filter(|(step, _)| *step == situation.step).map(|(_, weight)| weight);
    let decisions = &progress.record.kulta.decisions;
    let decided = || decisions.last().filter(|last| last.step == situation.step).map(|last| last.weight);
    placed.or_else(decided).unwrap_or(situation.weight)
}

fn log_decision(context: &Context, record: &mut Record, decision: &Decision) {
    record.kulta.record_decision(DecisionEntry {
        time: time::floor(context.now),
        step: decision.step,
        weight: decision.weight,
        reason: decision.reason.chars().take(REASON_CHARS).collect(),
    });
}
