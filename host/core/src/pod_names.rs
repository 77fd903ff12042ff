//! Names of a ReplicaSet's pods, as the API server generates them from `<ReplicaSet>-` (`k8s.io/apiserver/pkg/storage/names`).

/// Longest prefix of a generated name: 63 characters, the maximum of a label, less the random suffix.
const KEPT_CHARS: usize = 58;
const RANDOM_CHARS: usize = 5;

/// A pod of this name may belong to the ReplicaSet. The answer is certain unless the name [is cut](is_cut).
#[must_use]
pub fn may_be_of(pod: &str, workload: &str) -> bool {
    let prefix: String = format!("{workload}-").chars().take(KEPT_CHARS).collect();
    pod.strip_prefix(&prefix).is_some_and(|random| random.chars().count() == RANDOM_CHARS)
}

/// The ReplicaSet's name is cut in the names of its pods, so several ReplicaSets may have the same prefix.
#[must_use]
pub fn is_cut(workload: &str) -> bool {
    workload.chars().count() >= KEPT_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_after_its_replica_set_and_five_random_characters() {
        let answers = ["web-abc-x2x4x", "web-abc-def-x2x4x", "web-ab-x2x4x"].map(|pod| may_be_of(pod, "web-abc"));

        assert_eq!(answers, [true, false, false]);
    }

    #[test]
    fn of_a_long_name_a_pod_keeps_58_characters() {
        let (longest, longer) = ("a".repeat(57), "a".repeat(58));

        assert!(may_be_of(&format!("{longest}-x2x4x"), &longest) && !is_cut(&longest));
        assert!(may_be_of(&format!("{longer}x2x4x"), &longer) && is_cut(&longer));
    }
}
