//! JSON from the command line, and values of the plugin interface as readable JSON.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use kulta_controller::plugins::over;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fields that contain bytes. UTF-8 is shown as text, and text is accepted as bytes.
const BYTES: [&str; 2] = ["memory", "body"];

/// A JSON value, or the name of a file after "@".
#[derive(Clone, Debug)]
pub struct Json(pub Value);

impl FromStr for Json {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |text: &str, what: &str| {
            serde_json::from_str(text)
                .map(Self)
                .map_err(|error| format!("expected JSON or @FILE, found {what}: {error}"))
        };
        match text.strip_prefix('@') {
            None => parse(text, "what is neither"),
            Some(file) => {
                let read = std::fs::read_to_string(file).map_err(|error| format!("read {file}: {error}"))?;
                parse(&read, &format!("other content in {file}"))
            }
        }
    }
}

/// Overrides `usual` with `given`, field by field.
///
/// # Errors
/// For the first field that does not exist or has the wrong type: its path.
pub fn fill<T: Serialize + DeserializeOwned>(what: &str, usual: &T, given: &Value) -> Result<T> {
    if !given.is_object() {
        bail!("{what}: expected a JSON object, found {given}");
    }
    let mut given = given.clone();
    bytes(&mut given);
    let usual = serde_json::to_value(usual).context("write the usual as JSON")?;
    let filled: T = serde_path_to_error::deserialize(over(&usual, &given))
        .map_err(|error| anyhow::anyhow!("{what}.{}: {}", error.path(), error.inner()))?;
    let known = serde_json::to_value(&filled).context("write it as JSON")?;
    match unknown(&given, &known, what) {
        Some(why) => bail!(why),
        None => Ok(filled),
    }
}

/// The path of a given field that does not exist.
fn unknown(given: &Value, known: &Value, path: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(name, value)| match known.get(name) {
            Some(kept) => unknown(value, kept, &format!("{path}.{name}")),
            None => {
                let fields: Vec<_> = known.keys().map(String::as_str).collect();
                Some(format!("{path}.{name}: unknown field; expected one of: {}", fields.join(", ")))
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            let pairs = given.iter().zip(known).enumerate();
            pairs.into_iter().find_map(|(index, (value, kept))| unknown(value, kept, &format!("{path}[{index}]")))
        }
        _ => None,
    }
}

/// Converts text to bytes where bytes are expected.
fn bytes(value: &mut Value) {
    each_bytes(value, &|field| {
        if let Value::String(text) = field {
            *field = text.bytes().map(Value::from).collect();
        }
    });
}

/// For readers: bytes that are UTF-8 become text.
pub fn readable(mut value: Value) -> Value {
    each_bytes(&mut value, &|field| {
        let bytes: Option<Vec<u8>> = field.as_array().and_then(|bytes| {
            bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
        });
        if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            *field = Value::String(text);
        }
    });
    value
}

fn each_bytes(value: &mut Value, change: &dyn Fn(&mut Value)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if BYTES.contains(&name.as_str()) { change(field) } else { each_bytes(field, change) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_bytes(item, change)),
        _ => {}
    }
}

/// # Errors
/// Names the file in the error.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use kulta_wasm::analyzer::{Label, Measured};
    use serde_json::json;

    use super::*;

    fn usual() -> Measured {
        let metadata = vec![Label { key: "a".into(), value: "b".into() }];
        Measured { value: "1".into(), metadata, memory: Vec::new() }
    }

    fn refused(given: &Value) -> String {
        fill("occasion", &usual(), given).unwrap_err().to_string()
    }

    #[test]
    fn given_fields_override_the_sample_and_bytes_may_be_text() {
        let filled = fill("occasion", &usual(), &json!({ "value": "2", "memory": "é" })).unwrap();

        assert_eq!(filled, Measured { value: "2".into(), memory: "é".into(), ..usual() });
    }

    #[test]
    fn bytes_are_shown_as_text_if_they_are_utf8() {
        let shown = readable(json!({ "a": [{ "body": [104, 105], "memory": [255] }] }));

        assert_eq!(shown, json!({ "a": [{ "body": "hi", "memory": [255] }] }));
    }

    #[test]
    fn an_unknown_field_is_named_together_with_the_known_ones() {
        assert_eq!(
            refused(&json!({ "valu": "2" })),
            "occasion.valu: unknown field; expected one of: memory, metadata, value"
        );
        assert!(
            refused(&json!({ "metadata": [{ "key": "a", "value": "b", "x": 1 }] }))
                .starts_with("occasion.metadata[0].x: ")
        );
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named_by_its_path() {
        assert!(refused(&json!({ "metadata": [{ "key": 1 }] })).starts_with("occasion.metadata[0].key: "));
        assert!(refused(&json!([])).starts_with("occasion: expected a JSON object"));
    }

    #[test]
    fn json_is_read_from_the_argument_or_from_a_file() {
        let file = std::env::temp_dir().join(format!("kulta-json-{}", std::process::id()));
        std::fs::write(&file, "[1]").unwrap();

        let read: Json = format!("@{}", file.display()).parse().unwrap();

        std::fs::remove_file(file).unwrap();
        assert_eq!(read.0, json!([1]));
        assert!("{".parse::<Json>().unwrap_err().contains("expected JSON or @FILE"));
        assert!("@/nonexistent".parse::<Json>().unwrap_err().contains("read /nonexistent"));
    }
}
