//! Turns a rollout's request for analysis into the spec of a run.

use std::collections::BTreeMap;

use kulta_api::FieldError;
use kulta_api::analysis::{
    AnalysisRunSpec, AnalysisTemplateSpec, Argument, DryRun, MeasurementRetention, RolloutAnalysis,
};
use kulta_api::validation::Path;
use kulta_api::validation::analysis::{ServedAnalyzer, validate_metrics, validate_run};

use super::args;
use super::source::Source;
use super::walk::{self, TemplateRef, Templates};

/// Placeholder for secret values while a spec is validated.
const SOME_SECRET: &str = "secret";

/// The spec of the run that this request asks for. `at` is the request's path in the rollout. Only a background analysis sets
/// `endless`; without it a metric that measures without end is refused.
///
/// # Errors
/// Every error of the request and of the templates that it names, each with template, metric and field.
pub fn resolve(
    analysis: &RolloutAnalysis,
    at: &Path,
    source: &Source<'_>,
    found: &Templates,
    served: &[ServedAnalyzer<'_>],
    endless: bool,
) -> Result<AnalysisRunSpec, Vec<FieldError>> {
    let templates = walk::walk(&analysis.templates, &at.field("templates"), found)?;
    let given = args::request_args(&analysis.args, source, &at.field("args"))?;
    let args = merged_args(&templates, &given, source)?;
    let mut errors = faults(&templates, &args, served, endless);
    let dry_run = rules(&analysis.dry_run, at, &templates, &mut errors);
    let measurement_retention = rules(&analysis.measurement_retention, at, &templates, &mut errors);
    errors.extend(repeated_metrics(&templates));
    if !errors.is_empty() {
        return Err(errors);
    }
    let metrics = templates.iter().flat_map(|(_, spec)| spec.metrics.clone()).collect();
    let spec = AnalysisRunSpec { metrics, args, dry_run, measurement_retention, ..AnalysisRunSpec::default() };
    // The number of metrics and the names in rules can be checked only on the whole run.
    validate_run(&spec, served).map_err(|errors| {
        let at = |error: FieldError| FieldError { path: format!("{} run {}", at.as_str(), error.path), ..error };
        errors.into_iter().map(at).collect::<Vec<_>>()
    })?;
    Ok(spec)
}

pub(super) type Found<'a> = Vec<(TemplateRef, &'a AnalysisTemplateSpec)>;

/// The arguments that the templates declare. A value of the rollout replaces the template's. Values for undeclared arguments are
/// dropped.
pub(super) fn merged_args(
    templates: &Found<'_>,
    given: &[Argument],
    source: &Source<'_>,
) -> Result<Vec<Argument>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut merged: Vec<(Argument, Path)> = Vec::new();
    for (template, spec) in templates {
        for (index, arg) in spec.args.iter().enumerate() {
            let path = template.path().field("args").index(index);
            match merged.iter_mut().find(|(known, _)| known.name == arg.name) {
                None => merged.push((arg.clone(), path)),
                Some((known, _)) => match (&known.value, &arg.value) {
                    (Some(one), Some(other)) if one != other => errors.push(path.error(format!(
                        "argument {:?} specified multiple times with different values: {one:?}, {other:?}",
                        arg.name
                    ))),
                    (None, _) => {
                        // An earlier template's source stays if a later template declares the argument without a value.
                        if arg.value.is_some() || arg.value_from.is_some() {
                            *known = arg.clone();
                        }
                    }
                    (Some(_), _) => {}
                },
            }
        }
    }
    let mut args = Vec::new();
    for (arg, path) in merged {
        match settled(arg, &path, given, source) {
            Ok(arg) => args.push(arg),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(args) } else { Err(errors) }
}

fn settled(arg: Argument, path: &Path, given: &[Argument], source: &Source<'_>) -> Result<Argument, FieldError> {
    if let Some(given) = given.iter().rfind(|given| given.name == arg.name) {
        return Ok(given.clone());
    }
    let Some(from) = &arg.value_from else {
        let message = format!("args.{} was not resolved: neither the template nor the rollout gives a value", arg.name);
        return if arg.value.is_some() { Ok(arg) } else { Err(path.error(message)) };
    };
    if arg.value.is_some() {
        return Err(path.error(format!("args.{} has both value and valueFrom", arg.name)));
    }
    match (&from.secret_key_ref, &from.field_ref) {
        (Some(_), None) => Ok(arg),
        (None, Some(field)) => {
            let value = args::read_field(&arg.name, &field.field_path, source, &path.field("valueFrom"))?;
            Ok(Argument { name: arg.name, value: Some(value), value_from: None })
        }
        _ => Err(path.field("valueFrom").error("must have exactly one of secretKeyRef and fieldRef")),
    }
}

/// Errors of each template's own metrics, with the template's name.
fn faults(templates: &Found<'_>, args: &[Argument], served: &[ServedAnalyzer<'_>], endless: bool) -> Vec<FieldError> {
    let value = |arg: &Argument| arg.value.clone().unwrap_or_else(|| SOME_SECRET.to_owned());
    let values: BTreeMap<_, _> = args.iter().map(|arg| (arg.name.clone(), value(arg))).collect();
    let mut all = Vec::new();
    for (template, spec) in templates {
        let in_template = |error: FieldError| template.fault(error);
        match args::fill(&spec.metrics, &values) {
            Err(errors) => all.extend(errors.into_iter().map(in_template)),
            Ok(metrics) => {
                let errors = validate_metrics(&metrics, served).err().unwrap_or_default();
                all.extend(errors.into_iter().map(in_template));
                for (index, metric) in
                    metrics.iter().enumerate().filter(|(_, metric)| !endless && metric.runs_forever())
                {
                    let path = template.path().field("metrics").index(index).field("count");
                    all.push(path.error(format!(
                        "metric {:?} runs indefinitely, which only a background analysis may: set count",
                        metric.name
                    )));
                }
            }
        }
    }
    all
}

fn repeated_metrics(templates: &Found<'_>) -> Vec<FieldError> {
    let mut owners: BTreeMap<&str, &TemplateRef> = BTreeMap::new();
    let mut errors = Vec::new();
    for (template, spec) in templates {
        for (index, metric) in spec.metrics.iter().enumerate() {
            match owners.get(metric.name.as_str()) {
                // A template that is listed twice is an error of its own, reported with its other errors.
                Some(owner) if *owner != template => {
                    let path = template.path().field("metrics").index(index).field("name");
                    errors.push(path.error(format!("two metrics have the same name '{}': see {owner}", metric.name)));
                }
                Some(_) => {}
                None => {
                    owners.insert(&metric.name, template);
                }
            }
        }
    }
    errors
}

trait Rule: Clone {
    const FIELD: &'static str;
    fn metric(&self) -> &str;
    fn of_template(spec: &AnalysisTemplateSpec) -> &[Self];
}

impl Rule for DryRun {
    const FIELD: &'static str = "dryRun";

    fn metric(&self) -> &str {
        &self.metric_name
    }

    fn of_template(spec: &AnalysisTemplateSpec) -> &[Self] {
        &spec.dry_run
    }
}

impl Rule for MeasurementRetention {
    const FIELD: &'static str = "measurementRetention";

    fn metric(&self) -> &str {
        &self.metric_name
    }

    fn of_template(spec: &AnalysisTemplateSpec) -> &[Self] {
        &spec.measurement_retention
    }
}

/// The request's rules, then the templates' rules. A duplicate name is an error.
fn rules<R: Rule>(own: &[R], at: &Path, templates: &Found<'_>, errors: &mut Vec<FieldError>) -> Vec<R> {
    let of_templates = templates.iter().map(|(template, spec)| (R::of_template(spec), template.path()));
    let mut all: Vec<R> = Vec::new();
    for (rules, path) in [(own, at.clone())].into_iter().chain(of_templates) {
        for (index, rule) in rules.iter().enumerate() {
            if all.iter().any(|known| known.metric() == rule.metric()) {
                let path = path.field(R::FIELD).index(index).field("metricName");
                errors.push(path.error(format!("two {} rules have the same name '{}'", R::FIELD, rule.metric())));
            } else {
                all.push(rule.clone());
            }
        }
    }
    all
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
