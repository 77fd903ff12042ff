//! Metrics and their arguments, which templates and runs share.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::FieldRef;

/// An empty text counts as absent. Any text may contain `{{args.name}}`; the numbers are int-or-string for the same
/// reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Metric {
    /// Unique among the metrics of a run.
    pub name: String,
    /// Time from the end of one measurement to the start of the next, as text such as `30s`, `5m`, `1h`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// Time from the start of the run to the first measurement.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial_delay: String,
    /// Number of measurements, without errors; default: one, or unlimited if `interval` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrString>,
    /// An expression over `result`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub success_condition: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_condition: String,
    /// The metric fails if more measurements than this fail; default 0; -1: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrString>,
    /// The metric is inconclusive if more measurements than this are inconclusive; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrString>,
    /// The metric is an error if more consecutive measurements than this are errors; default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// The metric succeeds after this number of consecutive successful measurements; absent or 0: disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrString>,
    pub provider: Provider,
}

/// One key, the name of an analyzer, with that analyzer's configuration as its value. `plugin` contains another such
/// map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provider(pub Map<String, Value>);

impl JsonSchema for Provider {
    fn schema_name() -> Cow<'static, str> {
        "Provider".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// The key of [`Provider`] that contains analyzers where a stock CRD prunes unknown keys.
pub(crate) const PLUGIN: &str = "plugin";
/// The other keys that Argo Rollouts' CRD knows (upstream `pkg/apis/rollouts/v1alpha1/analysis_types.go`).
const PROVIDERS: [&str; 11] = [
    "cloudWatch",
    "datadog",
    "graphite",
    "influxdb",
    "job",
    "kayenta",
    "newRelic",
    "prometheus",
    "skywalking",
    "wavefront",
    "web",
];

impl Provider {
    /// Name and configuration of each analyzer; validation accepts exactly one. A `plugin` that is not a map contains
    /// none.
    /// Beside a provider of Argo Rollouts other keys are ignored, as its CRD drops them.
    #[must_use]
    pub fn analyzers(&self) -> Vec<(&str, &Value)> {
        let has_argos = self.has_argos();
        let direct = self.0.iter().filter(|(key, _)| *key != PLUGIN && (!has_argos || is_argos(key)));
        direct.chain(self.plugins()).map(|(name, config)| (name.as_str(), config)).collect()
    }

    /// The keys that count for nothing.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = &str> {
        let has_argos = self.has_argos();
        self.0.keys().map(String::as_str).filter(move |key| has_argos && *key != PLUGIN && !is_argos(key))
    }

    fn has_argos(&self) -> bool {
        self.0.keys().any(|key| is_argos(key)) || self.plugins().next().is_some()
    }

    fn plugins(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(PLUGIN).and_then(Value::as_object).into_iter().flatten()
    }

    /// True if the analyzers are below `plugin`.
    #[must_use]
    pub fn is_plugin(&self) -> bool {
        self.plugins().next().is_some()
    }

    /// The only analyzer.
    #[must_use]
    pub fn analyzer(&self) -> Option<(&str, &Value)> {
        match self.analyzers().as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

fn is_argos(key: &str) -> bool {
    PROVIDERS.contains(&key)
}

/// An argument of a template or a run. In a template both `value` and `valueFrom` may be missing: then the creator of a
/// run must set the value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Argument {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ArgumentFrom>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArgumentFrom {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// A Secret in the run's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretKeyRef {
    pub name: String,
    pub key: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(value: Value) -> Provider {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_analyzer_is_the_key_or_the_key_below_plugin() {
        let config = json!({ "query": "up" });
        for written in [json!({ "prometheus": config }), json!({ "plugin": { "prometheus": config } })] {
            assert_eq!(provider(written.clone()).analyzer(), Some(("prometheus", &config)), "{written}");
        }
    }

    /// As in Argo Rollouts, whose CRD drops the others.
    #[test]
    fn beside_a_provider_of_argo_other_keys_count_for_nothing() {
        for (written, name, ignored) in [
            (json!({ "prometheus": {}, "promtheus": {} }), "prometheus", vec!["promtheus"]),
            (json!({ "prometheus": {}, "threshold": {} }), "prometheus", vec!["threshold"]),
            (json!({ "plugin": { "a/b": {} }, "threshold": {} }), "a/b", vec!["threshold"]),
            (json!({ "web": {}, "plugin": {} }), "web", vec![]),
            (json!({ "threshold": {}, "plugin": {} }), "threshold", vec![]),
        ] {
            let provider = provider(written.clone());

            assert_eq!(provider.analyzer().map(|(name, _)| name), Some(name), "{written}");
            assert_eq!(provider.ignored().collect::<Vec<_>>(), ignored, "{written}");
        }
    }

    #[test]
    fn no_analyzer_or_several_are_invalid() {
        for written in [
            json!({}),
            json!({ "plugin": {} }),
            json!({ "plugin": "x" }),
            json!({ "web": {}, "job": {} }),
            json!({ "web": {}, "plugin": { "a": {} } }),
            json!({ "plugin": { "a": {}, "b": {} } }),
            json!({ "threshold": {}, "sequential": {} }),
        ] {
            assert_eq!(provider(written.clone()).analyzer(), None, "{written}");
        }
    }
}
