//! Which runs there should be.

use kulta_api::Outcome;
use kulta_api::analysis::RolloutAnalysis;
use kulta_api::foreign_status::AnalysisRunSummary;

use super::records::Ending;
use super::role::Role;
use crate::analysis;
use crate::decision::{Decision, FailureClass, StrategyFailure, WantedRun};
use crate::pass::Pass;
use crate::step_plugins;

/// The rollout goes on, and the run was not waited for.
const PASSED_BY: Ending = Ending { outcome: Outcome::Cancel, why: "no longer wanted" };

impl Pass {
    /// The analysis that the spec asks for in this role.
    pub(super) fn analysis_of(&self, role: Role) -> Option<&RolloutAnalysis> {
        let strategy = &self.scene.observed.rollout.spec.strategy;
        let analysis = match role {
            Role::Background => strategy.fields()?.analysis.as_ref(),
            Role::Step(index) => {
                let step = strategy.canary.as_ref()?.steps.get(usize::try_from(index).ok()?);
                step.and_then(|step| step.analysis.as_ref())
            }
        };
        analysis.filter(|analysis| !analysis.templates.is_empty())
    }

    /// The background analysis where the strategy does not ask for it: a plugin's own configuration says nothing of it,
    /// and behind the last step no strategy is asked.
    pub(crate) fn background_due(&self) -> Option<WantedRun> {
        let analysis = self.analysis_of(Role::Background)?;
        let start = analysis.starting_step.and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        let behind_the_steps = self.scene.strategy.steps.is_some() && self.steps_done();
        (behind_the_steps || self.step() >= start).then(|| WantedRun { name: Role::Background.name(), attempt: 1 })
    }

    /// All runs that a decision wants, the host's own wish among them. With `afresh`, a background analysis that a user promoted past
    /// is measured again.
    ///
    /// # Errors
    /// When a decision asks for what this build does not serve: nothing is changed then.
    pub fn want_runs_of(&mut self, decision: &Decision, afresh: bool) -> Result<(), StrategyFailure> {
        let (mut wanted, mut plugin) = (Vec::new(), None);
        for run in &decision.runs {
            if let Some(index) = step_plugins::index_of(&run.name) {
                // Its work is done once.
                let served = index == decision.step && run.attempt <= 1 && self.has_step_plugin(index);
                plugin = Some(index).filter(|_| served);
                plugin.ok_or_else(|| not_served(&run.name, decision.step))?;
                continue;
            }
            let served = Role::parse(&run.name).filter(|role| match role {
                Role::Background => true,
                Role::Step(index) => *index == decision.step,
            });
            let role = served.filter(|role| self.analysis_of(*role).is_some());
            wanted.push((role.ok_or_else(|| not_served(&run.name, decision.step))?, run.attempt));
        }
        let is_plugin = self.scene.observed.rollout.spec.strategy.canary.is_none();
        if is_plugin && let Some(run) = self.background_due() {
            wanted.retain(|(role, _)| *role != Role::Background);
            wanted.push((Role::Background, run.attempt));
        }
        self.want(&wanted, afresh);
        self.want_step_plugin(plugin);
        Ok(())
    }

    /// The background analysis alone, where the spec has one.
    pub fn want_background(&mut self) {
        let background = self.background_due().map(|run| (Role::Background, run.attempt));
        self.want(&background.into_iter().collect::<Vec<_>>(), false);
    }

    fn want(&mut self, wanted: &[(Role, u32)], afresh: bool) {
        for current in self.current_runs() {
            if !wanted.iter().any(|(role, _)| *role == current.role) {
                self.drop_run(&current, PASSED_BY);
            }
        }
        // There is nothing to measure before the revision is there.
        if self.scene.new.is_none() {
            return;
        }
        for (role, attempt) in wanted {
            self.want_one(*role, *attempt, afresh);
        }
    }

    fn want_one(&mut self, role: Role, attempt: u32, afresh: bool) {
        let current = self.current_run(role);
        let mut least = attempt.max(1);
        if let Some(current) = &current {
            let afresh = afresh && self.is_promoted_past(current);
            least = least.max(current.attempt.saturating_add(u32::from(afresh)));
            let strangers =
                current.object.is_none() && self.scene.observed.taken_run_names.contains(&current.record.name);
            if current.attempt >= least && !strangers {
                return;
            }
            if !current.is_completed() {
                self.drop_run(current, PASSED_BY);
            }
        }
        let name = self.free_run_name(role, least);
        self.tell_run_begin(role, &name);
        self.forget_inconclusive_run(role);
        *self.record_of(role) = Some(AnalysisRunSummary { name, ..AnalysisRunSummary::default() });
    }

    /// The first name from that attempt on that nobody has.
    fn free_run_name(&self, role: Role, attempt: u32) -> String {
        let rollout = self.scene.observed.rollout.metadata.name.as_deref().unwrap_or_default();
        let base = analysis::base_name(rollout, &self.scene.new_hash, self.scene.revision_number(), role.occasion());
        let named = |attempt: u32| analysis::name(&base, attempt - 1);
        let taken = |name: &String| self.scene.observed.taken_run_names.contains(name) || self.find_run(name).is_some();
        (attempt..u32::MAX).map(named).find(|name| !taken(name)).unwrap_or(base.clone())
    }
}

fn not_served(name: &str, step: u32) -> StrategyFailure {
    StrategyFailure {
        class: FailureClass::NotServed,
        message: format!("the decision for step {step} asks for run {name:?}, and the spec has none such there"),
    }
}
