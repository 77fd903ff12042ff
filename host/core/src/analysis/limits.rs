//! The phase that the measurements of one metric result in.

use kulta_api::AnalysisPhase;
use kulta_api::analysis::MetricResult;

use super::calls;
use super::check::CheckedMetric;
use super::record::TERMINATED;

/// Whether the run stops measuring, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Termination {
    None,
    /// `spec.terminate` is set.
    Requested,
    /// A metric that counts has ended badly.
    ByMetric,
}

/// The metric's phase, by its counters.
pub(super) fn assess(metric: &CheckedMetric, result: &MetricResult, termination: Termination) -> AnalysisPhase {
    if result.phase.is_completed() {
        return result.phase;
    }
    if calls::in_flight(Some(result)).is_some() {
        return AnalysisPhase::Running;
    }
    let limits = &metric.limits;
    if let Some((phase, _)) = exceeded(metric, result) {
        return phase;
    }
    if limits.consecutive_success.is_some_and(|limit| result.consecutive_success >= limit) {
        return AnalysisPhase::Successful;
    }
    if limits.count.is_some_and(|count| result.count >= count) {
        return match (limits.failure, limits.consecutive_success) {
            (Some(_), Some(_)) => AnalysisPhase::Inconclusive,
            (None, Some(_)) => AnalysisPhase::Failed,
            (_, None) => AnalysisPhase::Successful,
        };
    }
    match termination {
        Termination::None => AnalysisPhase::Running,
        Termination::Requested => AnalysisPhase::Successful,
        Termination::ByMetric => cut_short(result).unwrap_or(AnalysisPhase::Successful),
    }
}

/// First part of the message of a metric that had no success when another metric ended the run.
const CUT_SHORT: &str = "Cut short when another metric ended the run";

/// The phase of the last measurement, if none succeeded. In argo-rollouts #4479 such a metric counted as a success.
fn cut_short(result: &MetricResult) -> Option<AnalysisPhase> {
    let last = result.measurements.last()?;
    let cancelled = i32::from(last.message == TERMINATED && last.phase == AnalysisPhase::Successful);
    if result.successful > cancelled || result.failed + result.error + result.inconclusive == 0 {
        return None;
    }
    Some(if last.phase == AnalysisPhase::Successful { AnalysisPhase::Inconclusive } else { last.phase })
}

/// The message of a metric that was stopped early, with the message of its last measurement.
pub(super) fn cut_short_message(last: &str) -> String {
    if last.is_empty() { CUT_SHORT.to_owned() } else { format!("{CUT_SHORT}: {last}") }
}

/// Another metric has ended the run, so the phase of this one decides nothing.
pub(super) fn is_cut_short(result: &MetricResult) -> bool {
    result.message.starts_with(CUT_SHORT)
}

/// The limit that was exceeded. The error limit comes first, then the inconclusive limit.
fn exceeded(metric: &CheckedMetric, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    let limits = &metric.limits;
    let (errors, inconclusive, failed) = (result.consecutive_error, result.inconclusive, result.failed);
    if errors > limits.consecutive_error {
        let limit = limits.consecutive_error;
        let why = format!("consecutiveErrors ({errors}) > consecutiveErrorLimit ({limit})");
        return Some((AnalysisPhase::Error, why));
    }
    if inconclusive > limits.inconclusive {
        let limit = limits.inconclusive;
        let why = format!("inconclusive ({inconclusive}) > inconclusiveLimit ({limit})");
        return Some((AnalysisPhase::Inconclusive, why));
    }
    let limit = limits.failure.filter(|limit| failed > *limit)?;
    Some((AnalysisPhase::Failed, format!("failed ({failed}) > failureLimit ({limit})")))
}

/// Why a metric has not ended successfully.
pub(super) fn cause(metric: &CheckedMetric, result: &MetricResult) -> Option<String> {
    if result.phase == AnalysisPhase::Successful {
        return None;
    }
    if let Some((_, why)) = exceeded(metric, result).filter(|(phase, _)| *phase == result.phase) {
        return Some(why);
    }
    let limits = &metric.limits;
    let counted = limits.count.is_some_and(|count| result.count >= count);
    match limits.consecutive_success.filter(|limit| counted && result.consecutive_success < *limit) {
        Some(limit) => Some(format!("consecutiveSuccessLimit ({limit}) not reached")),
        None => Some("the analyzer's verdict".to_owned()),
    }
}
