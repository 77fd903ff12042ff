//! Records whether requests have reached the new revision.

use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::time;

/// Records that requests may reach the new revision. Superseding it counts as a rollback from then on.
pub(crate) fn note_exposure(context: &Context, mut record: Record) -> Record {
    if record.is_stable(context) {
        return record;
    }
    if context.canary_exposed() {
        record.kulta.exposed = true;
    }
    if record.kulta.serving_since.is_none() && context.canary_serves() {
        record.kulta.serving_since = Some(time::ceil(context.now));
    }
    record
}
