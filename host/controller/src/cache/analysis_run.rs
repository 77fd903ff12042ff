//! AnalysisRuns.

use std::collections::{BTreeMap, BTreeSet};

use kulta_api::analysis::{AnalysisRun, AnalysisRunStatus};
use kulta_api::{AnalysisPhase, FieldError, annotations, decode_as};
use serde_json::{Value, json};

use super::kind::stored_in;
use super::plugin_references::{PluginPin, changed_references, pinned};
use super::raw_json::RawJson;
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, controlling_rollout, text, version};

#[derive(Clone, Debug)]
pub struct CachedAnalysisRun {
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
    /// What its rollout depends on: everything but measurements and counts.
    outcome: String,
    object: RawJson,
}

fn analysis_run(mut object: Object) -> CachedAnalysisRun {
    object.trim();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let resource_version = text(metadata, "resourceVersion").to_owned();
    let annotation = metadata.get("annotations").and_then(|all| all.get(annotations::PLUGINS)).and_then(Value::as_str);
    let phase = object.json.pointer("/status/phase").cloned().unwrap_or_default();
    CachedAnalysisRun {
        version: version(&resource_version),
        resource_version,
        uid: text(metadata, "uid").to_owned(),
        generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
        owner: controlling_rollout(metadata),
        pins: run_pins(annotation)
            .iter()
            .filter_map(|(name, pin)| pinned(kulta_wasm::Kind::Analyzer, name, pin))
            .collect(),
        outcome: outcome(&object.json),
        ended: serde_json::from_value(phase).is_ok_and(AnalysisPhase::is_completed),
        object: RawJson::of(&object.json),
    }
}

/// The components that a run began with, by analyzer, from its annotation.
#[must_use]
pub fn run_pins(annotation: Option<&str>) -> BTreeMap<String, String> {
    annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
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

impl CachedAnalysisRun {
    /// The components that it still keeps to.
    fn pins_in_use(&self) -> BTreeSet<PluginPin> {
        if self.ended { BTreeSet::new() } else { self.pins.clone() }
    }

    /// Its rollout has nothing new to observe.
    #[must_use]
    pub fn has_same_outcome(&self, other: &Self) -> bool {
        self.outcome == other.outcome
    }

    /// As [`open`](Self::open); a run that cannot be decoded counts as ended in an error, under its own name and labels.
    #[must_use]
    pub fn open_as_far_as_possible(&self) -> AnalysisRun {
        self.open().unwrap_or_else(|error| {
            let metadata = self.object.parse().get("metadata").cloned().unwrap_or_default();
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
        decode_as(&self.object.parse())
    }
}

pub struct AnalysisRuns;

impl CachedKind for AnalysisRuns {
    const KIND: Kind = Kind::AnalysisRun;
    const OPTIONAL: bool = true;
    const SELECTION: Selection = Selection::Instance;

    stored_in!(runs, CachedAnalysisRun);

    fn decode(object: Object) -> CachedAnalysisRun {
        analysis_run(object)
    }

    fn set(contents: &mut Contents, key: Key, run: CachedAnalysisRun) -> ChangeSet {
        let (owner, uid) = (run.owner.clone(), run.uid.clone());
        let same = contents.runs.get(&key).is_some_and(|before| before.has_same_outcome(&run));
        let none = BTreeSet::new();
        let pins = run.pins_in_use();
        let before = contents.runs.set(key.clone(), run);
        let pins_before = before.as_ref().map(CachedAnalysisRun::pins_in_use);
        let plugin_references = changed_references(pins_before.as_ref().map(|pins| (&none, pins)), (&none, &pins));
        let mut changes = ChangeSet { runs: BTreeSet::from([key.clone()]), plugin_references, ..ChangeSet::default() };
        changes.removed_run = before.as_ref().map(|before| before.uid.clone()).filter(|before| *before != uid);
        let owner_before = before.and_then(|before| before.owner);
        if owner_before != owner {
            if let Some(before) = &owner_before {
                contents.index.remove_run(&key, before);
                changes.rollouts.extend(contents.index.rollout(before).cloned());
            }
            if let Some(owner) = &owner {
                contents.index.add_run(&key, owner);
            }
        } else if same {
            return changes;
        }
        changes.rollouts.extend(owner.and_then(|owner| contents.index.rollout(&owner).cloned()));
        changes
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let mut changes = ChangeSet { runs: BTreeSet::from([key.clone()]), ..ChangeSet::default() };
        let Some(before) = contents.runs.remove(key) else { return changes };
        changes.plugin_references = changed_references(None, (&BTreeSet::new(), &before.pins_in_use()));
        if let Some(owner) = before.owner {
            contents.index.remove_run(key, &owner);
            changes.rollouts.extend(contents.index.rollout(&owner).cloned());
        }
        changes.removed_run = Some(before.uid);
        changes
    }

    fn rollouts_of_watch(contents: &Contents, _: &Scope) -> BTreeSet<Key> {
        contents.rollouts_with_analyses(None)
    }
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

        let same = [run("Running", 2), run("Failed", 2)].map(|next| next.has_same_outcome(&run("Running", 1)));

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
}
