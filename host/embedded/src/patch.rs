//! The four kinds of patch of an API server, and field ownership after a write.

pub mod apply;
mod builtin;
mod encoded;
mod fields;
mod managers;
mod shape;
mod strategic;
mod typed;

use serde_json::Value;

pub use shape::ListKeys;
pub use strategic::strategic;

/// Operations in one JSON patch.
const MAX_OPERATIONS: usize = 10_000;

/// Why a patch cannot be applied, with the API server's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// 400, reason `BadRequest`: the patch itself is broken.
    #[error("{0}")]
    BadRequest(String),
    /// 413, reason `RequestEntityTooLarge`.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooLarge(usize),
    /// 415, reason `UnsupportedMediaType`: the kind does not take this sort of patch.
    #[error("the body of the request was in an unknown format - accepted media types include: {0}")]
    Unsupported(String),
    /// 422, reason `Invalid`: the patch does not fit the object. The API server's message has no details; the detail is
    /// for logs.
    #[error("the server rejected our request due to an error in our request")]
    DoesNotApply { detail: String },
    /// 500, reason `InternalError`.
    #[error("{0}")]
    Internal(String),
}

impl PatchError {
    /// The HTTP status code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::TooLarge(_) => 413,
            Self::Unsupported(_) => 415,
            Self::DoesNotApply { .. } => 422,
            Self::Internal(_) => 500,
        }
    }

    /// `reason` of the Status object.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::TooLarge(_) => "RequestEntityTooLarge",
            Self::Unsupported(_) => "UnsupportedMediaType",
            Self::DoesNotApply { .. } => "Invalid",
            Self::Internal(_) => "InternalError",
        }
    }
}

/// A JSON merge patch (RFC 7386).
///
/// # Errors
/// A patch that is not an object.
pub fn merge(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    if !patch.is_object() {
        return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned()));
    }
    json_patch::merge(target, patch);
    Ok(())
}

/// A JSON patch (RFC 6902); all of it or nothing.
///
/// # Errors
/// A patch that is not a list of operations, or does not fit the object: a failed `test`, a missing path.
pub fn json(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations: Vec<json_patch::PatchOperation> =
        serde_json::from_value(patch.clone()).map_err(|error| PatchError::BadRequest(error.to_string()))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(operations.len()));
    }
    let does_not_apply = |error: json_patch::PatchError| PatchError::DoesNotApply { detail: error.to_string() };
    if !operations.iter().any(tests_for_null) {
        return json_patch::patch(target, &operations).map_err(does_not_apply);
    }
    let mut patched = target.clone();
    for operation in operations {
        if !(tests_for_null(&operation) && is_absent(&patched, operation.path())) {
            json_patch::patch(&mut patched, &[operation]).map_err(does_not_apply)?;
        }
    }
    *target = patched;
    Ok(())
}

/// The real server passes such a test for a missing member (`evanphx/json-patch` v4, `Patch.test`).
fn tests_for_null(operation: &json_patch::PatchOperation) -> bool {
    matches!(operation, json_patch::PatchOperation::Test(test) if test.value.is_null())
}

/// The path names a member that its object does not have.
fn is_absent(target: &Value, path: &json_patch::jsonptr::Pointer) -> bool {
    let Some((parent, member)) = path.split_back() else { return false };
    parent
        .resolve(target)
        .ok()
        .and_then(Value::as_object)
        .is_some_and(|object| !object.contains_key(&*member.decoded()))
}

#[cfg(test)]
mod recorded_tests;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn null_removes_a_field_and_lists_are_replaced() {
        let mut target = json!({ "a": 1, "b": { "c": [1, 2] } });

        merge(&mut target, &json!({ "a": null, "b": { "c": [3] } })).unwrap();

        assert_eq!(target, json!({ "b": { "c": [3] } }));
    }

    #[test]
    fn a_merge_patch_must_be_an_object() {
        assert_eq!(merge(&mut json!({}), &json!([])).unwrap_err().code(), 400);
    }

    #[test]
    fn a_failed_test_changes_nothing() {
        let mut target = json!({ "a": 1, "b": 2 });
        let patch = json!([{ "op": "replace", "path": "/b", "value": 3 }, { "op": "test", "path": "/a", "value": 2 }]);

        let error = json(&mut target, &patch).unwrap_err();

        assert_eq!((error.code(), error.reason()), (422, "Invalid"));
        assert_eq!(target, json!({ "a": 1, "b": 2 }));
    }

    #[test]
    fn a_test_for_null_passes_for_an_absent_member() {
        let mut target = json!({ "a": { "c": 1 } });
        let patch =
            json!([{ "op": "test", "path": "/a/b~1c", "value": null }, { "op": "add", "path": "/a/b~1c", "value": 2 }]);

        json(&mut target, &patch).unwrap();

        assert_eq!(target, json!({ "a": { "c": 1, "b/c": 2 } }));
    }

    #[test]
    fn a_test_for_null_fails_for_an_existing_member_or_a_missing_object() {
        let mut target = json!({ "a": 1 });
        let mut test = |path: &str| {
            let patch =
                json!([{ "op": "add", "path": "/new", "value": 1 }, { "op": "test", "path": path, "value": null }]);
            json(&mut target, &patch).map_err(|error| error.code())
        };

        let answers = [test("/a"), test("/b/c")];

        assert_eq!(answers, [Err(422), Err(422)]);
        assert_eq!(target, json!({ "a": 1 }));
    }

    #[test]
    fn a_missing_path_is_rejected() {
        let error = json(&mut json!({}), &json!([{ "op": "remove", "path": "/a" }])).unwrap_err();

        assert_eq!(error.to_string(), "the server rejected our request due to an error in our request");
    }

    #[test]
    fn an_unknown_operation_is_a_bad_request() {
        let error = json(&mut json!({}), &json!([{ "op": "nonsense", "path": "/a" }])).unwrap_err();

        assert_eq!(error.code(), 400);
    }

    /// A merge patch from one object to another, for objects without nulls.
    fn difference(from: &Value, to: &Value) -> Value {
        let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else { return to.clone() };
        let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, value)| {
            let before = old.get(key).filter(|before| before.is_object() && value.is_object());
            (key.clone(), before.map_or_else(|| value.clone(), |before| difference(before, value)))
        });
        removed.chain(changed).collect()
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), any::<u8>().prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        });
        prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn the_merge_patch_of_a_difference_gives_the_target(from in object(), to in object()) {
            let mut merged = from.clone();

            merge(&mut merged, &difference(&from, &to)).unwrap();

            prop_assert_eq!(merged, to);
        }
    }
}
