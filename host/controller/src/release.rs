//! Services that a rollout left behind are let go: without its hash they select by the user's own labels again
//! (`reference/argo-rollouts.md` section 4, "Service selectors").

use kulta_api::annotations::{MANAGED_BY, POD_TEMPLATE_HASH};
use serde_json::{Value, json};

use crate::caches::Orphan;
use crate::cluster::{Refusal, refusal, words};
use crate::controller::Controller;
use crate::key::Key;
use crate::kinds::Kind;
use crate::queue::Outcome;

const DONE: Outcome = Outcome::Done { wake_up: None };
const AGAIN: Outcome = Outcome::Failed { not_before: None };

/// One look at a Service that may have been left.
pub async fn look(controller: &Controller, service: &Key) -> Outcome {
    let orphan = controller.caches.read().orphan(service);
    let Some(orphan) = orphan else { return DONE };
    if !orphan.known {
        match controller.cluster.find(Kind::Rollout, &service.sibling(&orphan.manager)).await {
            // Another instance's, and its business.
            Ok(Some(_)) => return DONE,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%service, "look for Rollout {}: {}", orphan.manager, words(&error));
                return AGAIN;
            }
        }
    }
    match controller.cluster.merge(Kind::Service, service, &without_marks(&orphan)).await {
        Ok(_) => {
            tracing::info!(%service, rollout = orphan.manager, "let go: no Rollout refers to it any more");
            DONE
        }
        Err(error) if refusal(&error) == Refusal::Gone => DONE,
        Err(error) => {
            tracing::info!(%service, "let the Service go: {}", words(&error));
            AGAIN
        }
    }
}

/// A merge patch that must meet the Service as it was seen.
fn without_marks(orphan: &Orphan) -> Value {
    json!({
        "metadata": { "resourceVersion": orphan.resource_version, "annotations": { MANAGED_BY: null } },
        "spec": { "selector": { POD_TEMPLATE_HASH: null } },
    })
}
