//! The rule that an abort restores stable.

use crate::traffic::most;
use crate::{Broken, Cluster, Selected};

/// While the update is aborted and stable can be restored, the canary gets no more traffic and stable loses no pods.
pub(crate) fn judge(before: &Cluster, after: &Cluster) -> Vec<Broken> {
    let Some(stable) = restorable(before) else { return Vec::new() };
    let mut broken = Vec::new();
    let share = |cluster: &Cluster| {
        let canary = Selected::Revision(cluster.canary.clone()?);
        Some(most(cluster.routing.as_ref()?).get(&canary).copied().unwrap_or(0))
    };
    if let (Some(from), Some(to)) = (share(before), share(after))
        && to > from
    {
        broken.push(Broken::RaisedAfterAbort { from, to });
    }
    let matched = |cluster: &Cluster| {
        let selects =
            cluster.routing.as_ref().filter(|routing| routing.by_match).map(|routing| &routing.canary.selects);
        selects.is_some_and(|selects| {
            cluster.canary.as_ref().is_some_and(|hash| *selects == Selected::Revision(hash.clone()))
        })
    };
    if matched(after) && !matched(before) {
        broken.push(Broken::MatchedAfterAbort);
    }
    let scale = |cluster: &Cluster| cluster.revision(stable).map_or(0, |revision| revision.scale);
    let (from, to) = (scale(before), scale(after));
    if to < from && to < before.replicas {
        broken.push(Broken::ShrunkAfterAbort { from, to });
    }
    broken
}

/// Hash of the revision to restore, if its ReplicaSet exists.
fn restorable(cluster: &Cluster) -> Option<&str> {
    let stable = cluster.stable.as_deref().filter(|_| cluster.aborted && cluster.stable != cluster.canary)?;
    cluster.revision(stable).map(|revision| revision.hash.as_str())
}

/// Returns what is missing until an abort has restored stable; `None` if nothing is missing, or if there is nothing to restore.
#[must_use]
pub fn restored(cluster: &Cluster) -> Option<String> {
    let stable = restorable(cluster)?;
    let available = cluster.available(stable);
    if available < cluster.replicas {
        return Some(format!("stable {stable} has {available} available pods of {}", cluster.replicas));
    }
    let canary = cluster.canary.as_ref()?;
    match &cluster.routing {
        Some(routing) if cluster.replicas > 0 && routing.stable.selects == Selected::Revision(canary.clone()) => {
            Some(format!("the stable Service still selects {canary}"))
        }
        Some(routing) if cluster.replicas > 0 => {
            let weight = routing.rules.iter().map(|weights| weights.canary).max().unwrap_or(0);
            let by_match = || "a rule still sends requests to the canary Service".to_owned();
            let by_weight = (weight > 0).then(|| format!("the canary Service still has weight {weight}"));
            by_weight.or_else(|| routing.by_match.then(by_match))
        }
        Some(_) => None,
        None if cluster.services.is_some() => {
            let selects = &cluster.services.as_ref()?.canary.selects;
            let is_canary = *selects == Selected::Revision(canary.clone());
            is_canary.then(|| format!("the canary Service still selects {canary}"))
        }
        None => {
            let scale = cluster.revision(canary).map_or(0, |revision| revision.scale);
            (scale > 0).then(|| format!("the canary {canary} still has {scale} pods"))
        }
    }
}
