//! AnalysisRuns, and the templates that they are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kulta_api::analysis::{AnalysisRun, AnalysisRunStatus, AnalysisTemplateSpec};
use kulta_api::{AnalysisPhase, FieldError, annotations, decode_as};
use serde_json::{Value, json};

use super::plugin::{PluginName, PluginPin, pinned, plugins_of_template};
use super::replica_set::controlling_rollout;
use crate::object::{Object, text, version};
use crate::packed::Packed;
use kulta_wasm::Kind;

#[derive(Clone, Debug)]
pub struct CachedRun {
    pub version: u64,
    pub resource_version: String,
    pub uid: String,
    pub generation: i64,
    /// Uid of the Rollout that controls it; `None` when something else does, or nothing.
    pub owner: Option<String>,
    /// Its status says that it has ended.
    pub ended: bool,
    /// The components that it began with.
    pub pins: BTreeSet<PluginPin>,
    /// What its rollout looks at: all but measurements and counts.
    outcome: String,
    object: Packed,
}

#[must_use]
pub fn analysis_run(mut object: Object) -> CachedRun {
    object.trim();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let resource_version = text(metadata, "resourceVersion").to_owned();
    let noted = metadata.get("annotations").and_then(|notes| notes.get(annotations::PLUGINS)).and_then(Value::as_str);
    let phase = object.json.pointer("/status/phase").cloned().unwrap_or_default();
    CachedRun {
        version: version(&resource_version),
        resource_version,
        uid: text(metadata, "uid").to_owned(),
        generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
        owner: controlling_rollout(metadata),
        pins: run_pins(noted).iter().filter_map(|(name, pin)| pinned(Kind::Analyzer, name, pin)).collect(),
        outcome: outcome(&object.json),
        ended: serde_json::from_value(phase).is_ok_and(AnalysisPhase::is_completed),
        object: Packed::of(&object.json),
    }
}

/// The components that a run began with, by analyzer, as its annotation notes them.
#[must_use]
pub fn run_pins(noted: Option<&str>) -> BTreeMap<String, String> {
    noted.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Spec, name and labels, phases and messages, as text.
fn outcome(run: &Value) -> String {
    let at = |value: &Value, field: &str| value.get(field).cloned().unwrap_or_default();
    let status = at(run, "status");
    let results = at(&status, "metricResults");
    let metrics: Vec<Value> = results
        .as_array()
        .into_iter()
        .flatten()
        .map(|result| json!([at(result, "name"), at(result, "phase"), at(result, "message")]))
        .collect();
    let metadata = at(run, "metadata");
    let terminate = run.pointer("/spec/terminate");
    json!([
        at(&metadata, "uid"),
        at(&metadata, "labels"),
        at(&metadata, "deletionTimestamp"),
        terminate,
        at(&status, "phase"),
        at(&status, "message"),
        at(&status, "startedAt"),
        at(&status, "completedAt"),
        metrics
    ])
    .to_string()
}

impl CachedRun {
    /// Whether its rollout has something to see.
    #[must_use]
    pub fn tells_the_same_as(&self, other: &Self) -> bool {
        self.outcome == other.outcome
    }

    /// As [`open`](Self::open); one that cannot be read is one that has ended in an error, under the name and labels that it has.
    #[must_use]
    pub fn open_as_far_as_possible(&self) -> AnalysisRun {
        self.open().unwrap_or_else(|error| {
            let metadata = self.object.open().get("metadata").cloned().unwrap_or_default();
            AnalysisRun {
                metadata: serde_json::from_value(metadata).unwrap_or_default(),
                status: Some(AnalysisRunStatus {
                    phase: Some(AnalysisPhase::Error),
                    message: error.to_string(),
                    ..AnalysisRunStatus::default()
                }),
                ..AnalysisRun::default()
            }
        })
    }

    /// # Errors
    /// When a field cannot be read: its path.
    pub fn open(&self) -> Result<AnalysisRun, FieldError> {
        decode_as(&self.object.open())
    }
}

#[derive(Clone, Debug)]
pub struct CachedTemplate {
    /// Or why it cannot be read.
    pub spec: Result<Arc<AnalysisTemplateSpec>, FieldError>,
    /// The analyzers that it names.
    pub plugins: BTreeSet<PluginName>,
}

/// Both kinds: their specs are the same.
#[must_use]
pub fn template(object: &Object) -> CachedTemplate {
    #[derive(serde::Deserialize)]
    struct Template {
        #[serde(default)]
        spec: AnalysisTemplateSpec,
    }
    let spec = decode_as::<Template>(&object.json).map(|template| Arc::new(template.spec));
    CachedTemplate { plugins: spec.as_ref().map(|spec| plugins_of_template(spec)).unwrap_or_default(), spec }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_cannot_be_read_has_ended_in_an_error_for_its_rollout() {
        let cached = analysis_run(Object::new(json!({ "metadata": { "name": "web-1" }, "spec": { "metrics": 5 } })));

        let run = cached.open_as_far_as_possible();

        let status = run.status.unwrap();
        assert_eq!((run.metadata.name.as_deref(), status.phase), (Some("web-1"), Some(AnalysisPhase::Error)));
        assert!(status.message.contains("spec.metrics"), "{}", status.message);
    }

    #[test]
    fn one_more_measurement_is_nothing_to_a_rollout() {
        let run = |phase: &str, count: u32| {
            analysis_run(Object::new(json!({
                "metadata": { "name": "web-1", "resourceVersion": count.to_string() },
                "status": { "phase": phase, "metricResults": [{ "name": "errors", "phase": "Running", "count": count }] },
            })))
        };

        let same = [run("Running", 2), run("Failed", 2)].map(|next| next.tells_the_same_as(&run("Running", 1)));

        assert_eq!(same, [true, false]);
    }

    #[test]
    fn a_run_knows_its_rollout_and_whether_it_has_ended() {
        let cached = analysis_run(Object::new(json!({
            "metadata": {
                "name": "web-1", "resourceVersion": "7", "uid": "a",
                "ownerReferences": [{ "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1", "uid": "r", "controller": true }],
            },
            "status": { "phase": "Failed" },
        })));

        assert_eq!((cached.version, cached.owner.as_deref(), cached.ended), (7, Some("r"), true));
    }

    #[test]
    fn a_run_that_cannot_be_read_says_where() {
        let cached = analysis_run(Object::new(json!({ "metadata": {}, "spec": { "metrics": 5 } })));

        assert!(cached.open().is_err_and(|error| error.path.starts_with("spec.metrics")));
    }

    #[test]
    fn templates_of_both_kinds_are_read() {
        let cached = template(&Object::new(json!({ "spec": { "metrics": [{ "name": "errors" }] } })));

        assert_eq!(cached.spec.map(|spec| spec.metrics.len()), Ok(1));
    }
}
