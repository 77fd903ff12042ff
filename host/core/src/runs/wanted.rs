//! Which runs an update needs.

use kulta_api::Outcome;
use kulta_api::analysis::RolloutAnalysis;
use kulta_api::foreign_status::AnalysisRunSummary;

use super::current::{current_run, current_runs, find, summary_of};
use super::emit;
use super::inconclusive::{self, is_promoted_past};
use super::records::{Ending, drop_run};
use super::role::Role;
use crate::analysis;
use crate::decision::{Decision, FailureClass, StrategyFailure, WantedRun};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::step_plugins;

/// The rollout continues without the run.
const NOT_AWAITED: Ending = Ending { outcome: Outcome::Cancel, why: "no longer wanted" };

/// The runs that a decision asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WantedRuns {
    analyses: Vec<(Role, u32)>,
    /// Index of the step whose plugin is to work.
    pub step_plugin: Option<u32>,
}

/// The analysis that the spec asks for in this role.
pub(crate) fn analysis_of(context: &Context, role: Role) -> Option<&RolloutAnalysis> {
    let strategy = &context.observed.rollout.spec.strategy;
    let analysis = match role {
        Role::Background => strategy.fields()?.analysis.as_ref(),
        Role::Step(index) => {
            let step = strategy.canary.as_ref()?.steps.get(usize::try_from(index).ok()?);
            step.and_then(|step| step.analysis.as_ref())
        }
        Role::PrePromotion => strategy.blue_green.as_ref()?.pre_promotion_analysis.as_ref(),
        Role::PostPromotion => strategy.blue_green.as_ref()?.post_promotion_analysis.as_ref(),
    };
    analysis.filter(|analysis| !analysis.templates.is_empty())
}

/// The background analysis, if the strategy does not request it. The configuration of a strategy plugin does not mention it, and
/// after the last step no strategy is asked.
fn background_due(context: &Context, record: &Record) -> Option<WantedRun> {
    let analysis = analysis_of(context, Role::Background)?;
    let start = analysis.starting_step.and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
    let behind_the_steps = context.strategy.steps.is_some() && record.steps_done(context);
    (behind_the_steps || record.step() >= start).then(|| WantedRun { name: Role::Background.name(), attempt: 1 })
}

/// All runs that a decision wants, and those that the host wants.
///
/// # Errors
/// A decision requests a run that is not in the spec.
pub(crate) fn wanted_by(
    context: &Context,
    record: &Record,
    decision: &Decision,
) -> Result<WantedRuns, StrategyFailure> {
    let mut wanted = WantedRuns::default();
    for run in &decision.runs {
        let not_served = || not_served(&run.name, decision.step);
        if let Some(index) = step_plugins::index_of(&run.name) {
            // The work of a step plugin runs only once.
            let served =
                index == decision.step && run.attempt <= 1 && step_plugins::is_at(&context.observed.rollout, index);
            wanted.step_plugin = Some(Some(index).filter(|_| served).ok_or_else(not_served)?);
            continue;
        }
        let served = Role::parse(&run.name).filter(|role| match role {
            Role::Background | Role::PrePromotion | Role::PostPromotion => true,
            Role::Step(index) => *index == decision.step,
        });
        let role = served.filter(|role| analysis_of(context, *role).is_some());
        wanted.analyses.push((role.ok_or_else(not_served)?, run.attempt));
    }
    let is_plugin = context.observed.rollout.spec.strategy.canary.is_none();
    if is_plugin && let Some(run) = background_due(context, record) {
        wanted.analyses.retain(|(role, _)| *role != Role::Background);
        wanted.analyses.push((Role::Background, run.attempt));
    }
    Ok(wanted)
}

/// Records these runs. With `afresh`, a background analysis that a user promoted past is measured again.
pub(crate) fn want(context: &Context, mut record: Record, wanted: &WantedRuns, afresh: bool) -> Record {
    want_analyses(context, &mut record, &wanted.analyses, afresh);
    record
}

/// Records the background analysis alone, if the spec has one.
pub(crate) fn want_background(context: &Context, mut record: Record) -> Record {
    let background = background_due(context, &record).map(|run| (Role::Background, run.attempt));
    want_analyses(context, &mut record, &background.into_iter().collect::<Vec<_>>(), false);
    record
}

fn want_analyses(context: &Context, record: &mut Record, wanted: &[(Role, u32)], afresh: bool) {
    for current in current_runs(context, record) {
        if !wanted.iter().any(|(role, _)| *role == current.role) {
            drop_run(context, record, &current, NOT_AWAITED);
        }
    }
    // There is nothing to measure before the revision exists.
    if context.new.is_none() {
        return;
    }
    for (role, attempt) in wanted {
        want_one(context, record, *role, *attempt, afresh);
    }
}

fn want_one(context: &Context, record: &mut Record, role: Role, attempt: u32, afresh: bool) {
    let current = current_run(context, record, role);
    let mut least = attempt.max(1);
    if let Some(current) = &current {
        let afresh = afresh && is_promoted_past(record, current);
        least = least.max(current.attempt.saturating_add(u32::from(afresh)));
        let is_foreign = current.object.is_none() && context.observed.taken_run_names.contains(&current.summary.name);
        if current.attempt >= least && !is_foreign {
            return;
        }
        if !current.is_completed() {
            drop_run(context, record, current, NOT_AWAITED);
        }
    }
    let name = free_name(context, role, least);
    emit::begin(context, record, role, &name);
    inconclusive::forget(record, role);
    *summary_of(record, role) = Some(AnalysisRunSummary { name, ..AnalysisRunSummary::default() });
}

/// The first free name, from that attempt on.
fn free_name(context: &Context, role: Role, attempt: u32) -> String {
    let base =
        analysis::base_name(context.rollout_name(), &context.new_hash, context.revision_number(), role.run_type());
    let named = |attempt: u32| analysis::name(&base, attempt - 1);
    let taken = |name: &String| context.observed.taken_run_names.contains(name) || find(context, name).is_some();
    (attempt..u32::MAX).map(named).find(|name| !taken(name)).unwrap_or(base.clone())
}

fn not_served(name: &str, step: u32) -> StrategyFailure {
    StrategyFailure {
        class: FailureClass::NotServed,
        message: format!("the decision for step {step} asks for run {name:?}, and the spec has none such there"),
    }
}
