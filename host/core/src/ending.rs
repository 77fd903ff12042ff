//! How an update ends: promoted, or left with stable restored.

use jiff::Timestamp;
use kulta_api::status::CompletionStatus;
use kulta_api::{FailureKind, KultaPhase, Outcome, TransitionKind, annotations};

use crate::pass::Pass;
use crate::plan::{EventKind, EventReason};
use crate::runs::PROMOTED;
use crate::time;

/// How the message of a run that failed begins to quote its metric's own.
const QUOTE: &str = "\"Error Message: ";

/// What a metric itself says, when the reason quotes it: an event has room for little, and the verdict's words are the same each time.
fn essence(reason: &str) -> &str {
    reason.split_once(QUOTE).map_or(reason, |(_, quoted)| quoted.strip_suffix('"').unwrap_or(quoted))
}

impl Pass {
    /// The new revision becomes the stable one (`reference/argo-rollouts.md` section 4, "Promotion").
    pub fn become_stable(&mut self) {
        self.drop_runs(PROMOTED);
        let first = self.status.stable_rs.is_empty();
        let stable_gone = self.scene.stable.is_none();
        let fast = self.status.promote_full && self.scene.strategy.steps.is_some();
        let window = !first && self.within_rollback_window();
        let number = self.scene.revision_number();
        let service = if first { TransitionKind::ServiceDeployed } else { TransitionKind::ServiceUpgraded };
        self.tell(service, |_| {});
        self.tell(TransitionKind::Finished, |entry| entry.outcome = Some(Outcome::Success));
        self.status.stable_rs.clone_from(&self.scene.new_hash);
        self.status.promote_full = false;
        self.kulta.promoting = false;
        self.kulta.restoring = None;
        self.clear_pause();
        if let Some(steps) = self.scene.strategy.steps {
            self.set_step(steps);
        }
        self.finish_duration(if fast { CompletionStatus::FastPromoted } else { CompletionStatus::Promoted });
        self.waiting = None;
        "promoted: the new revision is stable".clone_into(&mut self.reason);
        let why = match self.scene.strategy.steps {
            _ if first => "Initial deploy".to_owned(),
            _ if stable_gone => "Stable ReplicaSet is gone".to_owned(),
            _ if fast => "Full promotion requested".to_owned(),
            _ if window => "Rollback within window".to_owned(),
            Some(steps) => format!("Completed all {steps} canary steps"),
            None => "Completed all steps".to_owned(),
        };
        self.event(
            EventKind::Normal,
            EventReason::RolloutCompleted,
            format!("Rollout completed update to revision {number} ({}): {why}", self.scene.new_hash),
        );
    }

    /// Stable has its traffic back after an abort or a roll back: the story ends.
    pub fn restored(&mut self) {
        let Some(left) = self.kulta.restoring.take() else { return };
        let aborted = self.status.abort;
        let failure = self.kulta.failure;
        let cause = self.kulta.failure_cause.filter(|_| failure == Some(FailureKind::Analysis));
        if self.kulta.exposed {
            self.tell(TransitionKind::ServiceRolledBack, |entry| {
                entry.hash.clone_from(&left);
                entry.failure = failure;
                entry.cause = cause;
            });
        }
        let said = self.kulta.failure_reason.clone().filter(|_| aborted && failure.is_some());
        let why = said.unwrap_or_else(|| if aborted { "aborted" } else { "rolled back" }.to_owned());
        self.tell(TransitionKind::Finished, |entry| {
            entry.hash = left;
            entry.outcome = Some(if failure.is_some() { Outcome::Failure } else { Outcome::Cancel });
            entry.failure = failure;
            // No field of this event: the room is the reason's.
            entry.steps = None;
            entry.cause = cause;
            entry.why = Some(essence(&why).to_owned());
        });
        self.kulta.exposed = false;
        self.kulta.serving_since = None;
        if aborted {
            self.kulta.phase = Some(KultaPhase::Failed);
        } else {
            self.finish_duration(CompletionStatus::RolledBack);
        }
    }

    fn finish_duration(&mut self, completion: CompletionStatus) {
        if let Some(duration) = &mut self.status.duration
            && duration.finished_at.is_none()
        {
            duration.finished_at = Some(time::floor(self.scene.now));
            duration.completion_status = Some(completion);
        }
    }

    /// Pods of the canary that stay after an abort: all of them until the deadline, which is set once stable is whole.
    pub fn canary_kept_after_abort(&mut self, stable_whole: bool) -> u32 {
        let Some(canary) = self.scene.new.clone() else { return 0 };
        let Some(delay) = self.scene.fields.abort_scale_down_delay_seconds() else { return canary.replicas };
        match canary.scale_down_deadline() {
            Some(deadline) if deadline <= self.scene.now => 0,
            Some(deadline) => {
                self.wake(deadline);
                canary.replicas
            }
            None if stable_whole && canary.replicas > 0 => {
                self.set_deadline(canary.hash(), time::after(self.scene.now, delay));
                canary.replicas
            }
            None => canary.replicas,
        }
    }

    fn set_deadline(&mut self, hash: &str, at: Timestamp) {
        let at = time::ceil(at).0;
        self.annotate(hash, annotations::SCALE_DOWN_DEADLINE, Some(at.to_string()));
        self.wake(at);
    }

    /// What becomes of a revision that is neither new nor stable, behind routes: its pods stay while they may be asked for,
    /// and after a promotion for the scale-down delay (`reference/argo-rollouts.md` section 4, "Scale-down").
    pub fn kept_of_other(&mut self, other: &crate::observed::ReplicaSet, lingering: usize) -> u32 {
        if other.replicas == 0 {
            return 0;
        }
        let Some(traffic) = &self.scene.traffic else { return other.replicas };
        let selected =
            |name: &String| self.scene.service(Some(name)).and_then(|service| service.hash()) == Some(other.hash());
        let may_serve = (traffic.served.most > 0 && selected(&traffic.canary_service))
            || (traffic.served.least < traffic.shape.max_weight && selected(&traffic.stable_service));
        if may_serve {
            return other.replicas;
        }
        let beyond_limit = self
            .scene
            .fields
            .scale_down_delay_revision_limit
            .is_some_and(|limit| lingering >= usize::try_from(limit).unwrap_or(0));
        let being_left = self.kulta.restoring.as_deref() == Some(other.hash());
        if self.scene.fields.dynamic_stable_scale() || beyond_limit || being_left {
            return 0;
        }
        match other.scale_down_deadline() {
            Some(deadline) if deadline <= self.scene.now => 0,
            Some(deadline) => {
                self.wake(deadline);
                other.replicas
            }
            // Just promoted over: it stays for a while, in case it is wanted back; pods that are not available help nobody.
            None if self.scene.is_stable(&self.status) && other.available_replicas > 0 => {
                let delay = self.scene.fields.scale_down_delay_seconds();
                self.set_deadline(other.hash(), time::after(self.scene.now, delay));
                if delay == 0 { 0 } else { other.replicas }
            }
            // A revision that never became stable.
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_essence_of_a_reason_is_what_the_metric_says() {
        let reason =
            "Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0): \"Error Message: error rate 5 %\"";

        assert_eq!([essence(reason), essence("the gate is shut")], ["error rate 5 %", "the gate is shut"]);
    }
}
