//! A run with its arguments filled in and its numbers parsed. `due` and `assess` work with it.

use std::collections::BTreeMap;

use kulta_api::analysis::{AnalysisRun, AnalysisRunSpec, Limits, Metric, MetricRule, SecretKeyRef};
use kulta_api::validation::Path;
use kulta_api::validation::analysis::{ServedAnalyzer, validate_run};
use kulta_api::{FieldError, duration};
use serde_json::Value;

use super::args;

/// Number of measurements that are kept of a metric without a `measurementRetention` rule.
pub const DEFAULT_RETENTION: usize = 10;

/// The metrics of a run, in the order of its spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub metrics: Vec<CheckedMetric>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CheckedMetric {
    /// The metric with its arguments filled in.
    pub metric: Metric,
    pub limits: Limits,
    /// Wait between the end of a measurement and the start of the next, in milliseconds.
    pub interval: Option<u64>,
    /// Wait between the start of the run and the first measurement, in milliseconds.
    pub initial_delay: u64,
    /// The metric's outcome does not affect the run.
    pub dry_run: bool,
    /// Number of measurements that are kept.
    pub retention: usize,
}

impl Checked {
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&CheckedMetric> {
        self.metrics.iter().find(|checked| checked.metric.name == name)
    }
}

/// Fills in the arguments and validates the run. `secrets` has an entry for each of [`super::secrets`]: the placeholder text for
/// the secret, or why it cannot be read.
///
/// # Errors
/// Every error. [`super::invalid`] turns them into a status.
pub fn check(
    run: &AnalysisRun,
    secrets: &BTreeMap<SecretKeyRef, Result<String, String>>,
    served: &[ServedAnalyzer<'_>],
) -> Result<Checked, Vec<FieldError>> {
    let metrics = filled(run, secrets)?;
    let spec = AnalysisRunSpec { metrics, ..run.spec.clone() };
    validate_run(&spec, served)?;
    let metrics = spec.metrics.iter().enumerate();
    let metrics = metrics.map(|(index, metric)| read(metric, &spec, index)).collect::<Result<Vec<_>, _>>();
    Ok(Checked { metrics: metrics.map_err(|error| vec![error])? })
}

/// The metrics of a run with their arguments filled in. Other errors in them are ignored.
///
/// # Errors
/// Every argument that cannot be filled in.
pub fn filled(
    run: &AnalysisRun,
    secrets: &BTreeMap<SecretKeyRef, Result<String, String>>,
) -> Result<Vec<Metric>, Vec<FieldError>> {
    let as_json = || serde_json::to_value(run).unwrap_or(Value::Null);
    let values = args::values(&run.spec.args, &as_json, secrets)?;
    args::fill(&run.spec.metrics, &values)
}

fn read(metric: &Metric, spec: &AnalysisRunSpec, index: usize) -> Result<CheckedMetric, FieldError> {
    let path = Path::new("spec").field("metrics").index(index);
    let limits = metric.limits().map_err(|error| path.field(error.field).error(error.to_string()))?;
    let millis = |field: &str, text: &str| {
        let given = (!text.is_empty()).then(|| duration::parse_text(text));
        given.transpose().map_err(|error| path.field(field).error(error.to_string()))
    };
    let matches = |rule: &str| MetricRule::parse(rule).is_ok_and(|rule| rule.matches(&metric.name));
    // The last matching rule counts, and only if its limit is positive, as in Argo.
    let retention = spec.measurement_retention.iter().rfind(|rule| matches(&rule.metric_name));
    let retention = retention.and_then(|rule| usize::try_from(rule.limit).ok()).filter(|limit| *limit > 0);
    Ok(CheckedMetric {
        limits,
        interval: millis("interval", &metric.interval)?,
        initial_delay: millis("initialDelay", &metric.initial_delay)?.unwrap_or(0),
        dry_run: spec.dry_run.iter().any(|rule| matches(&rule.metric_name)),
        retention: retention.unwrap_or(DEFAULT_RETENTION),
        metric: metric.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::fixtures::{SERVED, metric, run};

    fn checked(spec: Value) -> Result<Checked, Vec<FieldError>> {
        check(&run(spec), &BTreeMap::new(), &SERVED)
    }

    #[test]
    fn arguments_are_filled_in_before_numbers_are_read() {
        let checked = checked(json!({
            "metrics": [metric("a", json!({ "count": "{{args.n}}", "interval": "{{args.every}}", "initialDelay": "1m" }))],
            "args": [{ "name": "n", "value": "3" }, { "name": "every", "value": "5s" }],
        }))
        .unwrap();

        let metric = &checked.metrics[0];
        assert_eq!((metric.limits.count, metric.interval, metric.initial_delay), (Some(3), Some(5_000), 60_000));
    }

    #[test]
    fn an_argument_that_makes_a_metric_invalid_is_reported_at_the_metric() {
        let errors = checked(json!({
            "metrics": [metric("a", json!({ "count": "{{args.n}}" }))],
            "args": [{ "name": "n", "value": "many" }],
        }))
        .unwrap_err();

        assert_eq!(errors[0].to_string(), "spec.metrics[0].count: \"many\" is no whole number");
    }

    #[test]
    fn rules_select_dry_run_metrics_and_the_retention() {
        let checked = checked(json!({
            "metrics": [metric("a", json!({})), metric("b", json!({})), metric("ab", json!({}))],
            "dryRun": [{ "metricName": "a" }],
            "measurementRetention": [{ "metricName": "b", "limit": 3 }, { "metricName": "^b", "limit": 0 }],
        }))
        .unwrap();

        let read: Vec<_> = checked.metrics.iter().map(|metric| (metric.dry_run, metric.retention)).collect();
        assert_eq!(read, [(true, 10), (false, 10), (true, 3)]);
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_an_error() {
        let key = SecretKeyRef { name: "s".into(), key: "k".into() };
        let run = run(json!({
            "metrics": [metric("a", json!({}))],
            "args": [{ "name": "p", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }],
        }));

        let error = check(&run, &BTreeMap::from([(key, Err("is forbidden".to_owned()))]), &SERVED).unwrap_err();

        assert_eq!(error[0].to_string(), "spec.args[0].valueFrom.secretKeyRef: args.p: is forbidden");
    }
}
