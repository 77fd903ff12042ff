//! Reads and writes fields of JSON objects.

use serde_json::{Map, Value};

/// The value at a JSON pointer. Unlike [`Value::pointer`] it allocates nothing if the pointer has no escapes.
#[must_use]
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    let Some(steps) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(value) };
    steps.split('/').try_fold(value, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        // `Value::pointer` decides which texts are an index.
        Value::Array(_) => value.pointer(&format!("/{step}")),
        _ => None,
    })
}

/// A string, by its JSON pointer; empty if absent.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// An integer, by its JSON pointer.
#[must_use]
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    at(value, pointer).and_then(Value::as_i64)
}

/// The items of a list, by its JSON pointer; empty if absent.
pub fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Sets a field, and creates its parent objects.
pub fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let Some((first, rest)) = path.split_first() else {
        *value = new.into();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(fields) = value {
        set(fields.entry(*first).or_insert(Value::Null), rest, new);
    }
}

/// Sets a field that is absent or null.
pub fn default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let there = path.iter().try_fold(&*value, |value, step| value.get(step)).is_some_and(|found| !found.is_null());
    if !there {
        set(value, path, new);
    }
}

/// Removes a field and returns its value.
pub fn remove(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    let parent = way.iter().try_fold(value, |value, step| value.get_mut(step))?;
    parent.as_object_mut()?.remove(*last)
}

/// Sets or removes a field.
pub fn put(value: &mut Value, path: &[&str], new: Option<Value>) {
    match new {
        Some(new) => set(value, path, new),
        None => drop(remove(value, path)),
    }
}

/// Copies a field from another object, or removes it if it is absent there.
pub fn copy(from: &Value, to: &mut Value, path: &[&str]) {
    let found = path.iter().try_fold(from, |value, step| value.get(step));
    // Usually the field exists already.
    if found.is_none() || path.iter().try_fold(&*to, |value, step| value.get(step)) != found {
        put(to, path, found.cloned());
    }
}

/// Removes fields that are null, except in lists: typed objects do not keep them.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The metadata that the server itself reads and writes.
pub mod meta {
    use super::{Value, items, number, set, text};

    #[must_use]
    pub fn name(object: &Value) -> &str {
        text(object, "/metadata/name")
    }

    #[must_use]
    pub fn namespace(object: &Value) -> &str {
        text(object, "/metadata/namespace")
    }

    #[must_use]
    pub fn uid(object: &Value) -> &str {
        text(object, "/metadata/uid")
    }

    /// 0 if absent.
    #[must_use]
    pub fn version(object: &Value) -> u64 {
        text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
    }

    #[must_use]
    pub fn deleting(object: &Value) -> bool {
        !text(object, "/metadata/deletionTimestamp").is_empty()
    }

    #[must_use]
    pub fn grace(object: &Value) -> i64 {
        number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0)
    }

    #[must_use]
    pub fn finalizers(object: &Value) -> Vec<String> {
        items(object, "/metadata/finalizers").filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
        if finalizers.is_empty() {
            super::remove(object, &["metadata", "finalizers"]);
        } else {
            set(object, &["metadata", "finalizers"], finalizers);
        }
    }

    #[must_use]
    pub fn generation(object: &Value) -> Option<i64> {
        number(object, "/metadata/generation")
    }

    /// Increments the generation of an object that has one.
    pub fn raise_generation(object: &mut Value) {
        if let Some(generation) = generation(object).filter(|generation| *generation > 0) {
            set(object, &["metadata", "generation"], generation.saturating_add(1));
        }
    }

    pub fn owners(object: &Value) -> impl Iterator<Item = &Value> {
        items(object, "/metadata/ownerReferences")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn setting_a_field_creates_its_parent_objects() {
        let mut object = json!({});

        set(&mut object, &["a", "b"], 1);

        assert_eq!(object, json!({ "a": { "b": 1 } }));
    }

    #[test]
    fn a_pointer_gives_the_same_value_as_serde_json() {
        let value = json!({ "a": [{ "b/c": 1, "": 2 }, [3]], "": { "d": 4 }, "e": "text" });

        let pointers = ["", "/", "/a", "/a/0/b~1c", "/a/0/", "/a/1/0", "/a/01", "/a/-", "//d", "/e/f", "a", "/x/y"];
        for pointer in pointers {
            assert_eq!(at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn a_default_keeps_an_existing_value() {
        let mut object = json!({ "a": false, "b": null });

        default(&mut object, &["a"], true);
        default(&mut object, &["b"], true);

        assert_eq!(object, json!({ "a": false, "b": true }));
    }

    #[test]
    fn copying_an_absent_field_removes_it() {
        let mut to = json!({ "a": { "b": 1, "c": 2 } });

        copy(&json!({}), &mut to, &["a", "b"]);

        assert_eq!(to, json!({ "a": { "c": 2 } }));
    }
}
