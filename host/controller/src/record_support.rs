//! Whether the API server keeps `status.kulta`, which a Rollout CRD without KULTA's additions prunes. The CRD says so, and so does the
//! answer to each write of a record.

pub mod definition;

use std::sync::atomic::{AtomicBool, Ordering};

use kulta_api::KultaStatus;
use serde_json::{Value, json};

use crate::cluster::Stored;

/// What the API server's last answer said.
#[derive(Debug)]
pub struct RecordSupport(AtomicBool);

impl RecordSupport {
    /// `kept` is what the CRD says, or what is assumed until the first answer.
    #[must_use]
    pub fn new(kept: bool) -> Self {
        if !kept {
            warn_of_pruning();
        }
        Self(AtomicBool::new(kept))
    }

    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Learns from the answer to a status patch that set the record whether the record is kept.
    pub fn learn(&self, answer: &Stored) -> bool {
        let kept = answer.has_record();
        self.set(kept);
        kept
    }

    /// Returns whether this differs from what was known.
    fn set(&self, kept: bool) -> bool {
        let is_new = self.0.swap(kept, Ordering::Relaxed) != kept;
        match (is_new, kept) {
            (false, _) => {}
            (true, true) => tracing::info!("the Rollout CRD keeps status.kulta"),
            (true, false) => warn_of_pruning(),
        }
        is_new
    }
}

/// What a CRD without KULTA's additions, such as Argo Rollouts', costs.
pub const PRUNED: &str = "the Rollout CRD prunes status.kulta, as Argo Rollouts' does: events and the decision log do not outlive this process; \
     apply KULTA's CRDs: kulta crds | kubectl apply -f -";

fn warn_of_pruning() {
    tracing::warn!("{PRUNED}");
}

/// The record after a change of it.
///
/// # Errors
/// When the result is no record, which is a bug of the caller.
pub fn changed(before: Option<KultaStatus>, change: &Value) -> Result<KultaStatus, serde_json::Error> {
    let mut record = json!(before.unwrap_or_default());
    json_patch::merge(&mut record, change);
    serde_json::from_value(record)
}
