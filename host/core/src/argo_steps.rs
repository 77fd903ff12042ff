//! Argo Rollouts' hash of the steps (`status.currentStepHash`). Argo returns a rollout whose hash differs from its own to the first
//! step, and takes its abort back. So KULTA writes the same hash, and a rollout in progress can go back to Argo.
//!
//! Argo hashes the steps as Go's JSON encoder writes them: fields in the order of Argo's structs, without empty ones.

use kulta_api::CanaryStep;
use serde_json::{Map, Value, json};

use crate::hash::safe_text;

/// The order of the fields in Argo's structs (`pkg/apis/rollouts/v1alpha1/types.go` of 1.9.2). One list serves all steps that KULTA
/// accepts, because fields that two of their structs share have the same order in both.
const ORDER: [&str; 36] = [
    "setWeight",
    "pause",
    "experiment",
    "analysis",
    "setCanaryScale",
    "setHeaderRoute",
    "setMirrorRoute",
    "plugin",
    "duration",
    "weight",
    "replicas",
    "matchTrafficWeight",
    "templates",
    "args",
    "dryRun",
    "measurementRetention",
    "analysisRunMetadata",
    "templateName",
    "clusterScope",
    "name",
    "value",
    "valueFrom",
    "podTemplateHashValue",
    "fieldRef",
    "metricName",
    "limit",
    "labels",
    "match",
    "headerName",
    "headerValue",
    "exact",
    "prefix",
    "regex",
    "method",
    "path",
    "percentage",
];
/// Maps, which Go writes with sorted keys, and a plugin's configuration, which the API server stores with sorted keys. All that is below
/// them is sorted too.
const SORTED: [&str; 4] = ["config", "labels", "annotations", "headers"];
/// Fields that Go leaves out if they are empty or false.
const OMITTED_IF_EMPTY: [&str; 2] = ["value", "matchTrafficWeight"];
/// FNV-1a, 32 bits.
const OFFSET_BASIS: u32 = 2_166_136_261;
const PRIME: u32 = 16_777_619;

/// The value that Argo Rollouts writes for these steps.
#[must_use]
pub fn steps_hash(steps: &[CanaryStep]) -> String {
    let mut text = String::new();
    if steps.is_empty() {
        text.push_str("null");
    } else {
        write(&json!(steps), false, &mut text);
    }
    let hash = text.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME));
    safe_text(hash.to_string().as_bytes())
}

/// As Go's encoder writes it. `sorted`: below a map.
fn write(value: &Value, sorted: bool, into: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut separator = '{';
            for (key, value) in ordered(fields, sorted) {
                into.push(separator);
                separator = ',';
                write_text(key, into);
                into.push(':');
                write(value, sorted || SORTED.contains(&key.as_str()), into);
            }
            into.push_str(if separator == '{' { "{}" } else { "}" });
        }
        Value::Array(items) => {
            let mut separator = '[';
            for item in items {
                into.push(separator);
                separator = ',';
                write(item, sorted, into);
            }
            into.push_str(if separator == '[' { "[]" } else { "]" });
        }
        Value::String(text) => write_text(text, into),
        other => into.push_str(&other.to_string()),
    }
}

fn ordered(fields: &Map<String, Value>, sorted: bool) -> Vec<(&String, &Value)> {
    if sorted {
        let mut entries: Vec<_> = fields.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| key.as_str());
        return entries;
    }
    let empty = |key: &str, value: &Value| {
        OMITTED_IF_EMPTY.contains(&key) && (value == &Value::Bool(false) || value.as_str() == Some(""))
    };
    let mut entries: Vec<_> = fields.iter().filter(|(key, value)| !empty(key, value)).collect();
    // Fields that Argo does not know come last.
    let position = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    entries.sort_by_key(|(key, _)| position(key));
    entries
}

/// Go also escapes what could end a script in a page.
fn write_text(text: &str, into: &mut String) {
    for character in Value::from(text).to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => into.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of steps that a manifest has.
    fn of(steps: Value) -> String {
        steps_hash(&serde_json::from_value::<Vec<CanaryStep>>(steps).unwrap())
    }

    // Each hash is that of `conditions.ComputeStepHash` of Argo Rollouts 1.9.2 for the same steps.

    #[test]
    fn no_steps_have_argos_hash() {
        assert_eq!(of(json!([])), "5ffbfbbd64");
    }

    #[test]
    fn weights_and_pauses_have_argos_hash() {
        let short = json!([{"setWeight": 50}, {"pause": {}}]);
        let long =
            json!([{"setWeight": 0}, {"pause": {"duration": "1h"}}, {"pause": {"duration": 30}}, {"setWeight": 100}]);

        assert_eq!((of(short).as_str(), of(long).as_str()), ("757f5f97b", "8d6b9c786"));
    }

    #[test]
    fn scales_have_argos_hash() {
        let both = json!({"matchTrafficWeight": false, "replicas": 3, "weight": 20});

        let hash = of(json!([{"setCanaryScale": both}, {"setCanaryScale": {"matchTrafficWeight": true}}]));

        assert_eq!(hash, "7f7b74b8c7");
    }

    #[test]
    fn analyses_have_argos_hash() {
        let analysis = json!({
            "analysisRunMetadata": {"annotations": {"b": "2", "a": "1"}, "labels": {"z": "z"}},
            "args": [
                {"name": "empty", "value": ""},
                {"value": "a <b> & \"c\"", "name": "x"},
                {"valueFrom": {"podTemplateHashValue": "Latest"}, "name": "h"},
                {"name": "f", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "dryRun": [{"metricName": "*"}],
            "measurementRetention": [{"limit": 5, "metricName": "m"}],
            "templates": [{"clusterScope": false, "templateName": "t"}, {"templateName": "u"}],
        });

        assert_eq!(of(json!([{"analysis": analysis}])), "54c466b88c");
    }

    #[test]
    fn plugins_have_argos_hash() {
        let config = json!({"name": "inner", "b": [1, 0.5], "a": {"value": "", "x": false}});

        assert_eq!(of(json!([{"plugin": {"config": config, "name": "gate"}}])), "75b6b6d5f4");
    }

    #[test]
    fn a_disabled_plugin_is_another_step() {
        let step = |disabled: bool| of(json!([{"plugin": {"name": "gate", "disabled": disabled}}]));

        assert_ne!(step(true), step(false));
    }

    #[test]
    fn header_and_mirror_routes_have_argos_hash() {
        let header = json!({"match": [{"headerValue": {"regex": "r", "exact": "e"}, "headerName": "h"}], "name": "n"});
        let matches = json!([{"path": {"prefix": "/"}, "method": {"exact": "GET"}}]);
        let mirror = json!({"percentage": 5, "name": "m", "match": matches});

        assert_eq!(of(json!([{"setHeaderRoute": header}, {"setMirrorRoute": mirror}])), "68bb6854d");
    }
}
