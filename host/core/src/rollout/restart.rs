//! `spec.restartAt`: selects the pods to replace next (`reference/argo-rollouts.md` section 4, "Restart").

use jiff::Timestamp;
use kulta_api::Time;

use super::context::Context;
use super::questions::LookedUp;
use super::record::Record;
use crate::observed::Pod;

/// The restart that the spec asks for, if it is not done.
pub(super) fn wanted<'a>(context: &'a Context, record: &Record) -> Option<&'a Time> {
    let restart_at = context.observed.rollout.spec.restart_at.as_ref()?;
    (record.status.restarted_at.as_ref() != Some(restart_at)).then_some(restart_at)
}

/// The pods that the rollout's ReplicaSets control, once they have been looked up.
pub(super) fn own_pods(context: &Context, looked_up: &LookedUp) -> Option<Vec<Pod>> {
    let owned = |pod: &&Pod| context.observed.revisions.iter().any(|owner| owner.uid == pod.owner);
    Some(looked_up.pods.as_ref()?.iter().filter(owned).cloned().collect())
}

/// The pod counts as available.
pub(super) fn is_up(pod: &Pod) -> bool {
    pod.ready && !pod.terminating
}

/// The pod is older than the restart.
pub(super) fn is_outdated(context: &Context, pod: &Pod, restart_at: Timestamp) -> bool {
    let mut sides = context.stable.iter().chain(&context.new);
    pod.created < restart_at && sides.any(|side| side.hash() == pod.hash)
}

/// The pods to restart next, regardless of whether one is the last that serves: at most as many at a time as may be unavailable,
/// but at least one. Stable's pods come first.
pub(super) fn next_evictions<'a>(
    context: &Context,
    record: &Record,
    restart_at: Timestamp,
    pods: &'a [Pod],
) -> Vec<&'a Pod> {
    let wanted: u32 = context.observed.revisions.iter().map(|revision| revision.replicas).sum();
    let up = pods.iter().filter(|pod| is_up(pod)).count();
    let down = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(up);
    let at_once = usize::try_from(context.limits.unavailable.max(1)).unwrap_or(1);
    let mut waiting: Vec<&Pod> =
        pods.iter().filter(|pod| is_outdated(context, pod, restart_at) && !pod.terminating).collect();
    waiting.sort_by_key(|pod| (pod.hash != record.status.stable_rs, pod.created));
    waiting.truncate(at_once.saturating_sub(down));
    waiting
}

/// Requests are sent to this revision, and without its last ready pod they would fail.
pub(super) fn last_pod_serves(context: &Context, record: &Record, hash: &str) -> bool {
    let Some(traffic) = &context.traffic else {
        // Without a router nothing can lead requests away from a canary meanwhile.
        return context.unrouted.is_some() && hash == record.status.stable_rs && context.replicas > 1;
    };
    if !traffic.has_routes() {
        return context.replicas > 1 && context.selected(&traffic.stable_service) == Some(hash);
    }
    if hash == record.status.stable_rs {
        // A rollout with one pod has no other pod that could serve meanwhile.
        return context.replicas > 1 && traffic.is_stable_exposed();
    }
    traffic.state.is_canary_exposed() || traffic.state.confirmed != Some(0)
}

/// A restart evicts, or has just evicted, the last ready pod of the canary. The weight moves to stable first, and returns once a
/// new pod is ready.
pub(super) fn empties_canary(context: &Context, record: &Record, looked_up: &LookedUp) -> bool {
    let due = wanted(context, record).filter(|at| at.0 <= context.now);
    let (Some(restart_at), Some(pods)) = (due, own_pods(context, looked_up)) else { return false };
    let next = next_evictions(context, record, restart_at.0, &pods);
    let mut canary = pods.iter().filter(|pod| pod.hash == context.new_hash).peekable();
    let there = canary.peek().is_some();
    let up: Vec<&Pod> = canary.filter(|pod| is_up(pod)).collect();
    there && up.len() <= 1 && up.iter().all(|pod| next.iter().any(|evicted| evicted.name == pod.name))
}
