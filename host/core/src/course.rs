//! A revision's life as the host leads it: which course it is on, and what a change of template or a verb does to it.

use kulta_api::kulta_status::FAILURE_CHARS;
use kulta_api::rollout::RollbackWindow;
use kulta_api::status::{CompletionStatus, RolloutDuration};
use kulta_api::{FailureKind, Outcome, TransitionKind};

use crate::pass::Pass;
use crate::plan::{EventKind, EventReason};
use crate::runs::Ending;
use crate::time;
use crate::transition::Transition;

/// Who leads the revision now. Only on `Forward` is the strategy asked where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// No revision is stable yet.
    First,
    /// Somebody deleted the stable revision's ReplicaSet: the new revision is all that there is.
    StableGone,
    /// The template is the stable revision.
    Steady,
    /// Stopped by `spec.paused`.
    Held,
    Aborted,
    /// All steps are done, or a person skipped them.
    Full,
    Forward,
}

const SUPERSEDED: Ending = Ending { outcome: Outcome::Cancel, why: "superseded" };
const ABORTED: Ending = Ending { outcome: Outcome::Cancel, why: "aborted" };

impl Pass {
    pub fn course(&self) -> Course {
        let scene = &self.scene;
        if scene.is_stable(&self.status) {
            return Course::Steady;
        }
        let paused = scene.observed.rollout.spec.paused();
        if self.status.stable_rs.is_empty() {
            return if paused { Course::Held } else { Course::First };
        }
        if scene.stable.is_none() && (self.status.abort || !paused) {
            return Course::StableGone;
        }
        if self.status.abort {
            return Course::Aborted;
        }
        if paused {
            return Course::Held;
        }
        if self.status.promote_full || self.steps_done() { Course::Full } else { Course::Forward }
    }

    /// The index stands behind the last step.
    pub fn steps_done(&self) -> bool {
        match (self.scene.strategy.steps, self.status.current_step_index) {
            (Some(0), _) => true,
            (Some(steps), Some(index)) => u32::try_from(index).is_ok_and(|index| index >= steps),
            _ => false,
        }
    }

    pub fn step(&self) -> u32 {
        self.status.current_step_index.and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
    }

    pub fn set_step(&mut self, step: u32) {
        self.status.current_step_index =
            (self.scene.strategy.steps != Some(0)).then(|| i32::try_from(step).unwrap_or(i32::MAX));
    }

    fn set_last_step(&mut self) {
        if let Some(steps) = self.scene.strategy.steps {
            self.set_step(steps);
        }
    }

    /// Compares the template and the steps with those that the status is about, and begins anew if they changed
    /// (`reference/argo-rollouts.md` section 4, "Step reset").
    pub fn settle_revision(&mut self) {
        let new_hash = self.scene.new_hash.clone();
        let steps_hash = self.scene.strategy.hash.clone();
        let template_changed = self.status.current_pod_hash != new_hash;
        // A hash of another length is another controller's: taking over must not send a rollout back to its first step.
        let known = self.status.current_step_hash.len() == steps_hash.len();
        let steps_changed = known && self.status.current_step_hash != steps_hash;
        self.status.current_step_hash = steps_hash;
        if !template_changed && !steps_changed {
            if self.kulta.sequence == 0 && !self.scene.is_stable(&self.status) && !self.status.stable_rs.is_empty() {
                // Taken over in mid-rollout: the story begins here.
                self.tell(TransitionKind::Started, |_| {});
            }
            return;
        }
        self.leave_revision(template_changed);
        self.status.current_pod_hash = new_hash;
        self.begin_revision();
    }

    /// Ends the story of the revision that the status was about.
    fn leave_revision(&mut self, template_changed: bool) {
        let old = self.status.current_pod_hash.clone();
        self.drop_runs(SUPERSEDED);
        self.leave_step_plugins();
        let was_under_way = !old.is_empty() && old != self.status.stable_rs;
        if !was_under_way {
            return;
        }
        if template_changed && self.scene.is_stable(&self.status) {
            // Rolled back by the spec: the story ends once stable has its traffic back.
            self.kulta.restoring.get_or_insert(old);
        } else if self.kulta.restoring.take().is_some() || self.kulta.phase != Some(kulta_api::KultaPhase::Failed) {
            self.tell(TransitionKind::Finished, |entry| {
                entry.hash = old;
                entry.outcome = Some(Outcome::Cancel);
                entry.why = Some("superseded".to_owned());
            });
        }
    }

    fn begin_revision(&mut self) {
        let now = self.scene.now;
        self.clear_pause();
        self.status.abort = false;
        self.status.aborted_at = None;
        self.status.promote_full = false;
        self.status.duration =
            Some(RolloutDuration { rollout_started_at: Some(time::floor(now)), ..Default::default() });
        self.kulta.step_started_at = Some(time::floor(now));
        self.forget_failure();
        self.kulta.promoting = false;
        self.kulta.step_weight = None;
        self.kulta.memory.clear();
        self.kulta.plugins.clear();
        self.kulta.plugin_failures = 0;
        self.kulta.strategy_retry_at = None;
        self.kulta.decisions.clear();
        self.set_step(0);
        if self.scene.is_stable(&self.status) {
            self.set_last_step();
            self.event(EventKind::Normal, EventReason::SkipSteps, "Rollback to stable".to_owned());
            return;
        }
        self.kulta.exposed = false;
        self.kulta.serving_since = None;
        self.kulta.restoring = None;
        self.tell(TransitionKind::Started, |_| {});
        let number = self.scene.revision_number();
        self.event(EventKind::Normal, EventReason::RolloutUpdated, format!("Rollout updated to revision {number}"));
        if self.scene.new.is_some() || self.scene.observed.rollout.spec.paused() {
            // No ReplicaSet is created now: see `create`.
            let event = self.not_completed_event();
            self.events.push(event);
        }
        if !self.status.stable_rs.is_empty() && self.within_rollback_window() {
            self.set_last_step();
            if self.scene.strategy.steps.is_none() {
                self.status.promote_full = true;
            }
            self.event(EventKind::Normal, EventReason::SkipSteps, "Rollback within the rollback window".to_owned());
        }
    }

    fn forget_failure(&mut self) {
        self.kulta.failure = None;
        self.kulta.failure_reason = None;
        self.kulta.failure_cause = None;
    }

    /// What is left is not judged: a person or the rollback window skipped it.
    pub fn skips_analysis(&self) -> bool {
        self.status.promote_full || self.within_rollback_window()
    }

    /// The template is older than stable, with fewer revisions in between than the window holds.
    pub fn within_rollback_window(&self) -> bool {
        let window = self.scene.observed.rollout.spec.rollback_window.as_ref();
        let Some(revisions) = window.and_then(|RollbackWindow { revisions }| *revisions) else { return false };
        let (Some(new), Some(stable)) = (&self.scene.new, &self.scene.stable) else { return false };
        if new.created >= stable.created {
            return false;
        }
        let between =
            self.scene.others.iter().filter(|other| other.created > new.created && other.created < stable.created);
        i32::try_from(between.count()).is_ok_and(|count| count < revisions)
    }

    /// What people wrote into the status: abort, retry, promote (`reference/argo-rollouts.md` section 2, "Verbs as writes").
    pub fn settle_verbs(&mut self) {
        if self.scene.is_stable(&self.status) {
            // Nothing to abort or to promote.
            self.status.abort = false;
            self.status.aborted_at = None;
            self.status.promote_full = false;
            self.clear_pause();
            self.set_last_step();
            return;
        }
        if self.status.promote_full && self.status.aborted_at.is_some() {
            // Asked for after the abort: it is taken back.
            self.status.abort = false;
        }
        if self.status.abort && self.status.aborted_at.is_none() {
            self.begin_abort(None);
        } else if !self.status.abort && self.status.aborted_at.take().is_some() {
            self.retry();
        }
    }

    /// `why` is what a person cannot know: absent when it was a person who asked.
    pub fn begin_abort(&mut self, why: Option<&str>) {
        let number = self.scene.revision_number();
        self.status.abort = true;
        self.status.aborted_at = Some(time::floor(self.scene.now));
        self.status.promote_full = false;
        self.clear_pause();
        self.set_step(0);
        self.drop_unfinished_runs(ABORTED);
        self.undo_step_plugins();
        self.kulta.restoring = Some(self.scene.new_hash.clone());
        // What the failed run said is known; of other failures the reason is all that there is.
        let known = self.kulta.failure == Some(FailureKind::Analysis) && self.kulta.failure_reason.is_some();
        if let Some(why) = why.filter(|_| self.kulta.failure.is_some() && !known) {
            self.kulta.failure_reason = Some(why.chars().take(FAILURE_CHARS).collect());
        }
        why.unwrap_or("aborted by request").clone_into(&mut self.reason);
        if let Some(duration) = &mut self.status.duration {
            duration.finished_at = Some(time::floor(self.scene.now));
            duration.completion_status = Some(CompletionStatus::Aborted);
        }
        let because = why.map_or_else(String::new, |why| format!(": {why}"));
        let message = if why.is_some() { format!("aborted{because}") } else { "aborted by request".to_owned() };
        self.transitions.push(Transition { revision: Some(number), message });
        self.event(
            EventKind::Warning,
            EventReason::RolloutAborted,
            format!("Rollout aborted update to revision {number}{because}"),
        );
    }

    fn retry(&mut self) {
        self.drop_runs(ABORTED);
        self.leave_step_plugins();
        self.kulta.restoring = None;
        self.forget_failure();
        self.kulta.exposed = false;
        self.kulta.serving_since = None;
        self.kulta.promoting = false;
        self.kulta.plugin_failures = 0;
        self.kulta.step_weight = None;
        self.kulta.strategy_retry_at = None;
        self.kulta.step_started_at = Some(time::floor(self.scene.now));
        self.status.duration =
            Some(RolloutDuration { rollout_started_at: Some(time::floor(self.scene.now)), ..Default::default() });
        self.set_step(0);
        self.tell(TransitionKind::Started, |_| {});
        self.event(EventKind::Normal, EventReason::RolloutRetry, "Retrying Rollout after abort".to_owned());
    }

    pub fn clear_pause(&mut self) {
        self.status.pause_conditions.clear();
        self.status.controller_pause = false;
    }
}
