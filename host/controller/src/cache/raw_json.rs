//! Objects as the caches store them.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// JSON as text: a tree of it takes about ten times the memory, since each small map of a tree has room for eleven entries.
/// Parsing it takes some ten microseconds, and only objects under reconciliation are parsed.
#[derive(Clone, Debug)]
pub struct RawJson(Box<str>);

impl RawJson {
    #[must_use]
    pub fn of(json: &Value) -> Self {
        Self(json.to_string().into_boxed_str())
    }

    /// What was written as JSON reads back as the same JSON.
    #[must_use]
    pub fn parse(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Decodes a type straight from the text, without a tree in between. To learn which field cannot be decoded, parse the tree.
    ///
    /// # Errors
    /// When the JSON is no such type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_out_as_it_went_in() {
        let json =
            json!({ "spec": { "replicas": 2, "cpu": 0.1, "name": "\u{1F40E} \"x\"", "ofTheFuture": [null, {}] } });

        assert_eq!(RawJson::of(&json).parse(), json);
    }
}
