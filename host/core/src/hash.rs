//! The canonical hash of JSON that a user wrote. It depends on the JSON's values alone, never on a library's structs:
//! an upgrade of KULTA must not change it (`reference/argo-rollouts.md` section 5, row 4). Golden tests pin it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Characters that Kubernetes uses in generated names: no vowels, no look-alikes, so that no words appear.
const SAFE_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Characters of a revision's hash: 27^10 values, as long as the ones that Deployments make.
const HASH_LENGTH: usize = 10;
/// Characters of a hash of a strategy plugin's configuration: more than Argo's hashes of steps can have (a 32-bit number in decimal), so
/// that the two can be distinguished.
const STEPS_HASH_LENGTH: usize = 12;
/// Hex characters of the canonical hash that are kept: 128 bits make collisions negligible.
const CANONICAL_LENGTH: usize = 32;

/// The value as text with sorted keys. Keys with the value null are left out, because the API server treats them as absent.
pub(crate) fn canonical(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
            into.push(b'{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    into.push(b',');
                }
                scalar(key, into);
                into.push(b':');
                canonical(value, into);
            }
            into.push(b'}');
        }
        Value::Array(items) => {
            into.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    into.push(b',');
                }
                canonical(item, into);
            }
            into.push(b']');
        }
        value => scalar(value, into),
    }
}

fn scalar<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) {
    // Writing a string or a number to memory cannot fail.
    let _ = serde_json::to_writer(into, value);
}

fn digest(value: &Value, salt: &str) -> [u8; 32] {
    let mut text = Vec::new();
    canonical(value, &mut text);
    let mut hasher = Sha256::new();
    hasher.update(&text);
    hasher.update(salt.as_bytes());
    hasher.finalize().into()
}

/// The canonical hash of a template, as hex.
#[must_use]
pub fn template_hash(template: &Value) -> String {
    let mut hex = String::with_capacity(CANONICAL_LENGTH);
    for byte in digest(template, "").iter().take(CANONICAL_LENGTH / 2) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The hash that names a new revision. `collisions` is `status.collisionCount`; each count gives another hash.
#[must_use]
pub fn revision_hash(template: &Value, collisions: i32) -> String {
    let salt = if collisions == 0 { String::new() } else { format!("#{collisions}") };
    short(&digest(template, &salt), HASH_LENGTH)
}

/// The hash of a strategy plugin's configuration.
#[must_use]
pub fn steps_hash(steps: &Value) -> String {
    short(&digest(steps, ""), STEPS_HASH_LENGTH)
}

fn short(digest: &[u8; 32], length: usize) -> String {
    safe_text(digest.get(..length).unwrap_or(digest))
}

/// A character for each byte, as Kubernetes makes names from numbers.
pub(crate) fn safe_text(bytes: &[u8]) -> String {
    bytes
        .iter()
        .filter_map(|byte| SAFE_ALPHABET.get(usize::from(*byte) % SAFE_ALPHABET.len()))
        .map(|&character| char::from(character))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_of_a_template_is_the_same_in_every_version() {
        let template = json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "example/web:1", "ports": [{ "containerPort": 8080 }] }] }
        });

        assert_eq!(
            (template_hash(&template).as_str(), revision_hash(&template, 0).as_str()),
            ("cfda96c1ba51f28675b52a012e35c1e0", "xdtg7b99mz")
        );
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap();

        assert_eq!(template_hash(&one), template_hash(&other));
    }

    #[test]
    fn a_null_counts_as_a_missing_key() {
        assert_eq!(template_hash(&json!({ "a": 1, "creationTimestamp": null })), template_hash(&json!({ "a": 1 })));
    }

    #[test]
    fn the_order_of_a_list_matters() {
        assert_ne!(template_hash(&json!([1, 2])), template_hash(&json!([2, 1])));
    }

    #[test]
    fn a_hash_of_steps_is_longer_than_any_hash_of_argo() {
        assert!(steps_hash(&json!([])).len() > u32::MAX.to_string().len());
    }

    #[test]
    fn a_collision_gives_another_revision_hash() {
        assert_ne!(revision_hash(&json!({}), 0), revision_hash(&json!({}), 1));
    }
}
