//! `x-kubernetes-validations`: rules in CEL.

use std::fmt;

use kube_cel::{CompiledSchema, ErrorKind, SchemaFormat, ValidationError, compile_schema, validate_compiled};
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
    /// `None` if the schema has no rules.
    pub fn of(schema: &Value) -> Result<Option<Self>, SchemaError> {
        if !has_rules(schema) {
            return Ok(None);
        }
        let mut compiled = compile_schema(schema);
        if let Some(words) = first_error(&compiled) {
            return Err(SchemaError::Rule(words));
        }
        drop_inert(&mut compiled);
        Ok(Some(Self { schema: compiled }))
    }

    pub fn validate(&self, root: &Node, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
        let mut found = Vec::new();
        judge(&self.schema, object, old, "", &mut found);
        found.sort_by(|one, other| one.field_path.cmp(&other.field_path));
        let let_pass = |error: &ValidationError| {
            // A rule about a value alone is not evaluated for an unchanged value.
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

/// Removes places without rules whose values need no schema: for each place that the schema keeps, the evaluation
/// creates CEL values of everything below.
fn drop_inert(schema: &mut CompiledSchema) {
    schema.items = schema.items.take().and_then(worth_keeping);
    schema.additional_properties = schema.additional_properties.take().and_then(worth_keeping);
    // Named properties are not additional properties.
    let rest_is_judged = schema.additional_properties.is_some();
    schema.properties.retain(|_, property| {
        drop_inert(property);
        rest_is_judged || !is_inert(property)
    });
}

fn worth_keeping(mut schema: Box<CompiledSchema>) -> Option<Box<CompiledSchema>> {
    drop_inert(&mut schema);
    (!is_inert(&schema)).then_some(schema)
}

/// Of a schema that has been through [`drop_inert`].
fn is_inert(schema: &CompiledSchema) -> bool {
    judges_nothing_itself(schema)
        && schema.properties.is_empty()
        && schema.items.is_none()
        && schema.additional_properties.is_none()
        && !schema.is_map
        && !schema.embedded_resource
        && schema.default.is_none()
        && matches!(schema.format, SchemaFormat::None | SchemaFormat::IntOrString)
}

fn judges_nothing_itself(schema: &CompiledSchema) -> bool {
    schema.validations.is_empty() && schema.all_of.is_empty() && schema.one_of.is_empty() && schema.any_of.is_empty()
}

/// Descends to the places with rules, so that only these become CEL values.
fn judge(schema: &CompiledSchema, value: &Value, old: Option<&Value>, path: &str, found: &mut Vec<ValidationError>) {
    if !judges_nothing_itself(schema) {
        let errors = validate_compiled(schema, value, old).err().into_iter();
        found.extend(errors.flat_map(|errors| errors.into_vec()).map(|mut error| {
            error.field_path = joined(path, &error.field_path);
            error
        }));
        return;
    }
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                let open = schema.additional_properties.as_deref().filter(|_| !schema.preserve_unknown_fields);
                if let Some(schema) = schema.properties.get(key).or(open) {
                    judge(schema, inner, old.and_then(|old| old.get(key)), &joined(path, key), found);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = &schema.items else { return };
            let old = old.and_then(Value::as_array);
            for (index, item) in items.iter().enumerate() {
                judge(schema, item, old.and_then(|old| old.get(index)), &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// A path below another; of the two either may be empty.
fn joined(path: &str, below: &str) -> String {
    if path.is_empty() || below.is_empty() || below.starts_with(['.', '[']) {
        format!("{path}{below}")
    } else {
        format!("{path}.{below}")
    }
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

/// The API server names a value by its type only.
fn type_at(root: &Node, path: &str) -> String {
    let node = steps(path).try_fold(root, |node, step| node.of_key(step).or(node.items.as_deref()));
    node.map(Node::type_name).unwrap_or_default()
}
