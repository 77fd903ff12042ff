//! A measurement that was taken, and how it is recorded in the metric's result.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kulta_api::AnalysisPhase;
use kulta_api::analysis::{Measurement, MetricResult};

use super::calls::{self, Call, CallKind};
use super::memory::{self, MEMORY_KEY};
use super::size;
use crate::time;

/// Message of a cancelled measurement, as in Argo.
pub(super) const TERMINATED: &str = "Metric Terminated";
/// An analyzer is resumed no earlier than this many seconds after it was called.
const MIN_WAIT_SECONDS: i64 = 1;

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub metric: String,
    pub kind: CallKind,
    pub attempt: u32,
    pub started_at: Timestamp,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A value that the caller has evaluated with the metric's conditions ([`super::judge`]).
    Measured {
        /// The value as JSON.
        value: String,
        phase: AnalysisPhase,
        message: String,
        metadata: BTreeMap<String, String>,
        memory: Vec<u8>,
    },
    /// The analyzer's own verdict.
    Judged {
        verdict: Verdict,
        /// The metric ends with this verdict, whatever its count and limits are.
        settles: bool,
        value: String,
        metadata: BTreeMap<String, String>,
        /// Explanation for users. It may be empty.
        reason: String,
        memory: Vec<u8>,
    },
    /// The analyzer is to be called again at `until`.
    Waiting { until: Timestamp, metadata: BTreeMap<String, String>, memory: Vec<u8> },
    /// The measurement failed. The stored memory stays as it is.
    Errored { message: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail(String),
    Inconclusive(String),
}

impl Call {
    #[must_use]
    pub fn taken(&self, outcome: Outcome) -> Taken {
        Taken {
            metric: self.metric.clone(),
            kind: self.kind,
            attempt: self.attempt,
            started_at: self.started_at,
            outcome,
        }
    }
}

/// The result with this measurement recorded and counted. `None` if the measurement is not the one that is due, for example
/// because it is already stored.
pub(super) fn record(
    result: Option<&MetricResult>,
    taken: Taken,
    dry_run: bool,
    now: Timestamp,
) -> Option<MetricResult> {
    let waiting = calls::in_flight(result);
    let expected = calls::attempt(result) == taken.attempt && waiting.is_some() != (taken.kind == CallKind::Measure);
    if !expected || result.is_some_and(|result| result.phase.is_completed()) {
        return None;
    }
    let begun = waiting.cloned();
    let mut result = result.cloned().unwrap_or_else(|| MetricResult::new(&taken.metric, dry_run));
    let kept = result.measurements.last_mut().and_then(|last| last.metadata.remove(MEMORY_KEY));
    if begun.is_some() {
        result.measurements.pop();
    }
    let settled = settles(&taken.outcome);
    let measurement = measurement(begun, kept, taken, now);
    if measurement.finished_at.is_some() {
        count(&mut result, measurement.phase);
    }
    if settled {
        result.phase = measurement.phase;
        result.message.clone_from(&measurement.message);
    }
    result.measurements.push(measurement);
    Some(result)
}

fn settles(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Judged { settles: true, .. })
}

/// `kept` is the stored memory, as base64.
fn measurement(begun: Option<Measurement>, kept: Option<String>, taken: Taken, now: Timestamp) -> Measurement {
    let started_at = begun.as_ref().and_then(|begun| begun.started_at.clone());
    let mut measurement = Measurement {
        phase: AnalysisPhase::Running,
        message: String::new(),
        started_at: started_at.or_else(|| Some(time::floor(taken.started_at))),
        finished_at: Some(time::floor(now)),
        value: String::new(),
        metadata: begun.map(|begun| begun.metadata).unwrap_or_default(),
        resume_at: None,
    };
    measurement.metadata.remove(MEMORY_KEY);
    let terminate = taken.kind == CallKind::Terminate;
    match taken.outcome {
        Outcome::Measured { value, phase, message, metadata, memory } => {
            measurement.phase = phase;
            measurement.message = message;
            measurement.value = value;
            measurement.metadata.extend(metadata);
            memory::write(&mut measurement.metadata, &memory);
        }
        Outcome::Judged { verdict, value, metadata, reason, memory, .. } => {
            (measurement.phase, measurement.message) = phase_and_message(verdict, reason);
            measurement.value = value;
            measurement.metadata.extend(metadata);
            memory::write(&mut measurement.metadata, &memory);
        }
        Outcome::Waiting { metadata, memory, .. } if terminate => {
            measurement.phase = AnalysisPhase::Successful;
            measurement.metadata.extend(metadata);
            memory::write(&mut measurement.metadata, &memory);
        }
        Outcome::Waiting { until, metadata, memory } => {
            measurement.metadata.extend(metadata);
            let soonest = now.checked_add(SignedDuration::from_secs(MIN_WAIT_SECONDS)).unwrap_or(now);
            measurement.finished_at = None;
            measurement.resume_at = Some(time::ceil(until.max(soonest)));
            memory::write(&mut measurement.metadata, &memory);
        }
        Outcome::Errored { message } => {
            measurement.phase = AnalysisPhase::Error;
            measurement.message = message;
            measurement.metadata.extend(kept.map(|kept| (MEMORY_KEY.to_owned(), kept)));
        }
    }
    if terminate && measurement.phase == AnalysisPhase::Successful {
        TERMINATED.clone_into(&mut measurement.message);
    }
    size::shorten(&mut measurement);
    measurement
}

fn phase_and_message(verdict: Verdict, reason: String) -> (AnalysisPhase, String) {
    let (phase, text) = match verdict {
        Verdict::Pass => (AnalysisPhase::Successful, String::new()),
        Verdict::Fail(text) => (AnalysisPhase::Failed, text),
        Verdict::Inconclusive(text) => (AnalysisPhase::Inconclusive, text),
    };
    let message = match (text.is_empty(), reason.is_empty()) {
        (true, _) => reason,
        (false, true) => text,
        (false, false) if text == reason => text,
        (false, false) => format!("{text}: {reason}"),
    };
    (phase, message)
}

fn count(result: &mut MetricResult, phase: AnalysisPhase) {
    let kind = match phase {
        AnalysisPhase::Successful => &mut result.successful,
        AnalysisPhase::Failed => &mut result.failed,
        AnalysisPhase::Inconclusive => &mut result.inconclusive,
        AnalysisPhase::Error => &mut result.error,
        AnalysisPhase::Pending | AnalysisPhase::Running => return,
    };
    *kind = kind.saturating_add(1);
    if phase == AnalysisPhase::Error {
        result.consecutive_error = result.consecutive_error.saturating_add(1);
    } else {
        result.count = result.count.saturating_add(1);
        result.consecutive_error = 0;
    }
    result.consecutive_success =
        if phase == AnalysisPhase::Successful { result.consecutive_success.saturating_add(1) } else { 0 };
}
