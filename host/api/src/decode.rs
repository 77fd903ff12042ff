//! Decodes objects from the API server's JSON; an error has the field's path.

use std::sync::{LazyLock, OnceLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::crd::Kind;
use crate::field_error::{FieldError, Path};
use crate::rollout::Rollout;
use crate::strategy::CanaryFields;

/// # Errors
/// If a field cannot be decoded: its path and the expected type.
pub fn decode(object: &Value) -> Result<Rollout, FieldError> {
    read(object, &Path::default()).map_err(|error| refined(object, error))
}

/// Decodes an object of another kind, such as an AnalysisRun.
///
/// # Errors
/// If a field cannot be decoded: its path and the expected type.
pub fn decode_as<T: DeserializeOwned>(object: &Value) -> Result<T, FieldError> {
    read(object, &Path::default())
}

/// Decodes the part of an object at that path.
pub(crate) fn read<T: DeserializeOwned>(value: &Value, at: &Path) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().iter().fold(at.clone(), |path, segment| match segment {
            Segment::Seq { index } => path.index(*index),
            Segment::Map { key } => path.field(key),
            Segment::Enum { variant } => path.field(variant),
            Segment::Unknown => path,
        });
        path.error(error.into_inner().to_string())
    })
}

/// serde loses the path inside a flattened struct. The fields that strategies share are one, so they are decoded once
/// more by themselves.
fn refined(object: &Value, error: FieldError) -> FieldError {
    ["canary", "plugin"]
        .into_iter()
        .map(|strategy| (strategy, Path::new("spec").field("strategy").field(strategy)))
        .find(|(_, path)| path.as_str() == error.path)
        .and_then(|(strategy, path)| {
            let fields = object.pointer("/spec/strategy")?.get(strategy)?;
            read::<CanaryFields>(fields, &path).err()
        })
        .unwrap_or(error)
}

/// What a permissive CRD lets through, and KULTA's CRD prunes or refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unchecked {
    /// Fields that the API does not have: typos, or fields newer than this build. Argo Rollouts ignores them.
    pub unknown_fields: Vec<FieldError>,
    /// Lists in the place of objects. serde would decode one as an object's fields in order; Argo Rollouts cannot decode it.
    pub lists_for_objects: Vec<FieldError>,
}

/// Compares a Rollout's `spec` with the schema of KULTA's CRD.
#[must_use]
pub fn unchecked(object: &Value) -> Unchecked {
    unchecked_of(Kind::Rollout, object)
}

/// Compares an object's `spec` with the schema of its kind in KULTA's CRDs.
#[must_use]
pub fn unchecked_of(kind: Kind, object: &Value) -> Unchecked {
    // Each schema takes some time and memory, and most clusters use only a few of the kinds.
    static SCHEMAS: LazyLock<Vec<(Kind, OnceLock<Option<JSONSchemaProps>>)>> =
        LazyLock::new(|| Kind::ALL.into_iter().map(|kind| (kind, OnceLock::new())).collect());
    let mut found = Unchecked::default();
    let schema = SCHEMAS.iter().find(|(of, _)| *of == kind);
    let schema = schema.and_then(|(_, schema)| schema.get_or_init(|| spec_schema(kind)).as_ref());
    if let (Some(schema), Some(spec)) = (schema, object.get("spec")) {
        collect(schema, spec, &Path::new("spec"), &mut found);
    }
    found
}

fn spec_schema(kind: Kind) -> Option<JSONSchemaProps> {
    let version = kind.definition().spec.versions.into_iter().next()?;
    version.schema?.open_api_v3_schema?.properties?.remove("spec")
}

/// The type of a schema whose values have fields.
const OBJECT: &str = "object";

fn collect(schema: &JSONSchemaProps, value: &Value, at: &Path, found: &mut Unchecked) {
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = at.field(name);
                let known = schema.properties.as_ref().and_then(|properties| properties.get(name));
                match (known, &schema.additional_properties) {
                    (Some(schema), _) => collect(schema, value, &path, found),
                    (None, Some(JSONSchemaPropsOrBool::Schema(schema))) => {
                        collect(schema, value, &path, found);
                    }
                    (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
                    (None, _) => found.unknown_fields.push(path.error("is not a field of the API")),
                }
            }
        }
        Value::Array(_) if schema.type_.as_deref() == Some(OBJECT) => {
            found.lists_for_objects.push(at.error("must be an object, not a list"));
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    collect(schema, item, &at.index(index), found);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::{AnalysisRun, ClusterAnalysisTemplate};

    fn object(spec: Value) -> Value {
        json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": "shop" }, "spec": spec })
    }

    #[test]
    fn a_list_instead_of_an_object_is_reported_by_its_path() {
        let steps = json!([{ "pause": ["5m"] }]);

        let found = unchecked(&object(json!({ "strategy": { "canary": { "steps": steps } } })));

        let errors: Vec<String> = found.lists_for_objects.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["spec.strategy.canary.steps[0].pause: must be an object, not a list"]);
    }

    #[test]
    fn an_undecodable_field_is_reported_by_its_path() {
        for (spec, path) in [
            (json!({ "replicas": "x" }), "spec.replicas"),
            (json!({ "selector": { "matchLabels": { "app": 1 } } }), "spec.selector.matchLabels.app"),
            (
                json!({ "strategy": { "canary": { "steps": [{}, { "setWeight": "5" }] } } }),
                "spec.strategy.canary.steps[1].setWeight",
            ),
            (
                json!({ "strategy": { "canary": { "trafficRouting": { "maxTrafficWeight": [] } } } }),
                "spec.strategy.canary.trafficRouting.maxTrafficWeight",
            ),
            (
                json!({ "strategy": { "plugin": { "name": "linear", "canaryService": 7 } } }),
                "spec.strategy.plugin.canaryService",
            ),
            (json!({ "strategy": { "canary": 5 } }), "spec.strategy.canary"),
            (json!({ "restartAt": "yesterday" }), "spec.restartAt"),
            (json!([]), "spec"),
        ] {
            let error = decode(&object(spec)).unwrap_err();

            assert_eq!(error.path, path, "{error}");
        }
    }

    #[test]
    fn an_undecodable_status_is_reported_by_its_path() {
        let mut object = object(json!({}));
        object["status"] = json!({ "pauseConditions": [{ "reason": "Whim", "startTime": "2026-01-01T00:00:00Z" }] });

        let error = decode(&object).unwrap_err();

        assert_eq!(error.path, "status.pauseConditions[0].reason");
    }

    #[test]
    fn a_rollout_without_a_spec_is_reported() {
        let error = decode(&json!({ "metadata": {} })).unwrap_err();

        assert!(error.to_string().contains("spec"), "{error}");
    }

    #[test]
    fn an_undecodable_field_of_an_analysis_run_is_reported_by_its_path() {
        for (spec, path) in [
            (json!({ "metrics": [{ "name": "a", "count": [] }] }), "spec.metrics[0].count"),
            (json!({ "metrics": [{ "name": "a", "successCondition": true }] }), "spec.metrics[0].successCondition"),
            (json!({ "metrics": [{ "name": "a", "provider": "web" }] }), "spec.metrics[0].provider"),
            (json!({ "args": [{ "name": "a", "value": 1 }] }), "spec.args[0].value"),
        ] {
            let error = decode_as::<AnalysisRun>(&object(spec)).unwrap_err();

            assert_eq!(error.path, path, "{error}");
        }
    }

    #[test]
    fn an_undecodable_field_of_a_cluster_template_is_reported_by_its_path() {
        let error = decode_as::<ClusterAnalysisTemplate>(&object(json!({ "templates": [{ "templateName": 5 }] })));

        assert_eq!(error.unwrap_err().path, "spec.templates[0].templateName");
    }

    #[test]
    fn an_unknown_field_of_an_analysis_template_is_reported_but_a_provider_may_have_any() {
        let object = object(json!({ "metrics": [{
            "name": "a", "failurelimit": 3, "provider": { "anything": { "goes": true } },
        }] }));

        let paths: Vec<_> =
            unchecked_of(Kind::AnalysisTemplate, &object).unknown_fields.into_iter().map(|error| error.path).collect();

        assert_eq!(paths, ["spec.metrics[0].failurelimit"]);
    }

    #[test]
    fn an_unknown_field_is_reported() {
        let object = object(json!({
            "replica": 3,
            "template": { "spec": { "fieldOfTheFuture": 1 } },
            "strategy": { "canary": {
                "canaryMetadata": { "labels": { "any": "key" } },
                "steps": [{ "setWieght": 5 }],
                "trafficRouting": { "plugins": { "anything": { "goes": true } } },
            } },
        }));

        let mut paths: Vec<_> = unchecked(&object).unknown_fields.into_iter().map(|error| error.path).collect();
        paths.sort();

        assert_eq!(paths, ["spec.replica", "spec.strategy.canary.steps[0].setWieght"]);
    }
}
