//! Validates analyses (`reference/argo-rollouts.md` section 1.6). A text that contains `{{` has an unresolved argument,
//! and its value is not checked.

mod args;
mod limits;
mod provider;
#[cfg(test)]
mod tests;
mod warnings;

pub use warnings::template_warnings;

use std::collections::BTreeSet;

use super::FieldError;
use crate::analysis::{
    AnalysisRunSpec, AnalysisTemplateSpec, DryRun, MeasurementRetention, Metric, MetricRule, RolloutAnalysis,
};
use crate::duration;
use crate::field_error::{Faults, Path};

/// With more metrics, one measurement of each with a value and a message of 1 KiB would exceed a status of one
/// megabyte, which the API server rejects.
pub const MAX_METRICS: usize = 400;
/// Begin of an unresolved argument.
const PLACEHOLDER: &str = "{{";

/// An analyzer that can be named under `provider`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedAnalyzer<'a> {
    pub name: &'a str,
}

/// Validates a run whose arguments are resolved.
///
/// # Errors
/// Every error of the spec.
pub fn validate_run(spec: &AnalysisRunSpec, served: &[ServedAnalyzer<'_>]) -> Result<(), Vec<FieldError>> {
    let path = Path::new("spec");
    let mut faults = Faults::default();
    faults.add_if(spec.metrics.is_empty(), &path.field("metrics"), "must hold at least one metric");
    metrics(&spec.metrics, served, &path, &mut faults);
    args::validate(&spec.args, args::Of::Run, &path.field("args"), &mut faults);
    rules(&spec.metrics, &spec.dry_run, &spec.measurement_retention, &path, &mut faults);
    faults.done()
}

/// Validates a template by itself: neither open arguments nor the content of other templates are checked.
///
/// # Errors
/// Every error of the spec.
pub fn validate_template(spec: &AnalysisTemplateSpec, served: &[ServedAnalyzer<'_>]) -> Result<(), Vec<FieldError>> {
    let path = Path::new("spec");
    let mut faults = Faults::default();
    faults.add_if(
        spec.metrics.is_empty() && spec.templates.is_empty(),
        &path.field("metrics"),
        "must hold at least one metric, or templates must name a template that does",
    );
    metrics(&spec.metrics, served, &path, &mut faults);
    args::validate(&spec.args, args::Of::Template, &path.field("args"), &mut faults);
    if spec.templates.is_empty() {
        rules(&spec.metrics, &spec.dry_run, &spec.measurement_retention, &path, &mut faults);
    }
    for (index, template) in spec.templates.iter().enumerate() {
        let path = path.field("templates").index(index).field("templateName");
        faults.add_if(template.template_name.is_empty(), &path, "must not be empty");
    }
    faults.done()
}

/// Validates the metrics of a template or a run.
///
/// # Errors
/// Every error, below `spec.metrics`.
pub fn validate_metrics(list: &[Metric], served: &[ServedAnalyzer<'_>]) -> Result<(), Vec<FieldError>> {
    let mut faults = Faults::default();
    metrics(list, served, &Path::new("spec"), &mut faults);
    faults.done()
}

/// Validates a rollout's request for an analysis at that path; the templates themselves are not checked.
///
/// # Errors
/// Every error.
pub fn validate_request(analysis: &RolloutAnalysis, at: &str) -> Result<(), Vec<FieldError>> {
    let path = Path::new(at);
    let mut faults = Faults::default();
    for (index, template) in analysis.templates.iter().enumerate() {
        let path = path.field("templates").index(index).field("templateName");
        faults.add_if(template.template_name.is_empty(), &path, "must not be empty");
    }
    args::validate_request(&analysis.args, &path.field("args"), &mut faults);
    faults.done()
}

fn metrics(metrics: &[Metric], served: &[ServedAnalyzer<'_>], spec: &Path, faults: &mut Faults) {
    let path = spec.field("metrics");
    let count = metrics.len();
    faults.add_if(count > MAX_METRICS, &path, format!("{count} metrics are more than the {MAX_METRICS} allowed"));
    let mut names = BTreeSet::new();
    for (index, metric) in metrics.iter().enumerate() {
        let path = path.index(index);
        let name = path.field("name");
        let known = !names.insert(&metric.name);
        faults.add_if(known, &name, format!("two metrics have the same name '{}'", metric.name));
        duration(&metric.interval, &path.field("interval"), faults);
        duration(&metric.initial_delay, &path.field("initialDelay"), faults);
        limits::validate(metric, &path, faults);
        provider::validate(metric, served, &path, faults);
    }
}

fn duration(text: &str, path: &Path, faults: &mut Faults) {
    if text.is_empty() || text.contains(PLACEHOLDER) {
        return;
    }
    if let Err(error) = duration::parse_text(text) {
        faults.add(path, error.to_string());
    }
}

fn rules(metrics: &[Metric], dry: &[DryRun], retention: &[MeasurementRetention], spec: &Path, faults: &mut Faults) {
    let dry = dry.iter().map(|rule| rule.metric_name.as_str());
    each_matches(dry, metrics, &spec.field("dryRun"), faults);
    let retention = retention.iter().map(|rule| rule.metric_name.as_str());
    each_matches(retention, metrics, &spec.field("measurementRetention"), faults);
}

fn each_matches<'a>(rules: impl Iterator<Item = &'a str>, metrics: &[Metric], path: &Path, faults: &mut Faults) {
    for (index, rule) in rules.enumerate() {
        let path = path.index(index).field("metricName");
        match MetricRule::parse(rule) {
            Err(error) => faults.add(&path, format!("{rule:?} is not a regular expression: {error}")),
            Ok(parsed) => {
                let matched = metrics.iter().any(|metric| parsed.matches(&metric.name));
                faults.add_if(!matched, &path, format!("{rule:?} matches the name of no metric"));
            }
        }
    }
}
