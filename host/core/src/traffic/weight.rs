//! Which weight is safe to ask for now. A plugin's wish is never taken as it is: no share goes to a side that cannot serve it.

/// What the safe weight depends on. Weights are parts of the maximum weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// What the decision asks for.
    pub wanted: u32,
    /// The most that any route gives the canary now.
    pub current: u32,
    pub max_weight: u32,
    /// Available pods among those that the canary's Service selects.
    pub canary_available: u32,
    /// Pods that must be available before the canary gets more.
    pub canary_needed: u32,
    /// There is a stable revision to give traffic to, and its Service selects it.
    pub stable_service_ready: bool,
    /// The least that the canary must keep, because stable has too few available pods for the rest.
    pub least: u32,
}

#[must_use]
pub fn next(scene: &Scene) -> u32 {
    let wanted = scene.wanted.min(scene.max_weight);
    if scene.canary_available == 0 {
        // Nobody there to serve: whatever stable can do is better than nothing.
        return 0;
    }
    if wanted > scene.current {
        return if scene.canary_available >= scene.canary_needed { wanted } else { scene.current };
    }
    if wanted < scene.current {
        if !scene.stable_service_ready {
            return scene.current;
        }
        return wanted.max(scene.least).min(scene.current);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCENE: Scene = Scene {
        wanted: 50,
        current: 10,
        max_weight: 100,
        canary_available: 5,
        canary_needed: 5,
        stable_service_ready: true,
        least: 0,
    };

    #[test]
    fn a_canary_that_is_there_gets_the_wanted_weight() {
        assert_eq!(next(&SCENE), 50);
    }

    #[test]
    fn the_weight_stays_until_enough_canary_pods_are_available() {
        assert_eq!(next(&Scene { canary_available: 4, ..SCENE }), 10);
    }

    #[test]
    fn a_canary_without_an_available_pod_gets_nothing() {
        assert_eq!(next(&Scene { canary_available: 0, ..SCENE }), 0);
    }

    #[test]
    fn stable_takes_back_only_what_its_pods_can_serve() {
        assert_eq!(next(&Scene { wanted: 0, current: 80, least: 30, ..SCENE }), 30);
    }

    #[test]
    fn traffic_does_not_go_back_to_a_service_that_does_not_select_stable() {
        assert_eq!(next(&Scene { wanted: 0, current: 100, stable_service_ready: false, ..SCENE }), 100);
    }

    #[test]
    fn a_wish_beyond_the_maximum_is_cut() {
        assert_eq!(next(&Scene { wanted: 500, ..SCENE }), 100);
    }

    proptest! {
        #[test]
        fn no_weight_goes_to_a_canary_with_too_few_pods(
            wanted in 0_u32..300, current in 0_u32..=100, available in 0_u32..10, needed in 0_u32..10,
            stable_service_ready: bool, least in 0_u32..=100,
        ) {
            let scene = Scene { wanted, current, max_weight: 100, canary_available: available,
                canary_needed: needed, stable_service_ready, least };
            let weight = next(&scene);
            prop_assert!(weight <= 100);
            prop_assert!(available > 0 || weight == 0);
            prop_assert!(weight <= current || available >= needed);
        }
    }
}
