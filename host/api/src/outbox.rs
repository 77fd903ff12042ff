//! Transitions whose CDEvent is not delivered yet. An entry is small (at most [`ENTRY_BYTES`]); the event itself is
//! built at delivery.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kulta_status::{FailureKind, KultaStatus};

/// Limit of entries: an outbox of 128 entries of 256 bytes adds 32 KiB to an object, far below etcd's 1.5 MiB.
pub const OUTBOX_LENGTH: usize = 128;
/// Size of one entry as JSON, in bytes.
pub const ENTRY_BYTES: usize = 256;
/// Characters of a name in an entry, so that it stays within [`ENTRY_BYTES`] even if each takes two bytes of JSON.
pub const NAME_CHARS: usize = 32;

/// One stored transition. Keys are short, because every status patch may write up to [`OUTBOX_LENGTH`] of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxEntry {
    pub seq: u64,
    pub kind: TransitionKind,
    pub at: Time,
    /// Pod template hash of the revision that the transition is about.
    pub hash: String,
    /// The revision's number at that time; a rollback to the revision gives it another number.
    #[serde(rename = "rev", default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Pod template hash of the stable revision at that time; absent before the first promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// Index of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Number of steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// The canary's share, in parts of the maximum weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The share before this transition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// Name of the transition's analysis run, without the prefix `<rollout>-<hash>-`; at most [`NAME_CHARS`]
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's metric; at most [`NAME_CHARS`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Sequence of the transition that caused this one: the end of the failed analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The reason, for users; as many characters as fit into [`ENTRY_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Sequence of the transition that began this revision.
    pub first: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TransitionKind {
    Started,
    Progressed,
    Paused,
    Resumed,
    Promoted,
    Finished,
    /// A first revision serves.
    ServiceDeployed,
    /// A later revision replaced the one before.
    ServiceUpgraded,
    /// Traffic had reached the canary; stable is restored.
    ServiceRolledBack,
    /// An analysis run begins.
    AnalysisStarted,
    /// A metric of a run has its result.
    MetricFinished,
    /// A run has its result, or the rollout went on without it.
    AnalysisFinished,
}

impl TransitionKind {
    /// True for frequent events, which are dropped first if the outbox is full.
    const fn is_detail(self) -> bool {
        matches!(self, Self::Progressed | Self::MetricFinished)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    Failure,
    Cancel,
    Error,
}

impl Outcome {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancel => "cancel",
            Self::Error => "error",
        }
    }
}

impl OutboxEntry {
    fn shorten(&mut self) {
        self.why = self.why.take().map(|why| why.chars().take(ENTRY_BYTES).collect());
        while self.bytes() > ENTRY_BYTES && self.why.as_mut().is_some_and(|why| why.pop().is_some()) {}
    }

    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

impl KultaStatus {
    /// Stores a transition under the next sequence number. If the outbox is full, the oldest `progressed` or
    /// `metricFinished` entry is dropped and counted; without one, the oldest entry is.
    pub fn store(&mut self, build: impl FnOnce(u64, u64) -> OutboxEntry) -> u64 {
        self.sequence += 1;
        let mut entry = build(self.sequence, self.revision_sequence);
        if entry.kind == TransitionKind::Started {
            self.revision_sequence = entry.seq;
            entry.first = entry.seq;
        }
        for name in [&mut entry.run, &mut entry.metric] {
            *name = name.take().map(|name| name.chars().take(NAME_CHARS).collect());
        }
        entry.shorten();
        self.outbox.push(entry);
        while self.outbox.len() > OUTBOX_LENGTH {
            let oldest = self.outbox.iter().position(|entry| entry.kind.is_detail()).unwrap_or(0);
            self.outbox.remove(oldest);
            self.dropped += 1;
        }
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: TransitionKind) -> impl FnOnce(u64, u64) -> OutboxEntry {
        move |seq, first| OutboxEntry {
            seq,
            kind,
            at: Time(k8s_openapi::jiff::Timestamp::from_second(1_800_000_000).unwrap()),
            hash: "7c9d8b6f5d".into(),
            revision: Some(1_000),
            stable: Some("66d5c4b7f9".into()),
            step: Some(31),
            steps: Some(32),
            weight: Some(1_000),
            from: Some(999),
            outcome: Some(Outcome::Success),
            failure: Some(FailureKind::Deployment),
            run: None,
            metric: None,
            cause: Some(999_999),
            why: Some("\"".repeat(500)),
            first,
        }
    }

    fn run_entry(kind: TransitionKind) -> impl FnOnce(u64, u64) -> OutboxEntry {
        move |seq, first| OutboxEntry {
            stable: None,
            steps: None,
            weight: None,
            from: None,
            failure: None,
            run: Some("1000-31.2".into()),
            metric: Some("\"".repeat(500)),
            cause: None,
            ..entry(kind)(seq, first)
        }
    }

    #[test]
    fn the_largest_entry_fits_the_promised_size() {
        let mut status = KultaStatus { sequence: 1_000_000, ..KultaStatus::default() };

        status.store(entry(TransitionKind::ServiceRolledBack));
        status.store(run_entry(TransitionKind::MetricFinished));

        for entry in &status.outbox {
            let bytes = serde_json::to_vec(entry).unwrap().len();
            assert!(bytes <= ENTRY_BYTES, "{bytes} bytes: {entry:?}");
        }
    }

    #[test]
    fn a_short_reason_is_stored_completely() {
        let mut status = KultaStatus::default();
        let why = "Metric \"success-rate\" assessed Failed due to failed (1) > failureLimit (0)";

        status.store(|seq, first| OutboxEntry {
            step: None,
            steps: None,
            weight: None,
            from: None,
            revision: Some(12),
            outcome: Some(Outcome::Failure),
            failure: Some(FailureKind::Analysis),
            cause: Some(1_041),
            why: Some(why.into()),
            ..entry(TransitionKind::Finished)(seq, first)
        });

        assert_eq!(status.outbox[0].why.as_deref(), Some(why));
    }

    #[test]
    fn the_result_of_a_metric_is_dropped_before_that_of_its_run() {
        let mut status = KultaStatus::default();
        status.store(run_entry(TransitionKind::AnalysisFinished));
        for _ in 0..OUTBOX_LENGTH {
            status.store(run_entry(TransitionKind::MetricFinished));
        }

        assert_eq!((status.outbox[0].kind, status.outbox[1].seq), (TransitionKind::AnalysisFinished, 3));
    }

    #[test]
    fn a_full_outbox_drops_the_oldest_progressed_entry_and_counts_it() {
        let mut status = KultaStatus::default();
        status.store(entry(TransitionKind::Started));
        for _ in 0..OUTBOX_LENGTH {
            status.store(entry(TransitionKind::Progressed));
        }

        assert_eq!(
            (status.outbox.len(), status.dropped, status.outbox[0].kind, status.outbox[1].seq),
            (OUTBOX_LENGTH, 1, TransitionKind::Started, 3)
        );
    }

    #[test]
    fn entries_of_a_revision_name_the_transition_that_began_it() {
        let mut status = KultaStatus { sequence: 6, ..KultaStatus::default() };

        status.store(entry(TransitionKind::Started));
        status.store(entry(TransitionKind::Progressed));

        assert_eq!(status.outbox.iter().map(|entry| entry.first).collect::<Vec<_>>(), [7, 7]);
    }
}
