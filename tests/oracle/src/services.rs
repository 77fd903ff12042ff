//! The rules for Services whose share of the requests is unknown.

use crate::{Backend, Broken, Cluster, Selected, Services, Side};

pub(crate) fn judge(before: &Cluster, after: &Cluster) -> Vec<Broken> {
    let (Some(old), Some(new)) = (&before.services, &after.services) else { return Vec::new() };
    // With `replicas: 0` no requests have to be served.
    if before.replicas == 0 {
        return Vec::new();
    }
    let mut broken = listed_pods_go(before, after, old);
    let sides = [(Side::Stable, &old.stable, &new.stable), (Side::Canary, &old.canary, &new.canary)];
    broken.extend(sides.into_iter().filter_map(|(side, old, new)| selects_nobody(before, side, old, new)));
    broken
}

/// A Service is not pointed at a revision without an available pod.
fn selects_nobody(before: &Cluster, side: Side, old: &Backend, new: &Backend) -> Option<Broken> {
    let Selected::Revision(hash) = &new.selects else { return None };
    let is_new = old.selects != new.selects && before.available(hash) == 0;
    is_new.then(|| Broken::SelectsNobody { hash: hash.clone(), side })
}

/// A revision is not scaled to zero while one of the Services lists its pods.
fn listed_pods_go(before: &Cluster, after: &Cluster, services: &Services) -> Vec<Broken> {
    let left = |hash: &str| after.revision(hash).map_or(0, |revision| revision.scale);
    let gone = before.revisions.iter().filter(|revision| revision.scale > 0 && left(&revision.hash) == 0);
    let broken = gone.filter_map(|revision| {
        let sides = [(Side::Stable, &services.stable), (Side::Canary, &services.canary)];
        let (side, _) = sides.into_iter().find(|(_, backend)| !backend.listed.is_disjoint(&revision.pods))?;
        Some(Broken::ListedPodsGo { hash: revision.hash.clone(), side })
    });
    broken.collect()
}
