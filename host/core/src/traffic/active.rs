//! Blue-green without routes: the selector of the active Service is the weight. The new revision gets all requests or none.

use kulta_api::blue_green::BlueGreenStrategy;

use super::{ManagedRules, TrafficState, WeightRange};
use crate::observed::Observed;

/// The revisions that the selector is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes<'a> {
    pub new: &'a str,
    /// Empty before the first deployment is complete.
    pub stable: &'a str,
}

/// The strategy of a rollout whose traffic is switched by the active Service.
pub(super) fn strategy(observed: &Observed) -> Option<&BlueGreenStrategy> {
    let strategy = &observed.rollout.spec.strategy;
    strategy.blue_green.as_ref().filter(|_| strategy.fields().is_none())
}

/// The share of the new revision, as the selector sets it. It is confirmed as soon as it is observed: no data plane has to accept it.
pub(super) fn observe(observed: &Observed, active: &str, hashes: Hashes<'_>, max_weight: u32) -> TrafficState {
    let service = observed.services.get(active).and_then(Option::as_ref);
    let selected = service.and_then(|service| service.hash());
    let all = |weight: u32| (WeightRange { min: weight, max: weight }, Some(weight));
    let (range, confirmed) = match selected {
        Some(hash) if hash == hashes.stable => all(0),
        Some(hash) if hash == hashes.new => all(max_weight),
        // An older revision serves, which neither weight describes.
        Some(_) => (WeightRange::default(), None),
        // A Service without a hash selects the pods of every revision.
        None => (WeightRange { min: 0, max: if service.is_some() { max_weight } else { 0 } }, None),
    };
    let managed = ManagedRules::default();
    TrafficState { range, confirmed, last_written: range.max, managed, blocked: None, on_trust: None, retry_at: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::observed::Service;

    const HASHES: Hashes<'_> = Hashes { new: "green", stable: "blue" };

    fn share(service: Option<Service>) -> (u32, u32, Option<u32>) {
        let services = BTreeMap::from([("live".to_owned(), service.map(Arc::new))]);
        let observed = Observed { services, ..Observed::default() };
        let state = observe(&observed, "live", HASHES, 100);
        (state.range.min, state.range.max, state.confirmed)
    }

    fn selecting(hash: &str) -> Option<Service> {
        let selector = BTreeMap::from([("rollouts-pod-template-hash".to_owned(), hash.to_owned())]);
        Some(Service { selector, ..Service::default() })
    }

    #[test]
    fn the_selected_revision_has_all_requests() {
        assert_eq!((share(selecting("blue")), share(selecting("green"))), ((0, 0, Some(0)), (100, 100, Some(100))));
    }

    #[test]
    fn an_older_revision_that_is_selected_is_no_share_of_the_new_one() {
        assert_eq!(share(selecting("older")), (0, 0, None));
    }

    #[test]
    fn a_service_without_a_hash_may_reach_any_revision() {
        assert_eq!(share(Some(Service::default())), (0, 100, None));
    }

    #[test]
    fn a_service_that_does_not_exist_reaches_nothing() {
        assert_eq!(share(None), (0, 0, None));
    }
}
