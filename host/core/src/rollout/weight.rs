//! The weight that is safe to write now, whatever a plugin decides: no share goes to a side that cannot serve it.

/// The inputs of the safe weight. Weights are parts of the maximum weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The weight of the decision.
    pub wanted: u32,
    /// The greatest share that any route gives the canary now.
    pub current: u32,
    pub max_weight: u32,
    /// Available pods among those that the canary's Service selects.
    pub canary_available: u32,
    /// Number of available pods that the canary needs before its weight is raised.
    pub canary_needed: u32,
    /// A stable revision exists, and its Service selects it.
    pub stable_service_ready: bool,
    /// The least share that the canary must keep, because stable has too few available pods for the rest.
    pub least: u32,
}

pub(super) fn next(facts: &Facts) -> u32 {
    let wanted = facts.wanted.min(facts.max_weight);
    if facts.canary_available == 0 {
        // The canary cannot serve at all, so stable gets the traffic even if it has too few pods.
        return 0;
    }
    if wanted > facts.current {
        return if facts.canary_available >= facts.canary_needed { wanted } else { facts.current };
    }
    if wanted < facts.current {
        if !facts.stable_service_ready {
            return facts.current;
        }
        return wanted.max(facts.least).min(facts.current);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FACTS: Facts = Facts {
        wanted: 50,
        current: 10,
        max_weight: 100,
        canary_available: 5,
        canary_needed: 5,
        stable_service_ready: true,
        least: 0,
    };

    #[test]
    fn a_canary_with_enough_pods_gets_the_wanted_weight() {
        assert_eq!(next(&FACTS), 50);
    }

    #[test]
    fn the_weight_stays_until_enough_canary_pods_are_available() {
        assert_eq!(next(&Facts { canary_available: 4, ..FACTS }), 10);
    }

    #[test]
    fn a_canary_without_an_available_pod_gets_nothing() {
        assert_eq!(next(&Facts { canary_available: 0, ..FACTS }), 0);
    }

    #[test]
    fn stable_takes_back_only_what_its_pods_can_serve() {
        assert_eq!(next(&Facts { wanted: 0, current: 80, least: 30, ..FACTS }), 30);
    }

    #[test]
    fn traffic_does_not_go_back_to_a_service_that_does_not_select_stable() {
        assert_eq!(next(&Facts { wanted: 0, current: 100, stable_service_ready: false, ..FACTS }), 100);
    }

    #[test]
    fn a_weight_above_the_maximum_is_capped() {
        assert_eq!(next(&Facts { wanted: 500, ..FACTS }), 100);
    }

    proptest! {
        #[test]
        fn no_weight_goes_to_a_canary_with_too_few_pods(
            wanted in 0_u32..300, current in 0_u32..=100, available in 0_u32..10, needed in 0_u32..10,
            stable_service_ready: bool, least in 0_u32..=100,
        ) {
            let facts = Facts { wanted, current, max_weight: 100, canary_available: available,
                canary_needed: needed, stable_service_ready, least };
            let weight = next(&facts);
            prop_assert!(weight <= 100);
            prop_assert!(available > 0 || weight == 0);
            prop_assert!(weight <= current || available >= needed);
        }
    }
}
