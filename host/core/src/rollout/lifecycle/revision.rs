//! A revision begins: the pod template or the steps have changed (`reference/argo-rollouts.md` section 4, "Step reset").

use kulta_api::rollout::RollbackWindow;
use kulta_api::status::RolloutDuration;
use kulta_api::{KultaPhase, Outcome, TransitionKind};

use super::blue_green;
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::runs::{self, Ending};
use crate::{step_plugins, time};

const SUPERSEDED: Ending = Ending { outcome: Outcome::Cancel, why: "superseded" };

/// Compares the template and the steps with the recorded ones, and begins a revision if they differ.
pub(super) fn update(context: &Context, mut record: Record) -> Record {
    let template_changed = record.status.current_pod_hash != context.new_hash;
    // KULTA has recorded no update of this rollout: another controller has served it.
    let adopted = record.kulta.sequence == 0 && !record.status.stable_rs.is_empty();
    let recorded = &record.status.current_step_hash;
    let was_blue_green = record.status.blue_green.as_ref().is_some_and(|status| status.active_selector.is_some());
    // Blue-green records no hash of steps, so its selectors tell that the strategy was another one.
    let left_blue_green = was_blue_green && !context.is_blue_green();
    let was_recorded = !recorded.is_empty() || left_blue_green;
    let hash_differs = was_recorded && !context.strategy.is_recorded_as(recorded);
    record.status.current_step_hash.clone_from(&context.strategy.hash);
    if context.is_blue_green() && !template_changed && !record.is_stable(context) {
        record = blue_green::adopt(context, record);
    }
    // Another version of Argo Rollouts may hash the same steps otherwise. Adopting its update must not return it to its first step,
    // unless the index shows that steps have been taken out: it would promote at once.
    let is_beyond = !record.is_stable(context) && context.strategy.steps.is_some_and(|steps| record.step() > steps);
    let adopts = adopted && !left_blue_green && !(hash_differs && is_beyond);
    if !template_changed && (adopts || !hash_differs) {
        if adopts && !record.is_stable(context) {
            // The update's events start here.
            record.store(context, TransitionKind::Started, |_| {});
        } else if hash_differs {
            record.set_last_step(context);
        }
        return record;
    }
    let mut record = leave(context, record, template_changed);
    record.status.current_pod_hash.clone_from(&context.new_hash);
    begin(context, record)
}

/// Ends the update to the recorded revision.
fn leave(context: &Context, mut record: Record, template_changed: bool) -> Record {
    let old = record.status.current_pod_hash.clone();
    runs::drop_all(context, &mut record, SUPERSEDED);
    runs::forget_promotion(&mut record);
    step_plugins::leave(&mut record);
    let was_under_way = !old.is_empty() && old != record.status.stable_rs;
    if !was_under_way {
        return record;
    }
    if template_changed && record.is_stable(context) {
        // The spec was rolled back. The update ends once stable has its traffic back.
        record.kulta.restoring.get_or_insert(old);
    } else if record.kulta.restoring.take().is_some() || record.kulta.phase != Some(KultaPhase::Failed) {
        record.store(context, TransitionKind::Finished, |entry| {
            entry.hash = old;
            entry.outcome = Some(Outcome::Cancel);
            entry.why = Some("superseded".to_owned());
        });
    }
    record
}

fn begin(context: &Context, mut record: Record) -> Record {
    let now = time::floor(context.now);
    record.clear_pause();
    record.status.abort = false;
    record.status.aborted_at = None;
    record.status.promote_full = false;
    record.status.duration = Some(RolloutDuration { rollout_started_at: Some(now.clone()), ..Default::default() });
    record.kulta.step_started_at = Some(now);
    record.forget_failure();
    record.kulta.promoting = false;
    record.kulta.step_weight = None;
    record.kulta.memory.clear();
    record.kulta.plugins.clear();
    record.kulta.plugin_failures = 0;
    record.kulta.strategy_retry_at = None;
    record.kulta.decisions.clear();
    record.set_step(context, 0);
    if record.is_stable(context) {
        record.set_last_step(context);
        record.emit(context, EventKind::Normal, EventReason::SkipSteps, "Rollback to stable".to_owned());
        return record;
    }
    record.kulta.exposed = false;
    record.kulta.serving_since = None;
    record.kulta.restoring = None;
    record.store(context, TransitionKind::Started, |_| {});
    let number = context.revision_number();
    let message = format!("Rollout updated to revision {number}");
    record.emit(context, EventKind::Normal, EventReason::RolloutUpdated, message);
    if context.new.is_some() || context.is_stopped() {
        // No ReplicaSet is created in this reconciliation. Otherwise the event of its creation would come with this one.
        record.events.push(context.not_completed_event());
    }
    let skips = match skips_steps(context) {
        Some(why) if !record.status.stable_rs.is_empty() => why,
        _ => return record,
    };
    record.set_last_step(context);
    if context.strategy.steps.is_none() {
        record.status.promote_full = true;
    }
    record.emit(context, EventKind::Normal, EventReason::SkipSteps, skips.to_owned());
    record
}

/// Why the steps of the revision that begins are skipped.
fn skips_steps(context: &Context) -> Option<&'static str> {
    if is_within_rollback_window(context) {
        return Some("Rollback within the rollback window");
    }
    blue_green::is_kept(context).then_some("Rollback within the scale-down delay")
}

/// A user or the rollback window skipped the remaining steps and their analyses.
pub(crate) fn skips_analysis(context: &Context, record: &Record) -> bool {
    record.status.promote_full || is_within_rollback_window(context)
}

/// Whether the template is older than stable, with fewer revisions in between than the window allows.
pub(crate) fn is_within_rollback_window(context: &Context) -> bool {
    let window = context.observed.rollout.spec.rollback_window.as_ref();
    let Some(revisions) = window.and_then(|RollbackWindow { revisions }| *revisions) else { return false };
    let (Some(new), Some(stable)) = (&context.new, &context.stable) else { return false };
    if new.created >= stable.created {
        return false;
    }
    let between = context.others.iter().filter(|other| other.created > new.created && other.created < stable.created);
    i32::try_from(between.count()).is_ok_and(|count| count < revisions)
}
