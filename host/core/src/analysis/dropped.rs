//! Measurements that a status no longer contains.

use kulta_api::analysis::{AnalysisRunStatus, MetricResult};

use super::calls;

/// One measurement of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub metric: String,
    /// As in [`super::Call::attempt`].
    pub attempt: u32,
}

/// The measurements that were trimmed from `before` to `after`, each metric's oldest first. Objects that were created for them
/// can be deleted.
#[must_use]
pub fn dropped(before: Option<&AnalysisRunStatus>, after: &AnalysisRunStatus) -> Vec<Attempt> {
    let of_metric = |result: &MetricResult| {
        let known = before.and_then(|before| before.result(&result.name));
        let (metric, from) = (result.name.clone(), known.map_or(1, oldest));
        (from..oldest(result)).map(move |attempt| Attempt { metric: metric.clone(), attempt })
    };
    after.metric_results.iter().flat_map(of_metric).collect()
}

/// The attempt of the oldest measurement in the status, or of the next one if the status has none. Attempts have no gaps, and the
/// status keeps the latest ones.
fn oldest(result: &MetricResult) -> u32 {
    let next = calls::attempt(Some(result)).saturating_add(u32::from(calls::in_flight(Some(result)).is_some()));
    next.saturating_sub(u32::try_from(result.measurements.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kulta_api::AnalysisPhase::{Error, Successful};
    use serde_json::json;

    use super::*;
    use crate::analysis::Outcome;
    use crate::analysis::fixtures::{Scenario, at, measured, metric};

    /// The attempts that each of these measurements drops, with a retention of two.
    fn dropped_by(outcomes: &[Outcome]) -> Vec<Vec<u32>> {
        let mut scenario = Scenario::new(json!({
            "metrics": [metric("m", json!({ "interval": "5s" }))],
            "measurementRetention": [{ "metricName": "m", "limit": 2 }],
        }));
        let mut all = Vec::new();
        for outcome in outcomes {
            let before = scenario.run.status.clone();
            let assessed = scenario.answer(|_| outcome.clone());
            scenario.now = assessed.wake_up.unwrap().as_second();
            let dropped = dropped(before.as_ref(), &assessed.status);
            assert!(dropped.iter().all(|attempt| attempt.metric == "m"));
            all.push(dropped.into_iter().map(|attempt| attempt.attempt).collect());
        }
        all
    }

    #[test]
    fn each_measurement_beyond_those_kept_drops_the_oldest() {
        let good = measured(Successful);

        assert_eq!(dropped_by(&[good.clone(), good.clone(), good.clone(), good]), [vec![], vec![], vec![1], vec![2]]);
    }

    #[test]
    fn a_measurement_that_was_an_error_counts_as_well() {
        let (good, error) = (measured(Successful), measured(Error));

        assert_eq!(dropped_by(&[error.clone(), good.clone(), error, good]), [vec![], vec![], vec![1], vec![2]]);
    }

    #[test]
    fn a_measurement_that_waits_drops_the_oldest_once() {
        let waiting = Outcome::Waiting { until: at(0), metadata: BTreeMap::new(), memory: Vec::new() };
        let good = measured(Successful);

        assert_eq!(
            dropped_by(&[good.clone(), good.clone(), waiting.clone(), waiting, good]),
            [vec![], vec![], vec![1], vec![], vec![]]
        );
    }
}
