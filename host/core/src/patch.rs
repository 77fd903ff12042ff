//! Merge patches (RFC 7386) from the difference of two values.

use serde_json::{Map, Value};

/// The patch that turns `old` into `new`; `None` if they are equal. Lists are replaced as a whole.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(present) => {
                if let Some(change) = diff(present, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Deep merge. Unlike in a merge patch, null in `addition` is a value like any other.
pub(crate) fn merge_into_object(target: &mut Value, addition: Value) {
    match (target, addition) {
        (Value::Object(target), Value::Object(addition)) => {
            for (key, value) in addition {
                merge_into_object(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, addition) => *target = addition,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_in_the_patch() {
        let old = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "gone": true });
        let new = json!({ "a": 1, "b": { "c": 2, "d": 4 } });

        assert_eq!(diff(&old, &new), Some(json!({ "b": { "d": 4 }, "gone": null })));
    }

    #[test]
    fn equal_values_need_no_patch() {
        assert_eq!(diff(&json!({ "a": [1] }), &json!({ "a": [1] })), None);
    }
}
