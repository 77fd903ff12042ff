//! Services that a rollout left behind are released: without its hash they select by the user's own labels again
//! (`reference/argo-rollouts.md` section 4, "Service selectors").

use std::sync::Arc;

use kulta_api::annotations::{MANAGED_BY, POD_TEMPLATE_HASH};
use serde_json::{Value, json};

use crate::api_error::{ApiErrorClass, error_message};
use crate::cache::{Caches, Orphan};
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;
use crate::queue::Outcome;
use crate::worker::Reconciler;

/// Takes the annotations and hashes of rollouts off the Services that they no longer refer to.
pub struct OrphanReconciler {
    pub caches: Arc<Caches>,
    pub cluster: Cluster,
}

impl Reconciler for OrphanReconciler {
    const KIND: Kind = Kind::Service;

    async fn reconcile(&self, service: &Key) -> Outcome {
        let orphan = self.caches.read().orphan(service);
        let Some(orphan) = orphan else { return Outcome::DONE };
        if !orphan.known {
            match self.cluster.find(Kind::Rollout, &service.sibling(&orphan.manager)).await {
                // Another instance serves it.
                Ok(Some(_)) => return Outcome::DONE,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%service, "find Rollout {}: {}", orphan.manager, error_message(&error));
                    return Outcome::RETRY;
                }
            }
        }
        match self.cluster.merge(Kind::Service, service, &without_marks(&orphan)).await {
            Ok(_) => {
                tracing::info!(%service, rollout = orphan.manager, "Service released: no Rollout refers to it any more");
                Outcome::DONE
            }
            Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Gone => Outcome::DONE,
            Err(error) => {
                tracing::info!(%service, "release the Service: {}", error_message(&error));
                Outcome::RETRY
            }
        }
    }
}

/// A merge patch that applies only to the Service as it was observed.
fn without_marks(orphan: &Orphan) -> Value {
    json!({
        "metadata": { "resourceVersion": orphan.resource_version, "annotations": { MANAGED_BY: null } },
        "spec": { "selector": { POD_TEMPLATE_HASH: null } },
    })
}
