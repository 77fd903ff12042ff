//! The schema of a CustomResourceDefinition: prunes unknown fields, sets defaults, validates.

mod cause;
mod formats;
mod lists;
mod node;
mod prune;
mod rules;
mod scale;
mod validate;

use serde_json::Value;

pub use cause::{Cause, Reason};
use node::Node;
use rules::Rules;
use scale::Scale;

/// Why a CustomResourceDefinition cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("version {0} has no openAPIV3Schema")]
    Missing(String),
    #[error("{field}: pattern {pattern:?} cannot be read: {detail}")]
    Pattern { field: String, pattern: String, detail: String },
    #[error("{field}: {name:?} is no type")]
    Type { field: String, name: String },
    #[error("rule cannot be compiled: {0}")]
    Rule(String),
}

/// The schema of one version of a custom resource.
#[derive(Debug)]
pub struct Schema {
    root: Node,
    rules: Option<Rules>,
    scale: Option<Scale>,
}

impl Schema {
    /// # Errors
    /// A version without a schema, or a schema that cannot be read.
    pub fn of_crd(crd: &Value, version: &str) -> Result<Self, SchemaError> {
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
        let mut versions = versions.into_iter().flatten();
        let found = versions.find(|candidate| candidate.get("name").and_then(Value::as_str) == Some(version));
        let schema = found.and_then(|version| version.pointer("/schema/openAPIV3Schema"));
        let schema = schema.ok_or_else(|| SchemaError::Missing(version.to_owned()))?;
        Ok(Self { root: Node::of(schema, "")?, rules: Rules::of(schema)?, scale: found.and_then(Scale::of) })
    }

    /// Prepares an object for storage. `old` is the stored object that it replaces: errors in unchanged parts are
    /// ignored, as since Kubernetes 1.33.
    ///
    /// # Errors
    /// All errors, as the causes of a 422.
    pub fn admit(&self, object: &mut Value, old: Option<&Value>) -> Result<(), Vec<Cause>> {
        self.prune(object);
        self.root.fill(object);
        let mut causes = Vec::new();
        validate::validate(&self.root, object, old, "", &mut causes);
        if let Some(scale) = &self.scale {
            scale.validate(object, &mut causes);
        }
        lists::validate(&self.root, object, "", &mut causes);
        if let Some(rules) = &self.rules {
            if causes.iter().any(|cause| cause.reason.blocks_rules()) {
                causes.push(Cause::unchecked_rules());
            } else {
                rules.validate(&self.root, object, old, &mut causes);
            }
        }
        if causes.is_empty() { Ok(()) } else { Err(causes) }
    }

    /// Drops the fields that the schema does not know, and fills defaults in.
    pub fn complete(&self, object: &mut Value) {
        self.prune(object);
        self.root.fill(object);
    }

    /// Drops the fields that the schema does not know.
    pub fn prune(&self, object: &mut Value) {
        self.root.prune(object, true);
    }

    /// The fields that pruning would drop, such as `spec.replica`, for `fieldValidation`.
    #[must_use]
    pub fn unknown_fields(&self, object: &Value) -> Vec<String> {
        let mut unknown = Vec::new();
        self.root.unknown(object, true, "", &mut unknown);
        unknown
    }
}

#[cfg(test)]
#[path = "schema/schema_tests.rs"]
mod tests;

#[cfg(test)]
mod places_tests;
