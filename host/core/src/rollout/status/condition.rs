//! Setting one condition.

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionReason, ConditionStatus};

use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::time;

/// Messages as Argo writes them (upstream `utils/conditions/conditions.go`).
pub(super) const NOT_AVAILABLE: &str = "Rollout does not have minimum availability";
pub(super) const PAUSED: &str = "Rollout is paused";

pub(super) fn set(
    context: &Context,
    record: &mut Record,
    kind: ConditionType,
    (status, reason): (ConditionStatus, ConditionReason),
    message: &str,
) {
    let now = time::floor(context.now);
    conditions::set(&mut record.status.conditions, kind, status, reason, message, &now);
}

/// A user or the strategy has paused the rollout.
pub(super) fn is_paused(context: &Context, record: &Record) -> bool {
    context.is_stopped() || !record.status.pause_conditions.is_empty()
}
