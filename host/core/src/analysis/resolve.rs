//! Turns a rollout's request for analysis into the spec of a run.

use std::collections::BTreeMap;

use kulta_api::FieldError;
use kulta_api::analysis::{
    AnalysisRunSpec, AnalysisTemplateSpec, Argument, ArgumentFrom, DryRun, MeasurementRetention, RolloutAnalysis,
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

/// The arguments that the templates declare. A value of the rollout replaces the template's value. Values for undeclared arguments are
/// dropped.
pub(super) fn merged_args(
    templates: &Found<'_>,
    given: &[Argument],
    source: &Source<'_>,
) -> Result<Vec<Argument>, Vec<FieldError>> {
    let (declared, mut errors) = declared(templates);
    let mut args = Vec::new();
    for (arg, path) in declared {
        match settled(arg, &path, given, source) {
            Ok(arg) => args.push(arg),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(args) } else { Err(errors) }
}

/// The arguments that the templates declare, each with its path, and contradictions between them.
fn declared(templates: &Found<'_>) -> (Vec<(Argument, Path)>, Vec<FieldError>) {
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
    (merged, errors)
}

/// Warnings about values of the rollout that a Secret of a template replaces. `at` is the request's path in the rollout.
#[must_use]
pub fn args_without_effect(analysis: &RolloutAnalysis, at: &Path, found: &Templates) -> Vec<FieldError> {
    let Ok(templates) = walk::walk(&analysis.templates, &at.field("templates"), found) else { return Vec::new() };
    let (declared, _) = declared(&templates);
    let secret = |name: &str| {
        let (arg, path) = declared.iter().find(|(arg, _)| arg.name == name)?;
        arg.value_from.as_ref()?.secret_key_ref.as_ref().map(|_| path.as_str().to_owned())
    };
    let warnings = analysis.args.iter().enumerate().filter_map(|(index, arg)| {
        let counts = secret(&arg.name)?;
        let message = format!("args.{} has no effect: the Secret of {counts} counts", arg.name);
        Some(at.field("args").index(index).error(message))
    });
    warnings.collect()
}

/// The argument with the source that counts, as in Argo: the template's Secret, then a value of the rollout, then the template's
/// value. Argo ignores a template's `fieldRef`.
fn settled(arg: Argument, path: &Path, given: &[Argument], source: &Source<'_>) -> Result<Argument, FieldError> {
    let from = arg.value_from.as_ref();
    if let Some(secret) = from.and_then(|from| from.secret_key_ref.clone()) {
        let from = ArgumentFrom { secret_key_ref: Some(secret), field_ref: None };
        return Ok(Argument { name: arg.name, value: None, value_from: Some(from) });
    }
    if let Some(given) = given.iter().rfind(|given| given.name == arg.name) {
        return Ok(given.clone());
    }
    let (name, value_from) = (arg.name, None);
    match (arg.value, from.map(|from| &from.field_ref)) {
        (Some(value), _) => Ok(Argument { name, value: Some(value), value_from }),
        (None, Some(Some(field))) => {
            let value = args::read_field(&name, &field.field_path, source, &path.field("valueFrom"))?;
            Ok(Argument { name, value: Some(value), value_from })
        }
        (None, Some(None)) => Err(path.field("valueFrom").error("must have secretKeyRef or fieldRef")),
        (None, None) => {
            let message = "was not resolved: neither the template nor the rollout gives a value";
            Err(path.error(format!("args.{name} {message}")))
        }
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
