//! Names of the Jobs that metrics of the provider `job` make. Source: Argo Rollouts, `metricproviders/job/job.go`, `newJobName`; Argo
//! gives the metric's name on as it is, and has no Job where that makes no valid name.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest name of a Job. The API server writes it into a label of the Job's pods, whose value has 63 characters at most.
const NAME_LENGTH: usize = 63;
/// Hex characters that tell metrics apart whose names are not in their Jobs' names as they are.
const HASH_LENGTH: usize = 8;

/// `<uid of the run>.<metric>.<attempt>`, as Argo has it. A metric's name that does not fit, or holds what a Job's name must not, is
/// cut to what may stand there and ends in a hash of the whole.
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

/// Whether this may stand between two dots of an object's name.
fn is_label(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.chars().all(|one| allowed(one) == one)
}

/// The character itself in lower case, or a dash in the place of one that no name may have.
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
    fn a_metrics_name_that_fits_is_in_the_jobs_name_as_it_is() {
        assert_eq!(job_name(UID, "smoke-v1.2", 2), format!("{UID}.smoke-v1.2.2"));
    }

    #[test]
    fn a_name_that_must_not_stand_in_a_jobs_name_is_still_recognised() {
        let name = job_name(UID, "Smoke Test_1", 1);

        assert!(name.starts_with(&format!("{UID}.smoke-test-1-")) && is_valid(&name), "{name}");
    }

    #[test]
    fn metrics_whose_names_are_nearly_the_same_have_different_jobs() {
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
        fn every_metrics_name_makes_a_valid_jobs_name(metric in ".{1,300}", attempt in 1..u32::MAX) {
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
