//! Measurements that a status does not hold any more.

use kulta_api::analysis::{AnalysisRunStatus, MetricResult};

use super::calls;

/// One measurement of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub metric: String,
    /// As in [`super::Call::attempt`].
    pub attempt: u32,
}

/// The measurements that were trimmed from `before` to `after`, the oldest of each metric first: what was made for them can go.
#[must_use]
pub fn dropped(before: Option<&AnalysisRunStatus>, after: &AnalysisRunStatus) -> Vec<Attempt> {
    let of_metric = |result: &MetricResult| {
        let known = before.and_then(|before| before.result(&result.name));
        let (metric, from) = (result.name.clone(), known.map_or(1, oldest));
        (from..oldest(result)).map(move |attempt| Attempt { metric: metric.clone(), attempt })
    };
    after.metric_results.iter().flat_map(of_metric).collect()
}

/// The attempt of the oldest measurement that is kept; that of the next one when none is. Every attempt is counted, and those kept are
/// the latest.
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
    use crate::analysis::fixtures::{Story, at, measured, metric};

    /// What is dropped by each of these measurements, of which two are kept.
    fn dropped_by(outcomes: &[Outcome]) -> Vec<Vec<u32>> {
        let mut story = Story::new(json!({
            "metrics": [metric("m", json!({ "interval": "5s" }))],
            "measurementRetention": [{ "metricName": "m", "limit": 2 }],
        }));
        let mut all = Vec::new();
        for outcome in outcomes {
            let before = story.run.status.clone();
            let assessed = story.answer(|_| outcome.clone());
            story.now = assessed.wake_up.unwrap().as_second();
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
    fn a_measurement_that_was_an_error_is_one_as_well() {
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
