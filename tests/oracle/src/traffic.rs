//! The rule that neither Service gets a share of the traffic that its pods cannot serve.

use std::collections::BTreeMap;

use crate::{Broken, Cluster, Routing, Selected, Weights};

/// The share of each receiver of requests, in parts of the maximum weight, rounded up.
pub(crate) type Shares = BTreeMap<Selected, u32>;

pub(crate) fn judge(before: &Cluster, after: &Cluster) -> Vec<Broken> {
    let (Some(old), Some(new)) = (&before.routing, &after.routing) else { return Vec::new() };
    let mut broken: Vec<Broken> = new
        .rules
        .iter()
        .filter(|weights| !old.rules.contains(weights))
        .filter(|weights| weights.canary > new.max_weight || total(**weights) != u64::from(new.max_weight))
        .map(|weights| Broken::Weights { weights: *weights, max_weight: new.max_weight })
        .collect();
    // With `replicas: 0` no requests have to be served.
    if before.replicas == 0 {
        return broken;
    }
    let had = most(old);
    for (rule, weights) in new.rules.iter().enumerate() {
        let earlier = old.rules.get(rule).map(|weights| shares(old, *weights)).unwrap_or_default();
        for (receiver, share) in shares(new, *weights) {
            if share > had.get(&receiver).copied().unwrap_or(0) {
                let found = given(before, &receiver, share, &earlier, (old, new));
                broken.extend(found.filter(|one| !broken.contains(one)));
            }
        }
    }
    broken
}

/// Checks a receiver that gets more than by any rule so far. `earlier` are the shares of the rule before the write.
fn given(
    before: &Cluster,
    receiver: &Selected,
    share: u32,
    earlier: &Shares,
    (old, new): (&Routing, &Routing),
) -> Option<Broken> {
    let available = available(before, receiver);
    let is_stable = new.stable.selects == *receiver;
    let for_share = before.pods_for(share, new.max_weight);
    let asked_for = before.canary_scale.filter(|_| !is_stable).map_or(for_share, |scale| scale.min(for_share));
    let needed = before.enough_of(asked_for).max(1);
    // If the current receivers have no other available pods, this receiver cannot be worse.
    let others = earlier.keys().map(|other| available_beside(before, other, receiver)).max().unwrap_or(0);
    let better_than_nobody = others == 0 && (available > 0 || is_stable);
    // If a selector changes, all requests of the Service move: at least as many available pods as before are no worse.
    let repointed = old.stable.selects != new.stable.selects || old.canary.selects != new.canary.selects;
    let serving = earlier.keys().filter(|other| *other != receiver).map(|other| self::available(before, other));
    let no_worse = repointed && available > 0 && serving.max().is_none_or(|serving| available >= serving);
    (available < needed && !better_than_nobody && !no_worse).then(|| Broken::TooFewPods {
        given_to: receiver.clone(),
        share,
        max_weight: new.max_weight,
        available,
        needed,
    })
}

pub(crate) fn available(cluster: &Cluster, receiver: &Selected) -> u32 {
    match receiver {
        Selected::Nobody => 0,
        Selected::All => cluster.all_available(),
        Selected::Revision(hash) => cluster.available(hash),
    }
}

/// Available pods of `one` that are not those of `other`.
fn available_beside(cluster: &Cluster, one: &Selected, other: &Selected) -> u32 {
    match (one, other) {
        (one, other) if one == other => 0,
        (_, Selected::All) => 0,
        (Selected::All, Selected::Revision(hash)) => cluster.all_available() - cluster.available(hash),
        (one, _) => available(cluster, one),
    }
}

fn total(weights: Weights) -> u64 {
    u64::from(weights.stable) + u64::from(weights.canary)
}

/// The share of each receiver by one rule, without those that get nothing.
pub(crate) fn shares(routing: &Routing, weights: Weights) -> Shares {
    let mut parts: BTreeMap<Selected, u64> = BTreeMap::new();
    for (backend, weight) in [(&routing.stable, weights.stable), (&routing.canary, weights.canary)] {
        if weight > 0 {
            *parts.entry(backend.selects.clone()).or_default() += u64::from(weight);
        }
    }
    let max = u64::from(routing.max_weight);
    let share = |weight: u64| u32::try_from((weight * max).div_ceil(total(weights).max(1))).unwrap_or(u32::MAX);
    parts.into_iter().map(|(receiver, weight)| (receiver, share(weight))).collect()
}

/// The largest share of each receiver, by any rule and by weights that may still be in force.
pub(crate) fn most(routing: &Routing) -> Shares {
    let mut most = Shares::new();
    for weights in routing.rules.iter().chain(&routing.in_force) {
        for (receiver, share) in shares(routing, *weights) {
            let entry = most.entry(receiver).or_default();
            *entry = share.max(*entry);
        }
    }
    most
}
