//! `x-kubernetes-validations`: rules in CEL.

use std::fmt;

use kube_cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde_json::Value;

use super::SchemaError;
use super::cause::Cause;
use super::node::Node;

pub(super) struct Rules {
    schema: CompiledSchema,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rules").finish_non_exhaustive()
    }
}

const RULES: &str = "x-kubernetes-validations";
const OLD: &str = "oldSelf";

impl Rules {
    /// Nothing if the schema has no rules.
    pub fn of(schema: &Value) -> Result<Option<Self>, SchemaError> {
        if !has_rules(schema) {
            return Ok(None);
        }
        let compiled = compile_schema(schema);
        match first_error(&compiled) {
            Some(words) => Err(SchemaError::Rule(words)),
            None => Ok(Some(Self { schema: compiled })),
        }
    }

    pub fn validate(&self, root: &Node, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
        let Err(errors) = Validator::new().validate_compiled(&self.schema, object, old) else { return };
        let mut found: Vec<ValidationError> = errors.into_vec();
        found.sort_by(|one, other| one.field_path.cmp(&other.field_path));
        let let_pass = |error: &ValidationError| {
            // A rule about one value alone is not held against a value that has not changed.
            error.kind == ErrorKind::ValidationFailure
                && !error.rule.contains(OLD)
                && old.is_some_and(|old| {
                    let (before, now) = (find(old, &error.field_path), find(object, &error.field_path));
                    now.is_some() && before == now
                })
        };
        causes.extend(found.iter().filter(|error| !let_pass(error)).map(|error| cause(root, error)));
    }
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => object.contains_key(RULES) || object.values().any(has_rules),
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

fn first_error(schema: &CompiledSchema) -> Option<String> {
    let own = schema.validations.iter().find_map(|rule| rule.as_ref().err().map(ToString::to_string));
    let inner =
        schema.properties.values().chain(schema.items.as_deref()).chain(schema.additional_properties.as_deref());
    own.or_else(|| inner.chain(&schema.all_of).chain(&schema.one_of).chain(&schema.any_of).find_map(first_error))
}

fn cause(root: &Node, error: &ValidationError) -> Cause {
    let field = error.field_path.as_str();
    match (error.kind.clone(), error.reason.as_deref()) {
        (ErrorKind::ValidationFailure, Some("FieldValueForbidden")) => Cause::forbidden(field, &error.message),
        (ErrorKind::ValidationFailure, Some("FieldValueRequired")) => Cause::required(field, &error.message),
        (ErrorKind::ValidationFailure, Some("FieldValueDuplicate")) => {
            Cause::duplicate(field, &type_at(root, field).into())
        }
        _ => Cause::invalid(field, &type_at(root, field).into(), &error.message),
    }
}

/// Keys and indices of a path such as `spec.rules[0].matches`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
}

fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path).try_fold(object, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// The API server names a value by its type alone.
fn type_at(root: &Node, path: &str) -> String {
    let node = steps(path).try_fold(root, |node, step| node.of_key(step).or(node.items.as_deref()));
    node.map(Node::type_name).unwrap_or_default()
}
