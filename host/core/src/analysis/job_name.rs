//! Names of the Jobs that metrics of the provider `job` create. Source: Argo Rollouts, `metricproviders/job/job.go`,
//! `newJobName`. Argo uses the metric's name unchanged, so it creates no Job if the result is not a valid name.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest name of a Job. The Job controller writes it into a pod label, whose value has at most 63 characters.
const NAME_LENGTH: usize = 63;
/// Number of hex characters that make a shortened or changed metric name unique.
const HASH_LENGTH: usize = 8;

/// `<uid of the run>.<metric>.<attempt>`, as in Argo. A metric name that is too long, or has characters that a Job's name cannot
/// have, is replaced by its valid part and a hash of the whole name.
#[must_use]
pub fn job_name(run_uid: &str, metric: &str, attempt: u32) -> String {
    let of = |metric: &str| format!("{run_uid}.{metric}.{attempt}");
    let plain = of(metric);
    if plain.len() <= NAME_LENGTH && metric.split('.').all(is_label) {
        return plain;
    }
    let room = NAME_LENGTH.saturating_sub(of("-").len() + HASH_LENGTH);
    let cut: String = metric.chars().map(allowed).take(room).collect();
    match cut.trim_matches('-') {
        "" => of(&hash(metric)),
        cut => of(&format!("{cut}-{}", hash(metric))),
    }
}

/// The text is a valid part between two dots of an object's name.
fn is_label(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.chars().all(|one| allowed(one) == one)
}

/// The character in lower case, or a dash if names cannot contain it.
fn allowed(character: char) -> char {
    if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' }
}

fn hash(metric: &str) -> String {
    let mut hex = String::with_capacity(HASH_LENGTH);
    for byte in Sha256::digest(metric.as_bytes()).iter().take(HASH_LENGTH / 2) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const UID: &str = "6b9bd2a7-1c51-4a0c-8a4e-cf6b5a2d3f10";

    fn is_valid(name: &str) -> bool {
        let alphanumeric = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let part = |part: &str| {
            part.starts_with(alphanumeric)
                && part.ends_with(alphanumeric)
                && part.chars().all(|character| alphanumeric(character) || character == '-')
        };
        name.len() <= 63 && name.split('.').all(part)
    }

    #[test]
    fn a_valid_metric_name_is_part_of_the_job_name_unchanged() {
        assert_eq!(job_name(UID, "smoke-v1.2", 2), format!("{UID}.smoke-v1.2.2"));
    }

    #[test]
    fn an_invalid_metric_name_stays_recognisable_in_the_job_name() {
        let name = job_name(UID, "Smoke Test_1", 1);

        assert!(name.starts_with(&format!("{UID}.smoke-test-1-")) && is_valid(&name), "{name}");
    }

    #[test]
    fn metrics_with_similar_names_have_different_jobs() {
        let names = [
            "service-endpoint-is-reachable-from-inside-the-cluster-a",
            "service-endpoint-is-reachable-from-inside-the-cluster-b",
            "smoke",
            "Smoke",
            "smoke_1",
            "smoke 1",
            "smoke-1",
            "…",
            "-",
        ];

        let jobs: BTreeSet<_> = names.iter().map(|name| job_name(UID, name, 1)).collect();

        assert_eq!(jobs.len(), names.len(), "{jobs:?}");
    }

    proptest! {
        #[test]
        fn every_metric_name_gives_a_valid_job_name(metric in ".{1,300}", attempt in 1..u32::MAX) {
            let name = job_name(UID, &metric, attempt);

            prop_assert!(is_valid(&name), "{}", name);
        }

        #[test]
        fn each_attempt_has_its_own_job(metric in "[a-z]{20,30}", one in 1..u32::MAX, other in 1..u32::MAX) {
            prop_assume!(one != other);

            prop_assert_ne!(job_name(UID, &metric, one), job_name(UID, &metric, other));
        }
    }
}
