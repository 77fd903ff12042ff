//! The configurations that analyzers get, as far as they are known before a run is created.

use std::collections::BTreeMap;

use kulta_api::analysis::{Metric, Provider, RolloutAnalysis};
use kulta_api::validation::Path;
use serde_json::Value;

use super::args;
use super::resolve::merged_args;
use super::source::Source;
use super::walk::{self, Templates};

/// Placeholder for the value of an argument that is known only when the run is created: a Secret, or a revision's hash.
pub(crate) const NOT_KNOWN_YET: &str = "not-known-yet";
/// Placeholder for a Secret. It contains [`NOT_KNOWN_YET`].
const SECRET_NOT_KNOWN_YET: &str = "secret-not-known-yet";

/// The configuration that a metric of a template passes to its analyzer.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Path of the configuration, such as `AnalysisTemplate/errors spec.metrics[0].provider.threshold`.
    pub path: Path,
    /// Name of the metric.
    pub metric: String,
    pub analyzer: String,
    /// The configuration with its arguments filled in.
    pub config: Value,
    /// Path of the metric.
    pub at: Path,
    /// The conditions that are set, with arguments filled in, by their field.
    pub conditions: Vec<(&'static str, String)>,
}

impl Configuration {
    /// The text contains no placeholder.
    #[must_use]
    pub fn is_known_text(text: &str) -> bool {
        !text.contains(NOT_KNOWN_YET)
    }

    /// Whether the value at this path, such as `latency.p99` or `headers[0].value`, is known. If there is no value, the innermost
    /// object or list on the path decides.
    #[must_use]
    pub fn is_known(&self, path: &str) -> bool {
        let (mut value, mut rest) = (&self.config, path);
        while let Some((inner, left)) = descend(value, rest) {
            (value, rest) = (inner, left);
        }
        !holds_open_text(value)
    }

    /// The paths of values that come from a Secret.
    #[must_use]
    pub fn secret_paths(&self) -> Vec<String> {
        paths_where(&self.config, |text| text.contains(SECRET_NOT_KNOWN_YET))
    }
}

/// The paths of the texts in a configuration for which `holds` is true. For a key, it is the path of the object with the key.
#[must_use]
pub fn paths_where(config: &Value, holds: impl Fn(&str) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    collect_paths(config, &Path::new(""), &holds, &mut paths);
    paths
}

fn collect_paths(value: &Value, path: &Path, holds: &dyn Fn(&str) -> bool, paths: &mut Vec<String>) {
    match value {
        Value::String(text) if holds(text) => paths.push(path.as_str().to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_paths(item, &path.index(index), holds, paths);
            }
        }
        Value::Object(fields) => {
            if fields.keys().any(|key| holds(key)) {
                paths.push(path.as_str().to_owned());
            }
            for (key, field) in fields {
                collect_paths(field, &path.field(key), holds, paths);
            }
        }
        _ => {}
    }
}

/// Goes one step along a path. A key may itself contain dots.
fn descend<'a, 'b>(value: &'a Value, path: &'b str) -> Option<(&'a Value, &'b str)> {
    match value {
        Value::Object(fields) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
            fields.iter().find_map(|(key, field)| {
                let rest = path.strip_prefix(key.as_str()).filter(|rest| !path.is_empty() && ends(rest))?;
                Some((field, rest))
            })
        }
        Value::Array(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            Some((items.get(index.parse::<usize>().ok()?)?, rest))
        }
        _ => None,
    }
}

fn holds_open_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(NOT_KNOWN_YET),
        Value::Array(items) => items.iter().any(holds_open_text),
        Value::Object(fields) => {
            fields.iter().any(|(key, field)| key.contains(NOT_KNOWN_YET) || holds_open_text(field))
        }
        _ => false,
    }
}

/// The configurations of all metrics of the templates that this request names. A request that cannot be resolved has none;
/// [`super::resolve`] reports its errors.
pub(crate) fn configurations(
    analysis: &RolloutAnalysis,
    at: &Path,
    source: &Source<'_>,
    found: &Templates,
) -> Vec<Configuration> {
    let resolve = || {
        let templates = walk::walk(&analysis.templates, &at.field("templates"), found)?;
        let given = args::request_args(&analysis.args, source, &at.field("args"))?;
        let args = merged_args(&templates, &given, source)?;
        Ok::<_, Vec<kulta_api::FieldError>>((templates, args))
    };
    let Ok((templates, args)) = resolve() else { return Vec::new() };
    // An argument without a value gets its value from a Secret.
    let values: BTreeMap<_, _> =
        args.into_iter().map(|arg| (arg.name, arg.value.unwrap_or_else(|| SECRET_NOT_KNOWN_YET.to_owned()))).collect();
    let mut all = Vec::new();
    for (template, spec) in templates {
        let Ok(metrics) = args::fill(&spec.metrics, &values) else { continue };
        for (index, metric) in metrics.into_iter().enumerate() {
            let at = template.path().field("metrics").index(index);
            let Some((path, name, config)) = at_provider(&metric.provider, &at.field("provider")) else { continue };
            let (analyzer, config) = (name.to_owned(), config.clone());
            let conditions = conditions(&metric).map(|(field, condition)| (field, condition.to_owned())).collect();
            all.push(Configuration { path, analyzer, config, metric: metric.name, at, conditions });
        }
    }
    all
}

/// The conditions of a metric that are set, by their field.
pub fn conditions(metric: &Metric) -> impl Iterator<Item = (&'static str, &str)> {
    [("successCondition", &metric.success_condition), ("failureCondition", &metric.failure_condition)]
        .into_iter()
        .filter(|(_, condition)| !condition.is_empty())
        .map(|(field, condition)| (field, condition.as_str()))
}

/// The analyzer of a provider, with its configuration and the configuration's path.
#[must_use]
pub fn at_provider<'a>(provider: &'a Provider, path: &Path) -> Option<(Path, &'a str, &'a Value)> {
    let (name, config) = provider.analyzer()?;
    let path = if provider.is_plugin() { path.field("plugin") } else { path.clone() };
    Some((path.field(name), name, config))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(config: Value) -> Configuration {
        let (at, conditions) = (Path::new("at"), Vec::new());
        Configuration { path: at.clone(), metric: "m".into(), analyzer: "threshold".into(), config, at, conditions }
    }

    #[test]
    fn a_value_with_an_unknown_argument_is_unknown_and_its_siblings_are_known() {
        let of = of(json!({
            "service": format!("web-{NOT_KNOWN_YET}"), "errorRate": "1%", "latency": { "p99.9": "1" },
            "headers": [{ "key": "a", "value": NOT_KNOWN_YET }],
        }));

        let known = ["errorRate", "latency.p99.9", "latency.p50", "headers[0].key"].map(|path| of.is_known(path));
        let open = ["service", "headers[0].value", "headers[1].value", "missing", ""].map(|path| of.is_known(path));

        assert_eq!((known, open), ([true; 4], [false; 5]));
    }

    #[test]
    fn paths_of_secrets_are_distinguished_from_paths_of_other_unknown_values() {
        let of = of(json!({
            "hash": NOT_KNOWN_YET, "env": [{ "name": "A" }, { "value": format!("Bearer {SECRET_NOT_KNOWN_YET}") }],
            "labels": { "a.b/c": SECRET_NOT_KNOWN_YET }, "keys": { SECRET_NOT_KNOWN_YET: 1 },
        }));

        assert_eq!(of.secret_paths(), ["env[1].value", "keys", r#"labels["a.b/c"]"#]);
    }

    #[test]
    fn the_path_of_an_analyzer_under_plugin_contains_plugin() {
        let provider: Provider = serde_json::from_value(json!({ "plugin": { "a/b": { "x": 1 } } })).unwrap();

        let (path, name, _) = at_provider(&provider, &Path::new("provider")).unwrap();

        assert_eq!((path.as_str(), name), (r#"provider.plugin["a/b"]"#, "a/b"));
    }
}
