//! Rollouts that the watch reports as deleted.

use crate::api_error::{ApiErrorClass, error_message};
use crate::backoff::Backoff;
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;

/// Reads from the API server whether the Rollout of this uid is deleted. The watch selects by the instance's label, so it reports a
/// Rollout that was moved to another instance as deleted too.
pub async fn is_deleted(cluster: &Cluster, key: &Key, uid: &str) -> bool {
    let mut failures = 0;
    loop {
        let error = match cluster.find(Kind::Rollout, key).await {
            Ok(found) => return found.is_none_or(|rollout| rollout.uid() != uid),
            Err(error) => error,
        };
        match ApiErrorClass::of(&error) {
            // The kind itself is gone.
            ApiErrorClass::Gone => return true,
            ApiErrorClass::Transient | ApiErrorClass::TooMany => {
                failures += 1;
                tracing::debug!(rollout = %key, failures, "find out whether the Rollout is deleted: {}", error_message(&error));
                tokio::time::sleep(Backoff::RECONCILIATION.delay(failures, fastrand::f64)).await;
            }
            ApiErrorClass::Conflict | ApiErrorClass::Invalid | ApiErrorClass::Forbidden => {
                tracing::warn!(rollout = %key, "find out whether the Rollout is deleted: {}", error_message(&error));
                return false;
            }
        }
    }
}
