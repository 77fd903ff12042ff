//! The rules that pods which serve requests are not deleted.

use std::cmp::min;

use crate::traffic::most;
use crate::{Broken, Cluster, Revision, Routing, Selected, Side};

/// A ReplicaSet whose scale falls.
struct Shrinking<'a> {
    before: &'a Revision,
    to: u32,
}

pub(crate) fn judge(before: &Cluster, after: &Cluster) -> Vec<Broken> {
    let shrinking: Vec<Shrinking<'_>> = before
        .revisions
        .iter()
        .map(|old| Shrinking { before: old, to: after.revision(&old.hash).map_or(0, |new| new.scale) })
        .filter(|change| change.to < change.before.scale)
        .collect();
    // With `replicas: 0` no requests have to be served.
    if before.replicas == 0 {
        return Vec::new();
    }
    match &before.routing {
        Some(routing) => {
            let mut broken = below_share(before, after, routing, &shrinking);
            broken.extend(shrinking.iter().filter(|change| change.to == 0).filter_map(|gone| listed(routing, gone)));
            broken.extend(without_matched(routing, &shrinking));
            broken
        }
        None => below_floor(before, &shrinking).into_iter().collect(),
    }
}

/// The serving side is never scaled below what its share needs.
fn below_share(before: &Cluster, after: &Cluster, routing: &Routing, shrinking: &[Shrinking<'_>]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (receiver, share) in most(routing) {
        let needed = before.pods_for(share, routing.max_weight);
        // The pods of a Service that selects all revisions are protected by `listed` alone.
        let Selected::Revision(hash) = &receiver else { continue };
        let scales = |cluster: &Cluster| cluster.revision(hash).map_or(0, |revision| revision.scale);
        let (from, to) = (scales(before), scales(after));
        if to < from && to < needed && !shrinking.is_empty() {
            broken.push(Broken::ScaledBelowShare { of: receiver.clone(), from, to, needed });
        }
    }
    broken
}

/// A revision to which a rule sends requests by what they match keeps a pod.
fn without_matched(routing: &Routing, shrinking: &[Shrinking<'_>]) -> Option<Broken> {
    let selects = |change: &&Shrinking<'_>| routing.canary.selects == Selected::Revision(change.before.hash.clone());
    let gone = shrinking.iter().filter(|change| routing.by_match && change.to == 0).find(selects)?;
    let of = routing.canary.selects.clone();
    (gone.before.counted() > 0).then_some(Broken::ScaledBelowShare { of, from: gone.before.scale, to: 0, needed: 1 })
}

/// A revision is not scaled to zero while a Service that has weight lists its pods.
fn listed(routing: &Routing, gone: &Shrinking<'_>) -> Option<Broken> {
    let weighted = routing.rules.iter().chain(&routing.in_force);
    let has_weight = |side: Side| {
        weighted.clone().any(|weights| match side {
            Side::Stable => weights.stable > 0,
            Side::Canary => weights.canary > 0,
        }) || (side == Side::Canary && routing.by_match)
    };
    [(Side::Stable, &routing.stable), (Side::Canary, &routing.canary)].into_iter().find_map(|(side, backend)| {
        let lists = backend.listed.iter().any(|pod| gone.before.pods.contains(pod));
        (lists && has_weight(side)).then(|| Broken::ListedPodsGo { hash: gone.before.hash.clone(), side })
    })
}

/// Without routes, `spec.replicas - maxUnavailable` pods stay available, or all available ones if there are fewer. Pods that are not
/// available may be deleted. With traffic routing that names no router, `maxUnavailable` does not count.
fn below_floor(before: &Cluster, shrinking: &[Shrinking<'_>]) -> Option<Broken> {
    let max_unavailable = if before.services.is_some() { 0 } else { before.max_unavailable };
    let floor = before.replicas.saturating_sub(max_unavailable);
    let had = before.all_available();
    let taken: u32 =
        shrinking.iter().map(|change| change.before.counted() - min(change.before.counted(), change.to)).sum();
    let left = had.saturating_sub(taken);
    let change = shrinking.first().filter(|_| left < min(floor, had))?;
    Some(Broken::TooFewAvailable {
        hash: change.before.hash.clone(),
        from: change.before.scale,
        to: change.to,
        left,
        floor,
    })
}
