//! What the measurements of one metric say of it.

use kulta_api::AnalysisPhase;
use kulta_api::analysis::MetricResult;

use super::calls;
use super::check::CheckedMetric;

/// The metric's phase, from its counters.
pub(super) fn assess(metric: &CheckedMetric, result: &MetricResult, terminating: bool) -> AnalysisPhase {
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
    if terminating { AnalysisPhase::Successful } else { AnalysisPhase::Running }
}

/// The limit that was passed. Of several the error limit goes first, then the inconclusive one.
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

/// Why a metric that has ended did not end well.
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
