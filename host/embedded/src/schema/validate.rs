//! Validation against the structure of a schema.

use serde_json::{Map, Value};

use super::cause::Cause;
use super::node::{Bound, ListType, Node, Type};

/// Collects the faults of a value. What has not changed is let pass.
pub(super) fn validate(node: &Node, value: &Value, old: Option<&Value>, field: &str, causes: &mut Vec<Cause>) {
    if old == Some(value) {
        return;
    }
    if value.is_null() {
        if !node.nullable && !node.types.is_empty() {
            causes.push(Cause::wrong_type(field, &"null".into(), &node.type_name(), "null"));
        }
        return;
    }
    let found = type_of(value);
    if !node.types.is_empty() && !node.types.iter().any(|wanted| fits(*wanted, value)) {
        causes.push(Cause::wrong_type(field, &found.as_str().into(), &node.type_name(), found.as_str()));
        return;
    }
    alternatives(node, value, field, causes);
    match value {
        Value::String(text) => string(node, text, field, causes),
        Value::Number(_) => number(node, value, field, causes),
        Value::Array(items) => array(node, items, old, field, causes),
        Value::Object(_) | Value::Bool(_) | Value::Null => {}
    }
    if !node.allowed.is_empty() && !node.allowed.contains(value) {
        causes.push(Cause::not_supported(field, value, &node.allowed));
    }
    if let Value::Object(fields) = value {
        object(node, fields, old, field, causes);
    }
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Boolean,
        Value::Number(number) if number.is_f64() => Type::Number,
        Value::Number(_) => Type::Integer,
        Value::String(_) => Type::String,
        Value::Array(_) => Type::Array,
        Value::Object(_) | Value::Null => Type::Object,
    }
}

fn fits(wanted: Type, value: &Value) -> bool {
    match wanted {
        Type::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Type::Number => value.is_number(),
        other => other == type_of(value),
    }
}

fn name(field: &str) -> &str {
    field.trim_start_matches('.')
}

fn string(node: &Node, text: &str, field: &str, causes: &mut Vec<Cause>) {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let value = Value::from(text);
    if let Some(max) = node.max_length.filter(|max| length > *max) {
        causes.push(Cause::too_long(field, max));
    }
    if let Some(min) = node.min_length.filter(|min| length < *min) {
        let words = format!("{} in body should be at least {min} chars long", name(field));
        causes.push(Cause::invalid(field, &value, &words));
    }
    if let Some(pattern) = node.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        let words = format!("{} in body should match '{pattern}'", name(field));
        causes.push(Cause::invalid(field, &value, &words));
    }
    if let Some(format) = node.format.filter(|format| !format.accepts(text)) {
        causes.push(Cause::wrong_type(field, &value, format.as_str(), text));
    }
}

fn number(node: &Node, value: &Value, field: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    let mut refuse = |bound: &Bound, relation: &str| {
        let or_equal = if bound.exclusive { "" } else { " or equal to" };
        let than = if bound.exclusive { relation.to_owned() } else { format!("{relation}{or_equal}") };
        let words = format!("{} in body should be {than} {}", name(field), bound.value);
        causes.push(Cause::invalid(field, value, &words));
    };
    if let Some(bound) = &node.maximum
        && let Some(max) = bound.value.as_f64()
        && (number > max || (bound.exclusive && number >= max))
    {
        refuse(bound, "less than");
    }
    if let Some(bound) = &node.minimum
        && let Some(min) = bound.value.as_f64()
        && (number < min || (bound.exclusive && number <= min))
    {
        refuse(bound, "greater than");
    }
    if let Some(step) = node.multiple_of.filter(|step| (number / step).fract() != 0.0) {
        let words = format!("{} in body should be a multiple of {step}", name(field));
        causes.push(Cause::invalid(field, value, &words));
    }
}

fn count<T>(items: impl ExactSizeIterator<Item = T>) -> (usize, u64) {
    let length = items.len();
    (length, u64::try_from(length).unwrap_or(u64::MAX))
}

fn array(node: &Node, items: &[Value], old: Option<&Value>, field: &str, causes: &mut Vec<Cause>) {
    let (length, size) = count(items.iter());
    if let Some(max) = node.max_items.filter(|max| size > *max) {
        causes.push(Cause::too_many(field, length, max));
    }
    if let Some(min) = node.min_items.filter(|min| size < *min) {
        let words = format!("{} in body should have at least {min} items", name(field));
        causes.push(Cause::invalid(field, &length.into(), &words));
    }
    let Some(inner) = &node.items else { return };
    let old = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let old = counterpart(&node.list, item, old);
        // Also seen to by `validate`; here no path is made for it.
        if old != Some(item) {
            validate(inner, item, old, &format!("{field}[{index}]"), causes);
        }
    }
}

/// The same item in the old list, where items can be told apart.
fn counterpart<'a>(list: &ListType, item: &Value, old: &'a [Value]) -> Option<&'a Value> {
    match list {
        ListType::Map(keys) => old.iter().find(|before| keys.iter().all(|key| before.get(key) == item.get(key))),
        ListType::Set | ListType::Atomic => None,
    }
}

fn object(node: &Node, fields: &Map<String, Value>, old: Option<&Value>, field: &str, causes: &mut Vec<Cause>) {
    let (length, size) = count(fields.iter());
    if let Some(min) = node.min_properties.filter(|min| size < *min) {
        let words = format!("{} in body should have at least {min} properties", name(field));
        causes.push(Cause::invalid(field, &length.into(), &words));
    }
    if let Some(max) = node.max_properties.filter(|max| size > *max) {
        causes.push(Cause::too_many(field, length, max));
    }
    for (key, value) in fields {
        if let Some(inner) = node.of_key(key) {
            let old = old.and_then(|old| old.get(key));
            if old != Some(value) {
                validate(inner, value, old, &format!("{field}.{key}"), causes);
            }
        }
    }
    for required in node.required.iter().filter(|required| !fields.contains_key(*required)) {
        causes.push(Cause::required(&format!("{field}.{required}"), ""));
    }
}

fn faults(node: &Node, value: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    validate(node, value, None, field, &mut causes);
    causes
}

/// `anyOf`, `oneOf`, `allOf` and `not`.
fn alternatives(node: &Node, value: &Value, field: &str, causes: &mut Vec<Cause>) {
    // These errors have no field.
    let refuse = |words: &str| Cause::invalid("<nil>", &"".into(), &format!("{:?} {words}", name(field)));
    let of = |nodes: &[Node]| nodes.iter().map(|node| faults(node, value, field)).collect::<Vec<_>>();
    let any = of(&node.any_of);
    if !any.is_empty() && any.iter().all(|faults| !faults.is_empty()) {
        causes.push(refuse("must validate at least one schema (anyOf)"));
        causes.extend(any.into_iter().next().into_iter().flatten());
    }
    let one = of(&node.one_of);
    let fitting = one.iter().filter(|faults| faults.is_empty()).count();
    if !one.is_empty() && fitting != 1 {
        let found =
            if fitting == 0 { "Found none valid".to_owned() } else { format!("Found {fitting} valid alternatives") };
        causes.push(refuse(&format!("must validate one and only one schema (oneOf). {found}")));
        if fitting == 0 {
            causes.extend(one.into_iter().next().into_iter().flatten());
        }
    }
    let all = of(&node.all_of);
    let failing = all.iter().filter(|faults| !faults.is_empty()).count();
    if failing > 0 {
        let none = if failing == all.len() { ". None validated" } else { "" };
        causes.extend(all.into_iter().flatten());
        causes.push(refuse(&format!("must validate all the schemas (allOf){none}")));
    }
    if node.not.as_ref().is_some_and(|not| faults(not, value, field).is_empty()) {
        causes.push(refuse("must not validate the schema (not)"));
    }
}
