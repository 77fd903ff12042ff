//! The patch that stores a status.

use kulta_api::{RolloutPhase, RolloutStatus};
use serde_json::Value;

use crate::patch;
use crate::plan::StatusPatch;

/// Status fields that only count pods, and fields derived from them.
const COUNTS: [&str; 9] = [
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "HPAReplicas",
    "conditions",
    "message",
    "phase",
    // Without a transition the change is in the decision log, or removes delivered entries.
    "kulta",
];

/// `None` if nothing changes.
pub(super) fn status_patch(
    before: &RolloutStatus,
    after: &RolloutStatus,
    stores_transitions: bool,
) -> Option<StatusPatch> {
    // This is the case in most reconciliations, so both values need not be serialized.
    if before == after {
        return None;
    }
    let value = |status: &RolloutStatus| serde_json::to_value(status).unwrap_or_default();
    let patch = patch::diff(&value(before), &value(after))?;
    let counts = |(key, change): (&String, &Value)| {
        COUNTS.contains(&key.as_str()) || (key == "canary" && only_selected_revisions(change))
    };
    let only_counts = patch.as_object().is_some_and(|members| members.iter().all(counts));
    let settled = |status: &RolloutStatus| status.phase != Some(RolloutPhase::Progressing);
    let gather = only_counts && !stores_transitions && !(before.phase != after.phase && settled(after));
    Some(StatusPatch { patch, gather, stores_transitions })
}

/// Below `status.canary` only the selected revisions of Services with weight have changed. The weights follow soon.
fn only_selected_revisions(change: &Value) -> bool {
    change.as_object().is_some_and(|members| {
        members.iter().all(|(key, change)| key == "podTemplateHash" || only_selected_revisions(change))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(before: &Value, after: &Value) -> StatusPatch {
        let status = |weights: &Value| RolloutStatus {
            canary: serde_json::from_value(json!({ "weights": weights })).unwrap(),
            ..RolloutStatus::default()
        };
        status_patch(&status(before), &status(after), false).unwrap()
    }

    fn weights(canary: i32, hash: &str) -> Value {
        json!({
            "canary": { "weight": canary, "serviceName": "canary", "podTemplateHash": hash },
            "stable": { "weight": 100 - canary, "serviceName": "stable", "podTemplateHash": "old" },
        })
    }

    #[test]
    fn an_unchanged_status_is_not_written() {
        let status = RolloutStatus { replicas: 2, ..RolloutStatus::default() };

        assert!(status_patch(&status, &status.clone(), true).is_none());
    }

    #[test]
    fn a_service_that_selects_another_revision_under_the_same_weight_may_wait() {
        assert!(patch(&weights(0, "old"), &weights(0, "new")).gather);
    }

    #[test]
    fn a_weight_that_moved_may_not_wait() {
        assert!(!patch(&weights(0, "old"), &weights(10, "new")).gather);
    }
}
