//! Parts of a revision's life that only blue-green has.

use kulta_api::PauseReason;

use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// Steps of the strategy (`plugins/blue-green`) at which an update of another controller continues.
const PAUSE: i32 = 1;
const SWITCH: i32 = 4;

/// An update of another controller has no index. It continues where the active Service and the pause show it to be.
pub(super) fn adopt(context: &Context, mut record: Record) -> Record {
    if record.status.current_step_index.is_some() || record.status.promote_full || record.status.stable_rs.is_empty() {
        return record;
    }
    let active = context.fields.stable_service.as_ref().and_then(|service| context.selected(service));
    if active == Some(context.new_hash.as_str()) {
        record.status.current_step_index = Some(SWITCH);
    } else if record.status.pause(PauseReason::BlueGreenPause).is_some() || record.status.pause_lifted() {
        record.status.current_step_index = Some(PAUSE);
    }
    record
}

/// The new revision was active until a moment ago, and all its pods still run: traffic can return at once (`reference/argo-rollouts.md`
/// section 4, "Fast rollback").
pub(super) fn is_kept(context: &Context) -> bool {
    let kept = |new: &crate::workload::Revision| {
        let unexpired = new.scale_down_deadline().is_some_and(|deadline| deadline > context.now);
        unexpired && new.available_replicas >= context.replicas
    };
    context.is_blue_green() && context.new.as_deref().is_some_and(kept)
}
