//! Rollouts that the watch no longer tells of.

use crate::backoff::Backoff;
use crate::cluster::{Cluster, Refusal, refusal, words};
use crate::key::Key;
use crate::kinds::Kind;

/// Whether the Rollout of this uid is deleted. The watch selects by the instance's label and tells the same of one that was given to
/// another instance, so the API server is asked.
pub async fn is_deleted(cluster: &Cluster, key: &Key, uid: &str) -> bool {
    let mut failures = 0;
    loop {
        let error = match cluster.find(Kind::Rollout, key).await {
            Ok(found) => return found.is_none_or(|rollout| rollout.uid() != uid),
            Err(error) => error,
        };
        match refusal(&error) {
            // The kind itself is gone.
            Refusal::Gone => return true,
            Refusal::Trouble | Refusal::TooMany => {
                failures += 1;
                tracing::debug!(rollout = %key, failures, "look whether the Rollout is deleted: {}", words(&error));
                tokio::time::sleep(Backoff::PASS.delay(failures, fastrand::f64)).await;
            }
            Refusal::Conflict | Refusal::Invalid | Refusal::Forbidden => {
                tracing::warn!(rollout = %key, "look whether the Rollout is deleted: {}", words(&error));
                return false;
            }
        }
    }
}
