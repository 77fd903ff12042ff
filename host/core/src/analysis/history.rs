//! Which runs can be deleted.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kulta_api::analysis::{AnalysisHistory, AnalysisRun};
use kulta_api::{AnalysisPhase, annotations};

/// Limit that applies if the rollout sets none.
const DEFAULT_LIMIT: usize = 5;

/// How many ended runs of a rollout are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    pub successful: usize,
    /// Limit for failed, inconclusive and errored runs together.
    pub unsuccessful: usize,
}

impl HistoryLimits {
    /// A negative limit counts as 0.
    #[must_use]
    pub fn of(history: Option<&AnalysisHistory>) -> Self {
        let limit = |given: Option<i32>| given.map_or(DEFAULT_LIMIT, |given| usize::try_from(given).unwrap_or(0));
        Self {
            successful: limit(history.and_then(|history| history.successful_run_history_limit)),
            unsuccessful: limit(history.and_then(|history| history.unsuccessful_run_history_limit)),
        }
    }
}

/// The runs of a rollout to delete: those whose revision no longer exists, and the oldest ended runs beyond the limits. `runs`
/// leaves out the runs that the rollout waits for. `hashes` are the pod template hashes of the ReplicaSets that exist and are not
/// being deleted.
#[must_use]
pub fn to_delete<'a>(
    runs: &[&'a AnalysisRun],
    hashes: &BTreeSet<String>,
    limits: HistoryLimits,
) -> Vec<&'a AnalysisRun> {
    let mut newest_first: Vec<_> = runs.iter().filter(|run| run.metadata.deletion_timestamp.is_none()).collect();
    newest_first.sort_by_key(|run| {
        let created = run.metadata.creation_timestamp.as_ref().map(|time| time.0);
        std::cmp::Reverse((created, run.metadata.name.as_deref()))
    });
    let (mut successful, mut unsuccessful) = (limits.successful, limits.unsuccessful);
    let mut delete = Vec::new();
    for run in newest_first {
        let hash = run.metadata.labels.as_ref().and_then(|labels| labels.get(annotations::POD_TEMPLATE_HASH));
        let left = match run.status.as_ref().and_then(|status| status.phase) {
            Some(AnalysisPhase::Successful) => Some(&mut successful),
            Some(phase) if phase.is_completed() => Some(&mut unsuccessful),
            _ => None,
        };
        let kept = hash.is_some_and(|hash| hashes.contains(hash))
            && match left {
                None => true,
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
            };
        if !kept {
            delete.push(*run);
        }
    }
    delete
}

/// When an ended run is deleted, by its `ttlStrategy`.
#[must_use]
pub fn expires(run: &AnalysisRun) -> Option<Timestamp> {
    let status = run.status.as_ref()?;
    let strategy = run.spec.ttl_strategy.as_ref()?;
    let own = match status.phase.filter(|phase| phase.is_completed())? {
        AnalysisPhase::Successful => strategy.seconds_after_success,
        AnalysisPhase::Failed => strategy.seconds_after_failure,
        _ => None,
    };
    let seconds = own.or(strategy.seconds_after_completion)?;
    let completed = status.completed_at.as_ref()?.0;
    completed.checked_add(SignedDuration::from_secs(i64::from(seconds.max(0)))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A run created at that second.
    fn created_run(name: &str, second: i64, hash: &str, phase: &str) -> AnalysisRun {
        let created = crate::time::floor(Timestamp::from_second(second).unwrap());
        serde_json::from_value(json!({
            "metadata": { "name": name, "creationTimestamp": created, "labels": { "rollouts-pod-template-hash": hash } },
            "spec": {},
            "status": { "phase": phase },
        }))
        .unwrap()
    }

    fn deleted(runs: &[AnalysisRun], successful: usize, unsuccessful: usize) -> Vec<String> {
        let hashes = BTreeSet::from(["there".to_owned()]);
        to_delete(&runs.iter().collect::<Vec<_>>(), &hashes, HistoryLimits { successful, unsuccessful })
            .into_iter()
            .map(|run| run.metadata.name.clone().unwrap())
            .collect()
    }

    #[test]
    fn the_oldest_runs_beyond_each_limit_are_deleted() {
        let runs = [
            created_run("a", 1, "there", "Successful"),
            created_run("b", 2, "there", "Failed"),
            created_run("c", 3, "there", "Error"),
            created_run("d", 4, "there", "Successful"),
            created_run("e", 5, "there", "Inconclusive"),
            created_run("f", 0, "there", "Running"),
        ];

        assert_eq!(deleted(&runs, 1, 2), ["b", "a"]);
        assert_eq!(deleted(&runs, 2, 3), Vec::<String>::new());
        assert_eq!(deleted(&runs, 0, 0), ["e", "d", "c", "b", "a"]);
    }

    #[test]
    fn runs_of_a_revision_that_no_longer_exists_are_deleted_in_any_phase() {
        let mut unlabelled = created_run("c", 3, "there", "Running");
        unlabelled.metadata.labels = None;
        let runs = [created_run("a", 1, "gone", "Running"), created_run("b", 2, "gone", "Successful"), unlabelled];

        assert_eq!(deleted(&runs, 5, 5), ["c", "b", "a"]);
    }

    #[test]
    fn a_run_that_is_being_deleted_is_neither_counted_nor_deleted_again() {
        let mut leaving = created_run("b", 2, "there", "Successful");
        leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
        let runs = [created_run("a", 1, "there", "Successful"), leaving];

        assert_eq!(deleted(&runs, 1, 1), Vec::<String>::new());
    }

    #[test]
    fn limits_have_defaults() {
        let history = AnalysisHistory { successful_run_history_limit: Some(0), unsuccessful_run_history_limit: None };

        assert_eq!(HistoryLimits::of(None), HistoryLimits { successful: 5, unsuccessful: 5 });
        assert_eq!(HistoryLimits::of(Some(&history)), HistoryLimits { successful: 0, unsuccessful: 5 });
    }

    #[test]
    fn an_ended_run_expires_by_its_outcome() {
        let all = json!({ "secondsAfterCompletion": 1, "secondsAfterFailure": 2, "secondsAfterSuccess": 3 });
        for (ttl, phase, seconds) in [
            (&all, "Successful", Some(3)),
            (&all, "Failed", Some(2)),
            (&all, "Error", Some(1)),
            (&all, "Inconclusive", Some(1)),
            (&all, "Running", None),
            (&json!({ "secondsAfterCompletion": 1 }), "Failed", Some(1)),
            (&json!({ "secondsAfterSuccess": 3 }), "Failed", None),
            (&Value::Null, "Failed", None),
        ] {
            let run: AnalysisRun = serde_json::from_value(json!({
                "metadata": {},
                "spec": { "ttlStrategy": ttl },
                "status": { "phase": phase, "completedAt": "1970-01-01T00:01:40Z" },
            }))
            .unwrap();

            let expires = expires(&run).map(|time| time.as_second() - 100);

            assert_eq!(expires, seconds, "{ttl} {phase}");
        }
    }

    #[test]
    fn a_run_without_a_completion_time_does_not_expire() {
        let run: AnalysisRun = serde_json::from_value(json!({
            "metadata": {}, "spec": { "ttlStrategy": { "secondsAfterCompletion": 1 } }, "status": { "phase": "Failed" },
        }))
        .unwrap();

        assert_eq!(expires(&run), None);
    }
}
