//! Computes the run's status from measurements (`reference/argo-rollouts.md` section 1.6, "Semantics").

use jiff::Timestamp;
use kulta_api::analysis::{AnalysisRun, AnalysisRunStatus, MetricResult, RunSummary};
use kulta_api::validation::joined;
use kulta_api::{AnalysisPhase, FieldError};
use serde_json::{Map, Value};

use super::calls;
use super::check::{Checked, CheckedMetric};
use super::limits::{self, Termination};
use super::record::{self, Taken};
use super::size;
use crate::patch;
use crate::plan::EventKind;
use crate::time;

/// The result of assessing a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessed {
    pub status: AnalysisRunStatus,
    /// The merge patch of `status`; `None` if nothing changed. The patch of the object is `{"metadata": {"resourceVersion": …},
    /// "status": this}`. The resourceVersion makes sure that no measurement counts twice.
    pub patch: Option<Value>,
    /// Events to emit after the patch is stored.
    pub events: Vec<RunEvent>,
    /// When [`super::due`] returns the next call; `now` if it returns one already. `None` once the run has ended.
    pub wake_up: Option<Timestamp>,
}

/// A Kubernetes event on the AnalysisRun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEvent {
    /// Suffix of the event's name, `<run>.<name>`. It is derived from the content, so the API server refuses a duplicate.
    pub name: String,
    pub kind: EventKind,
    pub reason: RunEventReason,
    pub message: String,
}

/// Event reasons, as in Argo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunEventReason {
    AnalysisRun(AnalysisPhase),
    Metric(AnalysisPhase),
}

impl RunEventReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        use AnalysisPhase::{Error, Failed, Inconclusive, Pending, Running, Successful};
        match self {
            Self::AnalysisRun(Pending) => "AnalysisRunPending",
            Self::AnalysisRun(Running) => "AnalysisRunRunning",
            Self::AnalysisRun(Successful) => "AnalysisRunSuccessful",
            Self::AnalysisRun(Failed) => "AnalysisRunFailed",
            Self::AnalysisRun(Error) => "AnalysisRunError",
            Self::AnalysisRun(Inconclusive) => "AnalysisRunInconclusive",
            Self::Metric(Pending) => "MetricPending",
            Self::Metric(Running) => "MetricRunning",
            Self::Metric(Successful) => "MetricSuccessful",
            Self::Metric(Failed) => "MetricFailed",
            Self::Metric(Error) => "MetricError",
            Self::Metric(Inconclusive) => "MetricInconclusive",
        }
    }

    const fn phase(self) -> AnalysisPhase {
        match self {
            Self::AnalysisRun(phase) | Self::Metric(phase) => phase,
        }
    }
}

/// Message of a run that was terminated before any metric ended badly, as in Argo.
const TERMINATED: &str = "Run Terminated";
/// Number of characters of the run's uid in event names. They keep the events of a run that was recreated under the same name
/// apart.
const UID_CHARS: usize = 8;

/// The run's state after these measurements. Measurements that are not due change nothing, and neither do measurements of an
/// ended run.
#[must_use]
pub fn assess(run: &AnalysisRun, checked: &Checked, taken: Vec<Taken>, now: Timestamp) -> Assessed {
    let before = run.status.clone().unwrap_or_default();
    if before.is_completed() {
        return Assessed { status: before, patch: None, events: Vec::new(), wake_up: None };
    }
    let mut status = before.clone();
    let began = taken.iter().map(|taken| taken.started_at).fold(now, Timestamp::min);
    status.started_at.get_or_insert_with(|| time::floor(began));
    for taken in taken {
        let metric = checked.metric(&taken.metric);
        let recorded =
            metric.and_then(|metric| record::record(status.result(&taken.metric), taken, metric.dry_run, now));
        if let Some(result) = recorded {
            put(&mut status, result, checked);
        }
    }
    let terminate = run.spec.terminate;
    let terminating = settle(&mut status, checked, terminate);
    summarize(&mut status, checked);
    let phase = phase(&status, checked, terminating);
    if status.phase != Some(phase) {
        status.phase = Some(phase);
        status.message = if phase.is_completed() { message(&status, checked, terminate) } else { String::new() };
    }
    if phase.is_completed() {
        status.completed_at.get_or_insert_with(|| time::floor(now));
    }
    size::trim(&mut status, &checked.metrics.iter().map(|one| (one.metric.name.as_str(), one.retention)).collect());
    let wake_up = wake_up(&status, terminate, checked, now);
    Assessed { patch: changes(&before, &status), events: events(run, &before, &status, checked), wake_up, status }
}

/// The state of a run that cannot be measured: its spec is invalid, an argument does not exist, or a Secret cannot be read.
#[must_use]
pub fn invalid(run: &AnalysisRun, errors: &[FieldError], now: Timestamp) -> Assessed {
    let before = run.status.clone().unwrap_or_default();
    if before.is_completed() {
        return Assessed { status: before, patch: None, events: Vec::new(), wake_up: None };
    }
    let status = AnalysisRunStatus {
        phase: Some(AnalysisPhase::Error),
        message: format!("Analysis spec invalid: {}", joined(errors)),
        started_at: before.started_at.clone().or_else(|| Some(time::floor(now))),
        completed_at: Some(time::floor(now)),
        ..before.clone()
    };
    let events = vec![event(run, "run", RunEventReason::AnalysisRun(AnalysisPhase::Error), None)];
    Assessed { patch: changes(&before, &status), events, wake_up: None, status }
}

/// The metric results are a list, so the patch either replaces all of them or leaves them out.
fn changes(before: &AnalysisRunStatus, after: &AnalysisRunStatus) -> Option<Value> {
    if before == after {
        return None;
    }
    let mut patch = patch::diff(&without_results(before), &without_results(after));
    if before.metric_results != after.metric_results {
        let results = serde_json::to_value(&after.metric_results).unwrap_or_default();
        let results = if after.metric_results.is_empty() { Value::Null } else { results };
        if let Some(fields) = patch.get_or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
            fields.insert("metricResults".to_owned(), results);
        }
    }
    patch
}

fn without_results(status: &AnalysisRunStatus) -> Value {
    let AnalysisRunStatus { phase, message, metric_results: _, started_at, run_summary, dry_run_summary, completed_at } =
        status;
    let rest = AnalysisRunStatus {
        phase: *phase,
        message: message.clone(),
        metric_results: Vec::new(),
        started_at: started_at.clone(),
        run_summary: run_summary.clone(),
        dry_run_summary: dry_run_summary.clone(),
        completed_at: completed_at.clone(),
    };
    serde_json::to_value(rest).unwrap_or_default()
}

/// Keeps the results in the order of the spec.
fn put(status: &mut AnalysisRunStatus, result: MetricResult, checked: &Checked) {
    let results = &mut status.metric_results;
    match results.iter_mut().find(|known| known.name == result.name) {
        Some(known) => *known = result,
        None => results.push(result),
    }
    let place = |name: &str| checked.metrics.iter().position(|metric| metric.metric.name == name);
    results.sort_by_key(|result| place(&result.name).unwrap_or(usize::MAX));
}

/// Sets each metric's phase. A metric that ends badly ends the others in the same assessment. Returns whether the run is being
/// terminated.
fn settle(status: &mut AnalysisRunStatus, checked: &Checked, terminate: bool) -> bool {
    let mut terminating = calls::is_terminating(status, terminate);
    loop {
        let termination = match (terminating, terminate) {
            (false, _) => Termination::None,
            (true, true) => Termination::Requested,
            (true, false) => Termination::ByMetric,
        };
        for metric in &checked.metrics {
            let Some(result) = find(status, metric) else { continue };
            let phase = limits::assess(metric, result, termination);
            if result.phase == phase {
                continue;
            }
            let of_its_own = limits::assess(metric, result, Termination::None).is_completed();
            result.phase = phase;
            if let Some(last) = result.measurements.last() {
                result.message.clone_from(&last.message);
            }
            if phase.severity() > AnalysisPhase::Successful.severity() && phase.is_completed() && !of_its_own {
                result.message = limits::cut_short_message(&result.message);
            }
        }
        let now_terminating = calls::is_terminating(status, terminate);
        if now_terminating == terminating {
            return terminating;
        }
        terminating = now_terminating;
    }
}

fn find<'a>(status: &'a mut AnalysisRunStatus, metric: &CheckedMetric) -> Option<&'a mut MetricResult> {
    status.metric_results.iter_mut().find(|result| result.name == metric.metric.name)
}

/// Each metric with its result.
fn results<'a>(
    status: &'a AnalysisRunStatus,
    checked: &'a Checked,
) -> impl Iterator<Item = (&'a CheckedMetric, Option<&'a MetricResult>)> {
    checked.metrics.iter().map(|metric| (metric, status.result(&metric.metric.name)))
}

/// The run is Running until every metric has ended. While the run is terminating, it is Running until no measurement is in
/// flight.
fn phase(status: &AnalysisRunStatus, checked: &Checked, terminating: bool) -> AnalysisPhase {
    let open = results(status, checked).any(|(_, result)| match result {
        Some(result) => !result.phase.is_completed(),
        None => !terminating,
    });
    if open {
        AnalysisPhase::Running
    } else {
        worst(status, checked).map_or(AnalysisPhase::Successful, |(_, result)| result.phase)
    }
}

/// The first metric with the worst phase among the metrics that count, if any metric has ended.
fn worst<'a>(status: &'a AnalysisRunStatus, checked: &'a Checked) -> Option<(&'a CheckedMetric, &'a MetricResult)> {
    let counting = results(status, checked).filter(|(metric, _)| !metric.dry_run);
    let decides = |one: &&MetricResult| one.phase.is_completed() && !limits::is_cut_short(one);
    let ended = counting.filter_map(|(metric, result)| Some((metric, result.filter(decides)?)));
    ended.reduce(|worst, next| if next.1.phase.severity() > worst.1.phase.severity() { next } else { worst })
}

fn message(status: &AnalysisRunStatus, checked: &Checked, terminate: bool) -> String {
    let message = worst(status, checked).and_then(|(metric, result)| {
        let why = limits::cause(metric, result)?;
        let (name, phase) = (&result.name, result.phase);
        let cause =
            if result.message.is_empty() { String::new() } else { format!(": \"Error Message: {}\"", result.message) };
        Some(format!("Metric \"{name}\" assessed {phase} due to {why}{cause}"))
    });
    message.unwrap_or_else(|| if terminate { TERMINATED.to_owned() } else { String::new() })
}

/// Counts the phases of the metrics. The message of a dry-run metric says what the metric would have caused.
fn summarize(status: &mut AnalysisRunStatus, checked: &Checked) {
    let (mut run, mut dry) = (RunSummary::default(), RunSummary::default());
    for metric in &checked.metrics {
        let summary = if metric.dry_run { &mut dry } else { &mut run };
        summary.count = summary.count.saturating_add(1);
        let Some(result) = find(status, metric) else { continue };
        let kind = match result.phase {
            AnalysisPhase::Successful => &mut summary.successful,
            AnalysisPhase::Failed => &mut summary.failed,
            AnalysisPhase::Inconclusive => &mut summary.inconclusive,
            AnalysisPhase::Error => &mut summary.error,
            AnalysisPhase::Pending | AnalysisPhase::Running => continue,
        };
        *kind = kind.saturating_add(1);
        let decided = metric.dry_run && !limits::is_cut_short(result);
        if let Some(why) = limits::cause(metric, result).filter(|_| decided) {
            result.message = format!("Metric assessed {} due to {why}", result.phase);
        }
    }
    status.run_summary = Some(run);
    status.dry_run_summary = Some(dry);
}

fn wake_up(status: &AnalysisRunStatus, terminate: bool, checked: &Checked, now: Timestamp) -> Option<Timestamp> {
    let due = calls::of_status(status, terminate, checked, now);
    if due.calls.is_empty() { due.wake_up } else { Some(now) }
}

fn events(
    run: &AnalysisRun,
    before: &AnalysisRunStatus,
    after: &AnalysisRunStatus,
    checked: &Checked,
) -> Vec<RunEvent> {
    let ended =
        |status: &AnalysisRunStatus, name: &str| status.result(name).is_some_and(|one| one.phase.is_completed());
    let mut events = Vec::new();
    for (index, (metric, result)) in results(after, checked).enumerate() {
        let name = &metric.metric.name;
        if let Some(result) = result.filter(|_| ended(after, name) && !ended(before, name)) {
            let reason = RunEventReason::Metric(result.phase);
            events.push(event(run, &format!("metric{index}"), reason, Some(name)));
        }
    }
    if let Some(phase) = after.phase.filter(|phase| phase.is_completed()) {
        events.push(event(run, "run", RunEventReason::AnalysisRun(phase), None));
    }
    events
}

/// `mark` identifies the subject of the event.
fn event(run: &AnalysisRun, mark: &str, reason: RunEventReason, metric: Option<&str>) -> RunEvent {
    let uid: String = run.metadata.uid.iter().flat_map(|uid| uid.chars()).take(UID_CHARS).collect();
    let phase = reason.phase();
    RunEvent {
        name: format!("{uid}.{mark}.{}", reason.as_str().to_lowercase()),
        kind: match phase {
            AnalysisPhase::Failed | AnalysisPhase::Error => EventKind::Warning,
            _ => EventKind::Normal,
        },
        reason,
        message: match metric {
            Some(metric) => format!("Metric '{metric}' Completed. Result: {phase}"),
            None => format!("Analysis Completed. Result: {phase}"),
        },
    }
}

#[cfg(test)]
#[path = "assess_tests/mod.rs"]
mod tests;

#[cfg(test)]
#[path = "assess_properties.rs"]
mod properties;
