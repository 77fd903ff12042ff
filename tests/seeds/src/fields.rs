//! Reads fields of untyped objects; a field that is absent reads as empty or as 0.

use serde_json::Value;

const HASH_LABEL: &str = "/metadata/labels/rollouts-pod-template-hash";

pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The revision of a ReplicaSet or an AnalysisRun.
pub fn hash_of(object: &Value) -> String {
    text(object, HASH_LABEL)
}
