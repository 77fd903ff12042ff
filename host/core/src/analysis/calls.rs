//! Which metrics are due now, and when the next one is due.

use jiff::{SignedDuration, Timestamp};
use kulta_api::AnalysisPhase;
use kulta_api::analysis::{AnalysisRun, AnalysisRunStatus, Measurement, MetricResult};

use super::check::{Checked, CheckedMetric};
use super::memory::{self, UnreadableMemory};
use crate::time;

/// Wait after a measurement that ended in an error, whatever the interval is.
pub const ERROR_RETRY_MILLIS: u64 = 10_000;

/// The API stores whole seconds, so a shorter interval would be over at once.
const SHORTEST_INTERVAL_MILLIS: u64 = 1_000;

/// The calls of analyzers that are due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Start of the run. It is `now` if the run has not started.
    pub run_started_at: Timestamp,
    /// Calls in the order of the spec's metrics.
    pub calls: Vec<Call>,
    /// When the next call is due, if one is not due yet.
    pub wake_up: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Starts a new measurement.
    Measure,
    /// Resumes a measurement whose analyzer answered "wait".
    Resume,
    /// Cancels a measurement that waits, because the run is over.
    Terminate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub metric: String,
    pub kind: CallKind,
    /// Number of the measurement, from 1. A measurement that ended in an error is repeated under the same number.
    pub number: u32,
    /// Like `number`, but errors count too, so two measurements of a metric never have the same `attempt`.
    pub attempt: u32,
    /// No measurement follows, by `count`.
    pub last: bool,
    /// Memory that the analyzer last returned for this metric. The caller answers unreadable memory with
    /// [`super::Outcome::Errored`].
    pub memory: Result<Vec<u8>, UnreadableMemory>,
    /// Start of this measurement.
    pub started_at: Timestamp,
}

/// The calls to measure, resume and terminate at this time. The same status gives the same calls.
#[must_use]
pub fn due(run: &AnalysisRun, checked: &Checked, now: Timestamp) -> Due {
    let none = AnalysisRunStatus::default();
    of_status(run.status.as_ref().unwrap_or(&none), run.spec.terminate, checked, now)
}

/// Like [`due`], for a status that is not stored yet.
pub(super) fn of_status(status: &AnalysisRunStatus, terminate: bool, checked: &Checked, now: Timestamp) -> Due {
    let started = status.started_at.as_ref().map_or(now, |time| time.0);
    let mut due = Due { run_started_at: started, calls: Vec::new(), wake_up: None };
    if status.is_completed() {
        return due;
    }
    let terminating = is_terminating(status, terminate);
    for metric in &checked.metrics {
        let result = status.result(&metric.metric.name);
        match next(metric, result, terminating, started) {
            None => {}
            Some(next) if next.at > now => due.wake_up = time::earlier(due.wake_up, Some(next.at)),
            Some(next) => due.calls.push(call(metric, result, next.kind, now)),
        }
    }
    due
}

/// Termination was requested, or a metric that counts has ended badly. No further measurement starts.
pub(super) fn is_terminating(status: &AnalysisRunStatus, terminate: bool) -> bool {
    let bad = |phase| matches!(phase, AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive);
    terminate || status.metric_results.iter().any(|result| !result.dry_run && bad(result.phase))
}

/// The measurement whose analyzer answered "wait".
pub(super) fn in_flight(result: Option<&MetricResult>) -> Option<&Measurement> {
    result?.measurements.last().filter(|last| last.finished_at.is_none())
}

pub(super) fn attempt(result: Option<&MetricResult>) -> u32 {
    let taken = result.map_or(0, |result| result.count.saturating_add(result.error));
    u32::try_from(taken).unwrap_or(0).saturating_add(1)
}

struct Next {
    kind: CallKind,
    at: Timestamp,
}

fn next(metric: &CheckedMetric, result: Option<&MetricResult>, terminating: bool, started: Timestamp) -> Option<Next> {
    if result.is_some_and(|result| result.phase.is_completed()) {
        return None;
    }
    if let Some(waiting) = in_flight(result) {
        let resume = waiting.resume_at.as_ref().map_or(Timestamp::MIN, |time| time.0);
        return Some(if terminating {
            Next { kind: CallKind::Terminate, at: Timestamp::MIN }
        } else {
            Next { kind: CallKind::Resume, at: resume }
        });
    }
    if terminating {
        return None;
    }
    let measure = |at| Some(Next { kind: CallKind::Measure, at });
    let Some((result, last)) = result.and_then(|result| Some((result, result.measurements.last()?))) else {
        return measure(later(started, metric.initial_delay));
    };
    if metric.limits.count.is_some_and(|count| result.count >= count) {
        return None;
    }
    let wait = match metric.interval {
        Some(interval) if last.phase != AnalysisPhase::Error => interval.max(SHORTEST_INTERVAL_MILLIS),
        _ => ERROR_RETRY_MILLIS,
    };
    let finished = last.finished_at.as_ref().map_or(started, |time| time.0);
    measure(later(finished, wait))
}

fn call(metric: &CheckedMetric, result: Option<&MetricResult>, kind: CallKind, now: Timestamp) -> Call {
    let counted = result.map_or(0, |result| result.count);
    let number = u32::try_from(counted).unwrap_or(0).saturating_add(1);
    let begun = in_flight(result).and_then(|waiting| waiting.started_at.as_ref()).map(|time| time.0);
    Call {
        metric: metric.metric.name.clone(),
        kind,
        number,
        attempt: attempt(result),
        last: metric.limits.count.is_some_and(|count| counted.saturating_add(1) >= count),
        memory: memory::read(result),
        started_at: begun.unwrap_or(now),
    }
}

/// The time `millis` later. The time stays the same if the result is out of range.
fn later(from: Timestamp, millis: u64) -> Timestamp {
    let wait = SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    from.checked_add(wait).unwrap_or(from)
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
