//! Verbs that users write into the status: abort, retry, promote (`reference/argo-rollouts.md` section 2, "Verbs as writes").

use kulta_api::TransitionKind;
use kulta_api::status::RolloutDuration;

use super::abort::{ABORTED, abort};
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::{runs, step_plugins, time};

pub(super) fn update(context: &Context, mut record: Record) -> Record {
    if record.is_stable(context) {
        // There is no update to abort or to promote.
        record.status.abort = false;
        record.status.aborted_at = None;
        record.status.promote_full = false;
        record.clear_pause();
        record.set_last_step(context);
        return record;
    }
    if record.status.promote_full && record.status.aborted_at.is_some() {
        // The verb was requested after the abort, and cancels it.
        record.status.abort = false;
    }
    if record.status.abort && record.status.aborted_at.is_none() {
        return abort(context, record, None);
    }
    if !record.status.abort && record.status.aborted_at.take().is_some() {
        return retry(context, record);
    }
    record
}

/// Only an abort is carried out while the spec has errors. Other verbs wait until the errors are gone.
pub(super) fn update_abort(context: &Context, record: Record) -> Record {
    if record.is_stable(context) {
        return update(context, record);
    }
    if record.status.abort && record.status.aborted_at.is_none() {
        return abort(context, record, None);
    }
    record
}

fn retry(context: &Context, mut record: Record) -> Record {
    let now = time::floor(context.now);
    runs::drop_all(context, &mut record, ABORTED);
    runs::forget_promotion(&mut record);
    step_plugins::leave(&mut record);
    record.kulta.restoring = None;
    record.forget_failure();
    record.kulta.exposed = false;
    record.kulta.serving_since = None;
    record.kulta.promoting = false;
    record.kulta.plugin_failures = 0;
    record.kulta.step_weight = None;
    record.kulta.strategy_retry_at = None;
    record.kulta.step_started_at = Some(now.clone());
    record.status.duration = Some(RolloutDuration { rollout_started_at: Some(now), ..Default::default() });
    record.set_step(context, 0);
    record.store(context, TransitionKind::Started, |_| {});
    record.emit(context, EventKind::Normal, EventReason::RolloutRetry, "Retrying Rollout after abort".to_owned());
    record
}
