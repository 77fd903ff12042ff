//! Checks which safety rules a write of the controller breaks, for the stable and the canary Service. These are pure functions over plain
//! values. They share no code with the controller, so that the two cannot be wrong in the same way.

mod abort;
mod broken;
mod matched;
mod pods;
mod services;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::BTreeSet;

pub use abort::restored;
pub use broken::{Broken, Side};

/// The state of one rollout to which the rules apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// `spec.replicas` of the Rollout.
    pub replicas: u32,
    /// Pods that may be unavailable during an update without traffic routing.
    pub max_unavailable: u32,
    pub threshold: Threshold,
    pub revisions: Vec<Revision>,
    /// Hash of the revision that an abort restores.
    pub stable: Option<String>,
    /// Hash of the revision that is rolled out.
    pub canary: Option<String>,
    /// Canary pods that the strategy sets independently of the weight, as `setCanaryScale` does; `None` if they follow the weight.
    pub canary_scale: Option<u32>,
    /// The update is aborted.
    pub aborted: bool,
    /// `None` without routes.
    pub routing: Option<Routing>,
    /// `Some` with traffic routing that names no router.
    pub services: Option<Services>,
}

/// How many of the pods that a share needs must be available: `replicaProgressThreshold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    Percent(u32),
    Pods(u32),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Percent(100)
    }
}

/// The pods of one ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    pub hash: String,
    /// `spec.replicas` of the ReplicaSet.
    pub scale: u32,
    pub available: u32,
    /// Names of its pods.
    pub pods: BTreeSet<String>,
}

/// How requests are split between the two Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// The sum of a rule's weights.
    pub max_weight: u32,
    pub stable: Backend,
    pub canary: Backend,
    /// The weights of each rule that splits traffic between the two Services, over all routes.
    pub rules: Vec<Weights>,
    /// Weights that the data plane may still use, because it has not accepted a later write.
    pub in_force: Vec<Weights>,
    /// A rule sends requests to the canary Service by what they match, or copies of them. Their share is unknown.
    pub by_match: bool,
}

/// Parts of the requests that the active Service of a blue-green rollout gets.
const ALL_REQUESTS: u32 = 100;

impl Routing {
    /// The requests of a blue-green rollout: the active Service always gets all of them, and the preview Service none.
    #[must_use]
    pub fn by_active_service(active: Backend, preview: Backend) -> Self {
        Self {
            max_weight: ALL_REQUESTS,
            stable: active,
            canary: preview,
            rules: vec![Weights { stable: ALL_REQUESTS, canary: 0 }],
            in_force: Vec::new(),
            by_match: false,
        }
    }
}

/// The two Services of a rollout without a router. Each of them may get any share of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    pub stable: Backend,
    pub canary: Backend,
}

/// A Service of the rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    pub selects: Selected,
    /// Names of the pods that its EndpointSlices list.
    pub listed: BTreeSet<String>,
}

/// The pods that a Service selects.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selected {
    /// The Service does not exist.
    #[default]
    Nobody,
    /// All pods of the rollout.
    All,
    /// The pods of the revision with this hash.
    Revision(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    pub stable: u32,
    pub canary: u32,
}

impl Cluster {
    fn revision(&self, hash: &str) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.hash == hash)
    }

    fn available(&self, hash: &str) -> u32 {
        self.revision(hash).map_or(0, Revision::counted)
    }

    fn all_available(&self) -> u32 {
        self.revisions.iter().map(Revision::counted).sum()
    }

    /// Pods that a share of the traffic needs.
    fn pods_for(&self, share: u32, max_weight: u32) -> u32 {
        let parts = u64::from(self.replicas) * u64::from(share);
        u32::try_from(parts.div_ceil(u64::from(max_weight.max(1)))).unwrap_or(u32::MAX)
    }

    /// The number of these pods that must be available.
    fn enough_of(&self, pods: u32) -> u32 {
        match self.threshold {
            Threshold::Percent(percent) => {
                let parts = u64::from(pods) * u64::from(percent.min(100));
                u32::try_from(parts.div_ceil(100)).unwrap_or(pods)
            }
            Threshold::Pods(enough) => enough.min(pods),
        }
    }
}

impl Revision {
    /// Available pods that stay: if more are available than the scale, some of them are about to be deleted.
    fn counted(&self) -> u32 {
        self.available.min(self.scale)
    }
}

/// Returns the rules that one write of the controller breaks. `observed` is the cluster that the controller has observed, `before` includes
/// what it has written since then, and `after` also includes this write. A reconciliation that changes both a Service and its weight is
/// judged by where the requests went before it.
#[must_use]
pub fn judge(observed: &Cluster, before: &Cluster, after: &Cluster) -> Vec<Broken> {
    let mut broken = Vec::new();
    if before.routing != after.routing {
        broken.extend(traffic::judge(observed, after));
        broken.extend(matched::judge(observed, after));
    }
    broken.extend(pods::judge(before, after));
    broken.extend(services::judge(before, after));
    broken.extend(abort::judge(before, after));
    broken
}
