//! Validates configurations against the JSON Schema that the plugin publishes.

use crate::error::{ConfigError, LoadError, shortened};
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;
use std::fmt::Write as _;

/// Schemas are written by hand or derived from a few types; a larger one is a mistake or an attack.
const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// A user fixes a few errors at a time; conditions have no room for more.
const MAX_ERRORS: usize = 16;

pub(crate) struct ConfigSchema {
    text: String,
    validator: Validator,
}

impl ConfigSchema {
    pub(crate) fn parse(text: String) -> Result<Self, LoadError> {
        if text.len() > MAX_SCHEMA_BYTES {
            let bytes = text.len();
            return Err(LoadError::Schema(format!("{bytes} bytes; at most {MAX_SCHEMA_BYTES}")));
        }
        let schema: Value = serde_json::from_str(&text).map_err(|error| LoadError::Schema(error.to_string()))?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            // Linear time, whatever pattern the schema contains.
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| LoadError::Schema(shortened(error.to_string())))?;
        Ok(Self { text, validator })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// All errors up to a limit; empty if the configuration is valid.
    pub(crate) fn errors(&self, config: &Value) -> Vec<ConfigError> {
        self.validator.iter_errors(config).flat_map(|error| explain(&error)).take(MAX_ERRORS).collect()
    }

    /// The configuration without the fields that the schema does not know, as an API server prunes an object, and their paths.
    pub(crate) fn prune(&self, config: &Value) -> (Value, Vec<String>) {
        let mut pruned = config.clone();
        let mut paths = Vec::new();
        for (at, field) in self.validator.iter_errors(config).flat_map(|error| unknown_fields(&error)) {
            let fields = pruned.pointer_mut(at.as_str()).and_then(Value::as_object_mut);
            if fields.is_some_and(|fields| fields.remove(&field).is_some()) {
                paths.push(joined(&dotted(&at), &field));
            }
        }
        (pruned, paths)
    }
}

/// The fields that are unknown, each with the place of the object that has it.
fn unknown_fields(error: &ValidationError<'_>) -> Vec<(Location, String)> {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|field| (error.instance_path().clone(), field.clone())).collect()
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            best_fit(error, context).into_iter().flatten().flat_map(unknown_fields).collect()
        }
        _ => Vec::new(),
    }
}

/// An unknown or missing field is named by its own path, not its parent's. For alternatives, the errors are those of
/// the intended one.
fn explain(error: &ValidationError<'_>) -> Vec<ConfigError> {
    let path = dotted(error.instance_path());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|field| ConfigError { path: joined(&path, field), message: "unknown field".to_owned() })
            .collect(),
        ValidationErrorKind::Required { property: Value::String(field) } => {
            vec![ConfigError { path: joined(&path, field), message: "required".to_owned() }]
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match best_fit(error, context) {
                Some(errors) => errors.iter().flat_map(explain).collect(),
                None => vec![plain(path, error)],
            }
        }
        _ => vec![plain(path, error)],
    }
}

/// The one alternative that accepts a value of this type (an optional field's other one is `null`); `None` if several
/// do.
fn best_fit<'a>(
    whole: &ValidationError<'_>,
    alternatives: &'a [Vec<ValidationError<'static>>],
) -> Option<&'a [ValidationError<'static>]> {
    let mut fitting = alternatives.iter().filter(|errors| {
        !errors.iter().any(|error| {
            matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path() == whole.instance_path()
        })
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn plain(path: String, error: &ValidationError<'_>) -> ConfigError {
    ConfigError { path, message: shortened(error.to_string()) }
}

fn dotted(location: &Location) -> String {
    let mut path = String::new();
    for segment in location {
        match segment {
            LocationSegment::Property(name) => path = joined(&path, &name),
            LocationSegment::Index(index) => {
                // Writing to a String cannot fail.
                let _ = write!(path, "[{index}]");
            }
        }
    }
    path
}

fn joined(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(schema: Value) -> ConfigSchema {
        ConfigSchema::parse(schema.to_string()).unwrap()
    }

    #[test]
    fn errors_are_named_by_the_path_of_their_field() {
        let schema = schema(json!({
            "type": "object",
            "required": ["a"],
            "additionalProperties": false,
            "properties": {"a": {}, "list": {"items": {"properties": {"b": {"type": "integer"}}}}}
        }));
        let errors = schema.errors(&json!({"list": [{}, {"b": "x"}], "extra": 1}));
        let mut shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        shown.sort();
        assert_eq!(shown, ["a: required", "extra: unknown field", "list[1].b: \"x\" is not of type \"integer\""]);
    }

    #[test]
    fn of_several_alternatives_the_one_of_the_values_type_reports_its_errors() {
        let pause = json!({"type": "object", "additionalProperties": false, "properties": {"for": {"minimum": 0}}});
        let schema = schema(json!({"properties": {"pause": {"anyOf": [pause, {"type": "null"}]}}}));
        for (config, error) in [
            (json!({"pause": {"for": -1}}), "pause.for: -1 is less than the minimum of 0"),
            (json!({"pause": {"until": 1}}), "pause.until: unknown field"),
        ] {
            assert_eq!(schema.errors(&config)[0].to_string(), error);
        }
        let neither = schema.errors(&json!({"pause": 5}));
        assert_eq!((neither.len(), neither[0].path.as_str()), (1, "pause"));
        assert_eq!(schema.errors(&json!({"pause": null})), []);
    }

    #[test]
    fn a_flood_of_errors_is_cut() {
        let schema = schema(json!({"items": {"type": "string"}}));
        let errors = schema.errors(&json!(vec![1; 1_000]));
        assert_eq!(errors.len(), MAX_ERRORS);
    }

    #[test]
    fn unknown_fields_are_pruned_at_any_depth_and_named() {
        let part = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false});
        let schema = schema(json!({
            "type": "object", "additionalProperties": false,
            "properties": {"list": {"items": part}, "maybe": {"anyOf": [part, {"type": "null"}]}},
        }));
        let config = json!({"list": [{"a": 1, "x": 2}], "maybe": {"a": 1, "y/z": {}}, "extra": {"a": 1}});

        let (pruned, mut paths) = schema.prune(&config);

        paths.sort();
        assert_eq!(pruned, json!({"list": [{"a": 1}], "maybe": {"a": 1}}));
        assert_eq!(paths, ["extra", "list[0].x", "maybe.y/z"]);
    }

    #[test]
    fn what_fits_is_not_pruned_and_neither_is_a_value_of_the_wrong_type() {
        let schema = schema(json!({
            "type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false,
        }));

        for config in [json!({"a": 1}), json!({"a": "x"}), json!([])] {
            assert_eq!(schema.prune(&config), (config.clone(), Vec::new()));
        }
    }

    #[test]
    fn a_schema_that_is_invalid_or_refers_elsewhere_is_rejected() {
        for text in [
            "{".to_owned(),
            r#"{"type":"nonsense"}"#.to_owned(),
            r#"{"$ref":"https://example.invalid/schema.json"}"#.to_owned(),
            format!(r#"{{"description":"{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES)),
        ] {
            let refused = ConfigSchema::parse(text.clone()).map(|_| ());
            assert!(matches!(refused, Err(LoadError::Schema(_))), "{text:.60}: {refused:?}");
        }
    }
}
