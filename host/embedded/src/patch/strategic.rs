//! Strategic merge patch: a merge patch with lists that are merged by key, and directives.

use serde_json::{Map, Value};

use super::PatchError;
use super::shape::{ListKeys, Merge, Shape};

type Object = Map<String, Value>;
type Merged<T> = Result<T, PatchError>;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// The alternative for custom resources.
const CUSTOM_RESOURCE_TYPES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// # Errors
/// A kind that does not take it (custom resources, 415), and a patch that is malformed.
pub fn strategic(target: &mut Value, patch: &Value, keys: &ListKeys) -> Merged<()> {
    if !keys.strategic {
        return Err(PatchError::Unsupported(CUSTOM_RESOURCE_TYPES.to_owned()));
    }
    let Value::Object(patch) = patch else {
        return Err(PatchError::BadRequest("invalid JSON document".to_owned()));
    };
    let original = target.as_object().cloned().unwrap_or_default();
    *target = Value::Object(merge_object(original, patch.clone(), &keys.root)?);
    Ok(())
}

fn unknown_directive(directive: &Value, patch: &Object) -> PatchError {
    let patch = Value::Object(patch.clone());
    PatchError::Internal(format!("unknown patch type: {} in map: {patch}", plain(directive)))
}

fn no_key(item: &Value, key: &str) -> PatchError {
    PatchError::Internal(format!("map: {item} does not contain declared merge key: {key}"))
}

fn not_a_list(value: &Value) -> PatchError {
    PatchError::Internal(format!("expected a list, but received {value}"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn merge_object(mut original: Object, mut patch: Object, shape: &Shape) -> Merged<Object> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Object::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_orders(&mut original, &mut patch, shape)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_VALUES) {
            let Value::Array(unwanted) = value else {
                return Err(PatchError::BadRequest("invalid patch format of primitive list".to_owned()));
            };
            if let Some(Value::Array(values)) = original.get_mut(list) {
                values.retain(|value| !unwanted.contains(value));
            }
            continue;
        }
        if value.is_null() {
            original.remove(&name);
            continue;
        }
        let merged = match (original.remove(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                Some(Value::Object(merge_object(old, new, shape.field(&name))?))
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Some(Value::Array(merge_list(old, new, shape.field(&name))?))
            }
            (_, new) => without_directives(new),
        };
        if let Some(merged) = merged {
            original.insert(name, merged);
        }
    }
    Ok(original)
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Merged<()> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let retained = retained.as_array().ok_or_else(malformed)?;
    let kept = |name: &str| retained.iter().any(|retained| retained.as_str() == Some(name));
    let exempt =
        |name: &str, value: &Value| value.is_null() || name.starts_with(DELETE_VALUES) || name.starts_with(ORDER);
    if patch.iter().any(|(name, value)| !exempt(name, value) && !kept(name)) {
        return Err(malformed());
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

/// Lists whose order the patch gives are merged here, and leave the patch.
fn set_orders(original: &mut Object, patch: &mut Object, shape: &Shape) -> Merged<()> {
    let ordered: Vec<String> = patch.keys().filter(|name| name.starts_with(ORDER)).cloned().collect();
    for directive in ordered {
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            other => return Err(not_a_list(&other.unwrap_or_default())),
        };
        let name = directive.strip_prefix(ORDER).unwrap_or_default();
        let list = |value: Option<&Value>| match value {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list.clone())),
            Some(other) => Err(not_a_list(other)),
        };
        let (old, new) = (list(original.get(name))?, list(patch.get(name))?);
        let shape = shape.field(name);
        let by = match &shape.merge {
            Some(Merge::Key(key)) => Some(key.as_str()),
            Some(Merge::Values) | None => None,
        };
        if let Some(new) = &new {
            follows(new, &order, by)?;
        }
        let before = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => new.into_iter().filter_map(without_directives).collect(),
            (Some(old), Some(new)) => merge_list(old, new, shape)?,
        };
        original.insert(name.to_owned(), Value::Array(in_order(merged, &order, &before, by)?));
        patch.remove(name);
    }
    Ok(())
}

/// The items of a patch come in the order that the patch gives.
fn follows(items: &[Value], order: &[Value], by: Option<&str>) -> Merged<()> {
    if items.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in items.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if !rest.any(|place| same(place, item, by)) {
            let (items, order) = (Value::from(items), Value::from(order));
            return Err(PatchError::Internal(format!(
                "The order in patch list:\n{items}\n doesn't match $setElementOrder list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

fn same(one: &Value, other: &Value, by: Option<&str>) -> bool {
    match by {
        None => one == other,
        // `plain`, because a number and its text are the same key to the API server.
        Some(key) => match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => plain(one) == plain(other),
            _ => false,
        },
    }
}

fn merge_list(old: Vec<Value>, new: Vec<Value>, shape: &Shape) -> Merged<Vec<Value>> {
    let before = old.clone();
    let (merged, by) = match &shape.merge {
        None => return Ok(new),
        Some(Merge::Values) => {
            let mut values: Vec<Value> = Vec::new();
            for value in old.into_iter().chain(new.iter().cloned()) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            (values, None)
        }
        Some(Merge::Key(key)) => match merge_items(old, &new, key, shape.item())? {
            Items::Replaced(items) => return Ok(items),
            Items::Merged(items) => (items, Some(key.as_str())),
        },
    };
    let order: Vec<Value> = new.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).collect();
    in_order(merged, &order, &before, by)
}

enum Items {
    Replaced(Vec<Value>),
    Merged(Vec<Value>),
}

fn merge_items(mut items: Vec<Value>, patch: &[Value], key: &str, shape: &Shape) -> Merged<Items> {
    let mut plain_items = Vec::new();
    let mut replaced = false;
    for item in patch {
        let Some(object) = item.as_object() else { return Err(no_key(item, key)) };
        match object.get(DIRECTIVE) {
            None => plain_items.push(item),
            Some(directive) => match directive.as_str() {
                Some("delete") if object.contains_key(key) => items.retain(|old| !same(old, item, Some(key))),
                Some("delete") => return Err(no_key(item, key)),
                Some("replace") => replaced = true,
                Some("merge") => {
                    return Err(PatchError::Internal("merging lists cannot yet be specified in the patch".to_owned()));
                }
                _ => return Err(unknown_directive(directive, object)),
            },
        }
    }
    if replaced {
        return Ok(Items::Replaced(plain_items.into_iter().cloned().collect()));
    }
    for item in plain_items {
        if item.get(key).is_none() {
            return Err(no_key(item, key));
        }
        match items.iter_mut().find(|old| same(old, item, Some(key))) {
            Some(old) => {
                let before = old.as_object().cloned().unwrap_or_default();
                let patch = item.as_object().cloned().unwrap_or_default();
                *old = Value::Object(merge_object(before, patch, shape)?);
            }
            None => items.extend(without_directives(item.clone())),
        }
    }
    Ok(Items::Merged(items))
}

/// Items that the patch names in the patch's order, the others in the order that they had.
fn in_order(items: Vec<Value>, order: &[Value], before: &[Value], by: Option<&str>) -> Merged<Vec<Value>> {
    if let Some(key) = by
        && let Some(item) = items.iter().find(|item| item.get(key).is_none())
    {
        return Err(no_key(item, key));
    }
    let place = |list: &[Value], item: &Value| list.iter().position(|place| same(place, item, by));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    others.sort_by_key(|item| place(before, item));
    let mut sorted = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (named.peek(), others.peek()) {
            (None, None) => return Ok(sorted),
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some(named), Some(other)) => match (place(before, other), place(before, named)) {
                (Some(other), Some(named)) => other < named,
                _ => false,
            },
        };
        sorted.extend(if other_first { others.next() } else { named.next() });
    }
}

/// A value that was not there before, as it is stored: without nulls and directives. Nothing if it asks for its own removal.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut object) => {
            if object.remove(DIRECTIVE).is_some_and(|directive| directive == "delete") {
                return None;
            }
            let kept = object.into_iter().filter(|(name, value)| {
                !value.is_null() && name != RETAIN_KEYS && !name.starts_with(ORDER) && !name.starts_with(DELETE_VALUES)
            });
            Some(kept.filter_map(|(name, value)| Some((name, without_directives(value)?))).collect())
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

#[cfg(test)]
#[path = "strategic_tests.rs"]
mod tests;
