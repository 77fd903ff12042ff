//! A canary whose `trafficRouting` names no router, as in `trafficRouting: {}`. Argo Rollouts counts its pods as behind routes and
//! writes no route. The share of each Service is then unknown: only the selectors decide who gets requests, and only the number of
//! available pods says what can be served.

use kulta_api::CanaryFields;

use crate::observed::Observed;
use crate::replicas::basic::Side;
use crate::replicas::routed::Shape;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrouted {
    pub shape: Shape,
}

/// Wanted numbers of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pods {
    pub canary: u32,
    pub stable: u32,
}

impl Unrouted {
    /// `None` without `trafficRouting`, and with a router.
    pub fn of(observed: &Observed, fields: &CanaryFields) -> Option<Self> {
        let routing = fields.traffic_routing.as_ref().filter(|routing| !routing.has_router());
        let shape = Shape::of(observed, fields);
        // A Service that selects only the stable revision may have any share of the requests, so the revision stays whole for it.
        let has_service = fields.stable_service.as_ref().is_some_and(|name| !name.is_empty());
        routing.map(|_| Self { shape: Shape { dynamic_stable: shape.dynamic_stable && !has_service, ..shape } })
    }

    /// The next scales. A side gives up pods only as the other side has available ones that stay. `canary_serves`: requests may
    /// reach the canary.
    pub fn targets(&self, wanted: Pods, canary: Side, stable: Side, canary_serves: bool) -> Pods {
        let canary_stays = if canary_serves { canary.available.min(wanted.canary) } else { 0 };
        let stable_pods = wanted.stable.max(stable.replicas.min(self.lacks(canary_stays)));
        let stable_stays = stable.available.min(stable_pods);
        let canary_pods = wanted.canary.max(canary.replicas.min(self.lacks(stable_stays)));
        Pods { canary: canary_pods, stable: stable_pods }
    }

    /// Number of pods that are missing beside these available ones.
    pub fn lacks(&self, available: u32) -> u32 {
        self.shape.replicas.saturating_sub(available)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn side() -> impl Strategy<Value = Side> {
        (0_u32..20, 0_u32..20).prop_map(|(replicas, available)| Side { replicas, available: available.min(replicas) })
    }

    proptest! {
        #[test]
        fn no_available_pod_goes_while_fewer_are_left_than_the_rollout_has_replicas(
            replicas in 0_u32..20, canary in side(), stable in side(), wanted_canary in 0_u32..20, wanted_stable in 0_u32..20,
            canary_serves: bool,
        ) {
            let shape = Shape { replicas, max_weight: 100, min_pods: 0, dynamic_stable: true };
            let wanted = Pods { canary: wanted_canary, stable: wanted_stable };

            let pods = Unrouted { shape }.targets(wanted, canary, stable, canary_serves);

            let left = canary.available.min(pods.canary) + stable.available.min(pods.stable);
            prop_assert!(left >= replicas.min(canary.available + stable.available), "{pods:?}");
        }
    }
}
