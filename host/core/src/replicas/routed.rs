//! Scales of a canary behind weighted routes: stable keeps all its pods, and the canary follows the weight. The side that serves
//! traffic is never scaled below the needs of its share, whatever the decision says.

use kulta_api::CanaryFields;

use super::share_of;
use crate::decision::Scale;
use crate::observed::Observed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `spec.replicas` of the rollout.
    pub replicas: u32,
    pub max_weight: u32,
    /// Minimum number of pods of a side that has any; 0 if there is no minimum.
    pub min_pods: u32,
    /// Stable is scaled down as the canary is scaled up.
    pub dynamic_stable: bool,
}

/// The range of the canary's possible share now, in parts of the maximum weight. It is a range if routes differ, or if the data
/// plane has not confirmed their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightRange {
    pub min: u32,
    pub max: u32,
}

impl Shape {
    pub(crate) fn of(observed: &Observed, fields: &CanaryFields) -> Self {
        Self {
            replicas: observed.rollout.spec.replicas(),
            max_weight: fields.max_weight(),
            min_pods: fields.min_pods_per_replica_set(),
            dynamic_stable: fields.dynamic_stable_scale(),
        }
    }

    /// The share of these available pods, in parts of the maximum weight.
    pub fn weight_of(&self, available: u32) -> u32 {
        let share = (u64::from(available) * u64::from(self.max_weight)).checked_div(u64::from(self.replicas));
        share.and_then(|share| u32::try_from(share).ok()).map_or(self.max_weight, |share| share.min(self.max_weight))
    }

    fn pods_for(&self, weight: u32) -> u32 {
        let pods = share_of(self.replicas, weight, self.max_weight);
        if pods == 0 { 0 } else { pods.max(self.min_pods.min(self.replicas)) }
    }

    /// Number of pods that the decision wants for the canary at `weight`.
    #[must_use]
    pub fn canary_wanted(&self, scale: Scale, weight: u32) -> u32 {
        match scale {
            Scale::FollowWeight => self.pods_for(weight),
            Scale::Weight(share) => self.pods_for(share),
            Scale::Replicas(pods) if self.dynamic_stable && pods > 0 => pods.max(self.min_pods.min(self.replicas)),
            Scale::Replicas(pods) => pods,
        }
    }

    /// The canary's next scale. It goes up at once, but never below the needs of the canary's possible share.
    #[must_use]
    pub fn canary_target(&self, wanted: u32, current: u32, range: WeightRange) -> u32 {
        wanted.max(current.min(self.pods_for(range.max)))
    }

    /// Number of pods that the decision wants for stable at `weight`.
    #[must_use]
    pub fn stable_wanted(&self, weight: u32) -> u32 {
        if self.dynamic_stable { self.pods_for(self.max_weight.saturating_sub(weight)) } else { self.replicas }
    }

    /// Stable's next scale: the wanted one, but never below the needs of stable's possible share.
    #[must_use]
    pub fn stable_target(&self, wanted: u32, range: WeightRange) -> u32 {
        wanted.max(self.pods_for(self.max_weight.saturating_sub(range.min)))
    }

    /// The least share that the canary must keep, because stable's `available` pods cannot serve more.
    #[must_use]
    pub fn least_canary_share(&self, available: u32) -> u32 {
        if self.replicas == 0 || available >= self.replicas {
            return 0;
        }
        let stable_share = u64::from(available) * u64::from(self.max_weight) / u64::from(self.replicas);
        self.max_weight.saturating_sub(u32::try_from(stable_share).unwrap_or(self.max_weight))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Shape = Shape { replicas: 10, max_weight: 100, min_pods: 0, dynamic_stable: false };
    const DYNAMIC: Shape = Shape { dynamic_stable: true, ..PLAIN };

    fn served(weight: u32) -> WeightRange {
        WeightRange { min: weight, max: weight }
    }

    #[test]
    fn the_canary_follows_the_weight_rounding_up() {
        let pods = [0, 1, 10, 11, 55, 100].map(|weight| PLAIN.canary_wanted(Scale::FollowWeight, weight));

        assert_eq!(pods, [0, 1, 1, 2, 6, 10]);
    }

    #[test]
    fn weights_finer_than_a_percent_are_applied() {
        let shape = Shape { max_weight: 1_000, replicas: 100, ..PLAIN };

        assert_eq!(shape.canary_wanted(Scale::FollowWeight, 5), 1);
    }

    #[test]
    fn an_explicit_scale_ignores_the_weight() {
        assert_eq!((PLAIN.canary_wanted(Scale::Replicas(3), 50), PLAIN.canary_wanted(Scale::Weight(25), 50)), (3, 3));
    }

    #[test]
    fn a_side_with_pods_has_at_least_the_minimum() {
        let shape = Shape { min_pods: 3, ..PLAIN };

        assert_eq!([0, 5, 50].map(|weight| shape.canary_wanted(Scale::FollowWeight, weight)), [0, 3, 5]);
    }

    #[test]
    fn the_minimum_is_capped_at_the_replicas() {
        let shape = Shape { min_pods: 30, ..PLAIN };

        assert_eq!(shape.canary_wanted(Scale::FollowWeight, 5), 10);
    }

    #[test]
    fn stable_keeps_all_its_pods_unless_its_scale_is_dynamic() {
        assert_eq!((PLAIN.stable_wanted(40), DYNAMIC.stable_wanted(40)), (10, 6));
    }

    #[test]
    fn a_canary_is_not_shrunk_below_the_share_that_it_still_serves() {
        assert_eq!(PLAIN.canary_target(1, 5, served(50)), 5);
        assert_eq!(PLAIN.canary_target(1, 5, served(10)), 1);
    }

    #[test]
    fn an_explicit_scale_below_the_share_is_not_raised_when_it_never_had_more() {
        assert_eq!(PLAIN.canary_target(1, 1, served(50)), 1);
    }

    #[test]
    fn stable_takes_no_more_than_its_pods_can_serve() {
        assert_eq!([0, 1, 5, 9, 10].map(|available| DYNAMIC.least_canary_share(available)), [100, 90, 50, 10, 0]);
    }

    proptest! {
        #[test]
        fn dynamic_stable_never_falls_below_the_share_in_force(
            replicas in 0_u32..200, weight in 0_u32..=100, least in 0_u32..=100, most in 0_u32..=100,
        ) {
            let shape = Shape { replicas, ..DYNAMIC };
            let range = WeightRange { min: least.min(most), max: least.max(most) };
            let target = shape.stable_target(shape.stable_wanted(weight), range);
            prop_assert!(u64::from(target) * 100 >= u64::from(replicas) * u64::from(100 - range.min));
        }
    }
}
