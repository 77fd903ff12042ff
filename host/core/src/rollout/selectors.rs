//! Which revisions the two Services should select (`reference/argo-rollouts.md` section 4, "Service selectors").

use super::context::Context;
use super::record::Record;
use crate::identity;
use crate::observed::Service;
use crate::replicas::share_of;

/// Hashes of the revisions to select. `None` leaves a Service unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selectors {
    pub stable: Option<String>,
    pub canary: Option<String>,
}

/// The changes of the same reconciliation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// The canary's share that is written to routes.
    pub weight: Option<u32>,
    /// The number of pods that the canary is to have.
    pub canary_pods: u32,
}

/// Each Service either selects pods that can answer, or stays unchanged.
pub(super) fn safe(context: &Context, record: &Record, beside: Beside) -> Selectors {
    let service = |name: Option<&String>| context.service(name);
    let stable_hash = record.status.stable_rs.as_str();
    let stable = service(context.fields.stable_service.as_ref())
        .filter(|service| !stable_hash.is_empty() && may_select(context, record, (service, stable_hash), beside));
    let canary = service(context.fields.canary_service.as_ref());
    let canary_hash = canary.and_then(|service| {
        canary_target(context, record, service, beside)
            .filter(|hash| may_select(context, record, (service, hash), beside))
    });
    Selectors { stable: stable.map(|_| stable_hash.to_owned()), canary: canary_hash }
}

/// The revision that the canary Service should select. Its pods can answer. Between two canaries, the Service selects stable.
fn canary_target(context: &Context, record: &Record, service: &Service, beside: Beside) -> Option<String> {
    let stable = record.status.stable_rs.as_str();
    let new = context.new_hash.as_str();
    if stable.is_empty() {
        return None;
    }
    let exposed = context.traffic.as_ref().is_some_and(|traffic| traffic.state.is_canary_exposed());
    // With the stable revision deleted, an abort has nothing to restore.
    if stable == new || (record.status.abort && context.stable.is_some()) {
        // A stable revision with fewer pods takes its share back gradually, by weight.
        return is_stable_free(context, exposed).then(|| stable.to_owned());
    }
    let selected = service.hash();
    // Without a router no weight keeps requests from a canary that is to have no pods.
    if context.unrouted.is_some() && beside.canary_pods == 0 && !context.is_stopped() && context.faults.is_none() {
        return (selected.is_some() && is_stable_free(context, exposed)).then(|| stable.to_owned());
    }
    if selected == Some(new) || context.is_stopped() || context.faults.is_some() {
        return None;
    }
    // Traffic to the pods of an older canary is moved away first.
    let free = !exposed || selected == Some(stable) || selected.is_none();
    if free && may_select(context, record, (service, new), beside) {
        return Some(new.to_owned());
    }
    let is_of_other = selected.is_some() && selected != Some(stable);
    (is_of_other && !exposed && (context.unrouted.is_none() || is_stable_free(context, exposed)))
        .then(|| stable.to_owned())
}

/// Stable can take the requests of the canary's Service: it has all its pods, or the Service has no weight. Without a router the
/// Service may have any share, so a stable revision that shrank must have its pods again.
fn is_stable_free(context: &Context, exposed: bool) -> bool {
    let whole = context.stable_side().available >= context.replicas;
    !context.fields.dynamic_stable_scale() || if context.unrouted.is_some() { whole } else { !exposed }
}

fn may_select(context: &Context, record: &Record, (service, hash): (&Service, &str), beside: Beside) -> bool {
    let enough = || context.needed(pods_for_requests(context, record, (service, hash), beside));
    service.hash() == Some(hash) || can_serve(context, service, hash, Enough::PodsOrAsManyAsServe(enough()))
}

/// The number of available pods with which a Service may be pointed at a revision.
#[derive(Clone, Copy, Debug)]
pub(super) enum Enough {
    Pods(u32),
    /// Or as many as the revision has that the Service selects now.
    PodsOrAsManyAsServe(u32),
}

/// A Service that selects no revision yet is pointed only at a revision with all its pods. Otherwise the revision needs enough
/// available pods.
pub(super) fn can_serve(context: &Context, service: &Service, hash: &str, enough: Enough) -> bool {
    let revisions = &context.observed.revisions;
    let Some(target) = identity::by_hash(revisions, hash) else { return false };
    if context.replicas == 0 {
        return true;
    }
    let Some(selected) = service.hash() else {
        return target.replicas > 0 && target.available_replicas >= target.replicas;
    };
    let serving = identity::by_hash(revisions, selected).map_or(0, |serving| serving.available_replicas);
    let available = target.available_replicas;
    available > 0
        && match enough {
            Enough::Pods(pods) => available >= pods,
            Enough::PodsOrAsManyAsServe(pods) => available >= pods || available >= serving,
        }
}

/// Number of pods of a revision that its requests need once the Service selects it, in addition to the requests of the other
/// Service.
fn pods_for_requests(context: &Context, record: &Record, (service, hash): (&Service, &str), beside: Beside) -> u32 {
    if context.unrouted.is_some() {
        // The share of a Service is unknown. Of the canary, the pods that its step asks for are enough.
        let target = identity::by_hash(&context.observed.revisions, hash).map_or(0, |target| target.replicas);
        return if record.status.stable_rs == hash { context.replicas } else { target };
    }
    let Some(traffic) = &context.traffic else { return 0 };
    let (max, range) = (traffic.shape.max_weight, traffic.state.range);
    let selects_it = |other: &String| context.selected(other) == Some(hash);
    let (own, selects_it) = if service.name == traffic.stable_service {
        let least = beside.weight.map_or(range.min, |weight| weight.min(range.min));
        (max.saturating_sub(least), selects_it(&traffic.canary_service))
    } else {
        // The stable Service selects the stable revision, or this reconciliation points it there.
        (range.max, selects_it(&traffic.stable_service) || record.status.stable_rs == hash)
    };
    let share = if own > 0 && selects_it { max } else { own };
    share_of(traffic.shape.replicas, share, max)
}
