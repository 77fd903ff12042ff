//! `maxSurge`, `maxUnavailable` and `replicaProgressThreshold`, in pods.

use kulta_api::strategy::ReplicaProgressThreshold;
use kulta_api::{CanaryFields, IntOrString, ProgressThreshold};

/// Default of both limits in percent, as in Argo.
const DEFAULT_PERCENT: u32 = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pods that may exist beyond `spec.replicas`.
    pub surge: u32,
    /// Pods that may be missing from `spec.replicas`.
    pub unavailable: u32,
}

impl Limits {
    /// Surge rounds up, unavailable rounds down. If both are 0, one pod may be unavailable, because otherwise no pod could be
    /// replaced.
    #[must_use]
    pub fn of(fields: &CanaryFields, replicas: u32) -> Self {
        let surge = resolve(fields.max_surge.as_ref(), replicas, true);
        let unavailable = resolve(fields.max_unavailable.as_ref(), replicas, false);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { surge, unavailable: unavailable.min(replicas) }
    }
}

fn resolve(value: Option<&IntOrString>, replicas: u32, round_up: bool) -> u32 {
    let percent = match value {
        Some(IntOrString::Int(pods)) => return u32::try_from(*pods).unwrap_or(0),
        Some(IntOrString::String(text)) => text.trim_end_matches('%').trim().parse().unwrap_or(0),
        None => DEFAULT_PERCENT,
    };
    let parts = u64::from(replicas) * u64::from(percent);
    let pods = if round_up { parts.div_ceil(100) } else { parts / 100 };
    u32::try_from(pods).unwrap_or(u32::MAX)
}

/// Number of available pods, of `desired`, at which a side counts as available.
#[must_use]
pub fn needed_available(threshold: Option<&ReplicaProgressThreshold>, desired: u32) -> u32 {
    match threshold.and_then(ReplicaProgressThreshold::threshold).unwrap_or(ProgressThreshold::ALL) {
        ProgressThreshold::Pods(pods) => pods.min(desired),
        ProgressThreshold::Percent(percent) => super::share_of(desired, percent.min(100), 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(surge: Option<IntOrString>, unavailable: Option<IntOrString>, replicas: u32) -> (u32, u32) {
        let fields = CanaryFields { max_surge: surge, max_unavailable: unavailable, ..CanaryFields::default() };
        let limits = Limits::of(&fields, replicas);
        (limits.surge, limits.unavailable)
    }

    fn percent(text: &str) -> Option<IntOrString> {
        Some(IntOrString::String(text.into()))
    }

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        assert_eq!(limits(None, None, 10), (3, 2));
    }

    #[test]
    fn one_pod_may_be_unavailable_if_both_limits_are_zero() {
        assert_eq!(limits(percent("0%"), percent("10%"), 2), (0, 1));
    }

    #[test]
    fn numbers_are_pods() {
        assert_eq!(limits(Some(IntOrString::Int(4)), Some(IntOrString::Int(0)), 10), (4, 0));
    }

    #[test]
    fn nothing_is_unavailable_of_zero_replicas() {
        assert_eq!(limits(Some(IntOrString::Int(0)), Some(IntOrString::Int(1)), 0), (0, 0));
    }

    #[test]
    fn a_threshold_says_how_many_available_pods_are_enough() {
        let threshold = |kind: &str, value| ReplicaProgressThreshold { kind: kind.into(), value };

        let needed = [
            needed_available(None, 10),
            needed_available(Some(&threshold("Percent", 75)), 10),
            needed_available(Some(&threshold("Pods", 3)), 10),
            needed_available(Some(&threshold("Pod", 3)), 10),
            needed_available(Some(&threshold("Pods", 30)), 10),
            needed_available(Some(&threshold("Percent", -1)), 10),
        ];

        assert_eq!(needed, [10, 8, 3, 3, 10, 10]);
    }
}
