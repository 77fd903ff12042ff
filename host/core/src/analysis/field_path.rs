//! `valueFrom.fieldRef`: a scalar value of an object, by its path (`metadata.labels['team']`, `status.conditions[0].type`).

use serde_json::Value;

/// Maps in which a missing key has the empty text as its value, as in the downward API.
const TEXT_MAPS: [&str; 2] = ["metadata.labels", "metadata.annotations"];

/// # Errors
/// The path does not exist, or it is the path of a list or a map.
pub(super) fn read(object: &Value, path: &str) -> Result<String, String> {
    if let Some((map, key)) = subscript(path) {
        let (_, field) = map.split_once('.').unwrap_or(("", map));
        let value = object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(|map| map.get(key));
        return Ok(value.and_then(Value::as_str).unwrap_or_default().to_owned());
    }
    let sections = path.split(['.', '[', ']']).filter(|section| !section.is_empty());
    let mut value = object;
    for section in sections {
        let next = match value {
            Value::Array(items) => section.parse::<usize>().ok().and_then(|index| items.get(index)),
            Value::Object(fields) => fields.get(section),
            _ => None,
        };
        value = next.ok_or_else(|| format!("there is no {path}"))?;
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null => Err(format!("there is no {path}")),
        Value::Array(_) | Value::Object(_) => Err(format!("{path} is no plain value")),
    }
}

/// Splits `metadata.labels['key']` into map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once('[')?;
    let inside = rest.strip_suffix(']')?;
    let key = ['\'', '"'].iter().find_map(|quote| inside.strip_prefix(*quote)?.strip_suffix(*quote))?;
    TEXT_MAPS.contains(&map).then_some((map, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": { "name": "web", "labels": { "app.io/team": "blue" } },
            "spec": { "replicas": 3, "paused": false, "list": ["a", { "b": "c" }] },
            "status": { "stableRS": "abc", "none": null },
        })
    }

    #[test]
    fn scalar_values_are_read_as_text() {
        for (path, value) in [
            ("metadata.name", "web"),
            ("metadata.labels['app.io/team']", "blue"),
            ("metadata.labels[\"app.io/team\"]", "blue"),
            ("metadata.annotations['none']", ""),
            ("spec.replicas", "3"),
            ("spec.paused", "false"),
            ("spec.list[0]", "a"),
            ("spec.list[1].b", "c"),
            ("status.stableRS", "abc"),
        ] {
            assert_eq!(read(&object(), path), Ok(value.to_owned()), "{path}");
        }
    }

    #[test]
    fn a_path_to_no_value_or_to_a_list_or_map_is_refused() {
        for path in
            ["status.gone", "status.none", "spec.list", "spec.list[7]", "spec.list[x]", "metadata", "spec.replicas.x"]
        {
            assert!(read(&object(), path).is_err(), "{path}");
        }
    }
}
