//! Reading and writing fields of objects, which are JSON throughout.

use serde_json::{Map, Value};

/// What a JSON pointer points to. Unlike [`Value::pointer`] it makes no new texts on its way, if nothing in the pointer is escaped.
#[must_use]
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    let Some(steps) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(value) };
    steps.split('/').try_fold(value, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        // Which texts are an index is not decided here.
        Value::Array(_) => value.pointer(&format!("/{step}")),
        _ => None,
    })
}

/// A text, by its JSON pointer; empty when absent.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number, by its JSON pointer.
#[must_use]
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    at(value, pointer).and_then(Value::as_i64)
}

/// The items of a list, by its JSON pointer; none when absent.
pub fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Writes a field, and makes the objects on the way to it.
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

/// Writes a field that is absent or null.
pub fn default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let there = path.iter().try_fold(&*value, |value, step| value.get(step)).is_some_and(|found| !found.is_null());
    if !there {
        set(value, path, new);
    }
}

/// Takes a field away, with what it held.
pub fn remove(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    let parent = way.iter().try_fold(value, |value, step| value.get_mut(step))?;
    parent.as_object_mut()?.remove(*last)
}

/// Writes a field, or takes it away.
pub fn put(value: &mut Value, path: &[&str], new: Option<Value>) {
    match new {
        Some(new) => set(value, path, new),
        None => drop(remove(value, path)),
    }
}

/// Copies a field from another object, absence included.
pub fn copy(from: &Value, to: &mut Value, path: &[&str]) {
    let found = path.iter().try_fold(from, |value, step| value.get(step));
    // Mostly it is there already.
    if found.is_none() || path.iter().try_fold(&*to, |value, step| value.get(step)) != found {
        put(to, path, found.cloned());
    }
}

/// Takes away fields that are null, except in lists: typed objects do not keep them.
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

    /// 0 when there is none.
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

    /// Raises the generation of an object that has one.
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
    fn a_field_is_written_through_objects_that_are_not_there_yet() {
        let mut object = json!({});

        set(&mut object, &["a", "b"], 1);

        assert_eq!(object, json!({ "a": { "b": 1 } }));
    }

    #[test]
    fn a_pointer_leads_where_serde_json_says() {
        let value = json!({ "a": [{ "b/c": 1, "": 2 }, [3]], "": { "d": 4 }, "e": "text" });

        let pointers = ["", "/", "/a", "/a/0/b~1c", "/a/0/", "/a/1/0", "/a/01", "/a/-", "//d", "/e/f", "a", "/x/y"];
        for pointer in pointers {
            assert_eq!(at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn a_default_leaves_what_is_there() {
        let mut object = json!({ "a": false, "b": null });

        default(&mut object, &["a"], true);
        default(&mut object, &["b"], true);

        assert_eq!(object, json!({ "a": false, "b": true }));
    }

    #[test]
    fn copying_what_is_absent_removes() {
        let mut to = json!({ "a": { "b": 1, "c": 2 } });

        copy(&json!({}), &mut to, &["a", "b"]);

        assert_eq!(to, json!({ "a": { "c": 2 } }));
    }
}
