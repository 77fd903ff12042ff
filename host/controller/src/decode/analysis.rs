//! AnalysisRuns, and the templates that they are made from.

use std::sync::Arc;

use kulta_api::analysis::{AnalysisRun, AnalysisTemplateSpec};
use kulta_api::{AnalysisPhase, FieldError, decode_as};
use serde_json::Value;

use super::replica_set::controlling_rollout;
use crate::object::{Object, text, version};
use crate::packed::Packed;

#[derive(Clone, Debug)]
pub struct CachedRun {
    pub version: u64,
    pub resource_version: String,
    pub uid: String,
    /// Uid of the Rollout that controls it; `None` when something else does, or nothing.
    pub owner: Option<String>,
    /// Its status says that it has ended.
    pub ended: bool,
    object: Packed,
}

#[must_use]
pub fn analysis_run(mut object: Object) -> CachedRun {
    object.trim();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let resource_version = text(metadata, "resourceVersion").to_owned();
    let phase = object.json.pointer("/status/phase").cloned().unwrap_or_default();
    CachedRun {
        version: version(&resource_version),
        resource_version,
        uid: text(metadata, "uid").to_owned(),
        owner: controlling_rollout(metadata),
        ended: serde_json::from_value(phase).is_ok_and(AnalysisPhase::is_completed),
        object: Packed::of(&object.json),
    }
}

impl CachedRun {
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
}

/// Both kinds: their specs are the same.
#[must_use]
pub fn template(object: &Object) -> CachedTemplate {
    #[derive(serde::Deserialize)]
    struct Template {
        #[serde(default)]
        spec: AnalysisTemplateSpec,
    }
    CachedTemplate { spec: decode_as::<Template>(&object.json).map(|template| Arc::new(template.spec)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
