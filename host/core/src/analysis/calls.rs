//! Which metrics are to be measured now, and when the next is.

use jiff::{SignedDuration, Timestamp};
use kulta_api::AnalysisPhase;
use kulta_api::analysis::{AnalysisRun, AnalysisRunStatus, Measurement, MetricResult};

use super::check::{Checked, CheckedMetric};
use super::memory::{self, UnreadableMemory};
use crate::time;

/// From a measurement that was an error to the next one, whatever the interval is.
pub const ERROR_RETRY_MILLIS: u64 = 10_000;

/// The API keeps whole seconds: a shorter interval would be over before it began, and begin again at once.
const SHORTEST_INTERVAL_MILLIS: u64 = 1_000;

/// What is to be asked of analyzers.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Now when the run has not begun.
    pub run_started_at: Timestamp,
    /// In the order of the spec.
    pub calls: Vec<Call>,
    /// When to look again at what is not due yet.
    pub wake_up: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// A new measurement.
    Measure,
    /// One that was told to wait.
    Resume,
    /// The run is over; cancel what was told to wait.
    Terminate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub metric: String,
    pub kind: CallKind,
    /// 1 for the first measurement; one that was an error is taken again under its number.
    pub number: u32,
    /// Like `number`, but errors count: never the same for two measurements of a metric.
    pub attempt: u32,
    /// `count` says that none follows.
    pub last: bool,
    /// What the analyzer last remembered of this metric; unreadable memory is to be answered as [`super::Outcome::Errored`].
    pub memory: Result<Vec<u8>, UnreadableMemory>,
    /// Of this measurement.
    pub started_at: Timestamp,
}

/// What to measure, resume and terminate at this time. Says the same again for the same status.
#[must_use]
pub fn due(run: &AnalysisRun, checked: &Checked, now: Timestamp) -> Due {
    let none = AnalysisRunStatus::default();
    of_status(run.status.as_ref().unwrap_or(&none), run.spec.terminate, checked, now)
}

/// As [`due`], for a status that is not stored yet.
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

/// Somebody asked for the end, or a metric that counts has ended badly: what is left is not measured any more.
pub(super) fn is_terminating(status: &AnalysisRunStatus, terminate: bool) -> bool {
    let bad = |phase| matches!(phase, AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive);
    terminate || status.metric_results.iter().any(|result| !result.dry_run && bad(result.phase))
}

/// The measurement that was told to wait.
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

/// Milliseconds later; the same time should it lie beyond what can be told.
fn later(from: Timestamp, millis: u64) -> Timestamp {
    let wait = SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    from.checked_add(wait).unwrap_or(from)
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
