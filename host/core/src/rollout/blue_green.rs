//! Which revisions the active and the preview Service of a blue-green rollout should select (`reference/argo-rollouts.md` section 4,
//! "Blue-green").

use super::context::Context;
use super::outcome::SidesGoal;
use super::record::Record;
use super::selectors::{Enough, Selectors, can_serve};

/// The active Service selects the new revision if the goal gives it all weight, otherwise stable. It stays unchanged until the pods
/// of that revision can take all requests.
pub(super) fn selectors(context: &Context, record: &Record, goal: SidesGoal) -> Selectors {
    Selectors { stable: active(context, record, goal), canary: preview(context, record, goal) }
}

fn active(context: &Context, record: &Record, goal: SidesGoal) -> Option<String> {
    let stable = record.status.stable_rs.as_str();
    let service = context.service(context.fields.stable_service.as_ref())?;
    let (hash, enough) = match &context.stable {
        _ if stable.is_empty() => return None,
        // One pod is better than a revision that no longer exists. An older revision that the Service selects may still serve.
        None => (context.new_hash.as_str(), Enough::PodsOrAsManyAsServe(context.replicas)),
        Some(_) if goal.weight >= context.max_weight() && !record.is_stable(context) => {
            (context.new_hash.as_str(), Enough::Pods(context.replicas))
        }
        Some(_) => (stable, Enough::PodsOrAsManyAsServe(context.replicas)),
    };
    let selects = service.hash() == Some(hash);
    (selects || can_serve(context, service, hash, enough)).then(|| hash.to_owned())
}

/// As in Argo, the preview Service selects the new revision as soon as it exists. Unlike there, it returns to stable when an abort has
/// deleted the preview's pods, instead of answering no request.
fn preview(context: &Context, record: &Record, goal: SidesGoal) -> Option<String> {
    if context.is_stopped() || context.faults.is_some() {
        return None;
    }
    let stable = record.status.stable_rs.as_str();
    let has_pods = goal.canary > 0 || context.canary_side().replicas > 0;
    let hash = if has_pods || stable.is_empty() { context.new_hash.as_str() } else { stable };
    Some(hash.to_owned())
}
