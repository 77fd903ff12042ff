//! Generates configurations from a JSON Schema: only required fields, with minimal values.

use serde_json::{Map, Value, json};

/// Deeper schemas are not followed; some are infinite.
const DEEPEST: usize = 16;
/// Candidates for strings without a format: most plugins accept one of these.
const TEXTS: [&str; 4] = ["http://localhost:9/", "1m", "name", "1"];
/// Fields with these names are URLs, even if other strings are not.
const URL_NAMES: [&str; 3] = ["url", "address", "endpoint"];

/// One configuration for each candidate string, the most probable first.
pub fn samples(schema: &str) -> Vec<Value> {
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return Vec::new() };
    let sample = |text| Sample { root: &schema, text }.of(&schema, "", DEEPEST);
    TEXTS.into_iter().map(sample).collect()
}

struct Sample<'a> {
    root: &'a Value,
    text: &'static str,
}

impl Sample<'_> {
    fn of(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|all| all.first());
        let given = schema
            .get("const")
            .or_else(|| schema.get("default"))
            .or_else(|| first("examples"))
            .or_else(|| first("enum"));
        if let Some(given) = given {
            return given.clone();
        }
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
        if let Some(target) = target.and_then(|pointer| self.root.pointer(pointer)) {
            return self.of(target, name, depth);
        }
        if let Some(alternative) = first("anyOf").or_else(|| first("oneOf")).or_else(|| first("allOf")) {
            return self.of(alternative, name, depth);
        }
        let count = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok());
        match self.kind(schema) {
            Some("object") => self.object(schema, depth),
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                vec![self.of(items, name, depth); count("minItems").unwrap_or(0).min(DEEPEST)].into()
            }
            Some("integer" | "number") => number(schema),
            Some("boolean") => json!(false),
            Some("null") => Value::Null,
            _ => self.text(schema, name, count("minLength").unwrap_or(0)),
        }
    }

    /// The first of its types; an object if it has properties.
    fn kind<'s>(&self, schema: &'s Value) -> Option<&'s str> {
        match schema.get("type") {
            Some(Value::String(one)) => Some(one),
            Some(Value::Array(several)) => several.first().and_then(Value::as_str),
            _ if schema.get("properties").is_some() => Some("object"),
            _ => None,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let field = |name: &str| {
            let schema = schema.get("properties").and_then(|properties| properties.get(name)).unwrap_or(&Value::Null);
            (name.to_owned(), self.of(schema, name, depth))
        };
        required.map(field).collect::<Map<_, _>>().into()
    }

    fn text(&self, schema: &Value, name: &str, least: usize) -> Value {
        let name = name.to_ascii_lowercase();
        let is_url = URL_NAMES.iter().any(|url| name.ends_with(url)) || schema.get("format") == Some(&json!("uri"));
        let text = if is_url { TEXTS.first().copied().unwrap_or_default() } else { self.text };
        let missing = least.saturating_sub(text.len()).min(1 << DEEPEST);
        format!("{text}{}", "x".repeat(missing)).into()
    }
}

fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).filter(|bound| bound.is_number());
    let above = bound("exclusiveMinimum").and_then(Value::as_i64).map(|least| json!(least.saturating_add(1)));
    bound("minimum").cloned().or(above).unwrap_or_else(|| match bound("maximum").and_then(Value::as_f64) {
        Some(most) if most < 1.0 => json!(0),
        _ => json!(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(schema: &Value) -> Value {
        samples(&schema.to_string()).remove(0)
    }

    #[test]
    fn a_sample_has_only_required_fields() {
        let schema = json!({
            "type": "object", "required": ["url", "max", "when"],
            "properties": {
                "url": {"type": "string"}, "max": {"type": "number"}, "note": {"type": "string"},
                "when": {"$ref": "#/$defs/When"},
            },
            "$defs": {"When": {"enum": ["always", "never"]}},
        });

        assert_eq!(first(&schema), json!({"url": TEXTS[0], "max": 1, "when": "always"}));
    }

    #[test]
    fn lists_numbers_and_alternatives_have_the_minimal_valid_value() {
        for (schema, sample) in [
            (json!({"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 3}}), json!([3, 3])),
            (json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}), json!(false)),
            (json!({"type": ["integer", "null"], "exclusiveMinimum": 4}), json!(5)),
            (json!({"properties": {}}), json!({})),
        ] {
            assert_eq!(first(&schema), sample);
        }
    }

    #[test]
    fn an_infinite_schema_is_cut_off() {
        let schema = json!({"required": ["a"], "properties": {"a": {"$ref": "#"}}});

        assert!(first(&schema)["a"].is_object());
    }

    #[test]
    fn an_invalid_schema_has_no_samples() {
        assert_eq!(samples("{"), Vec::<Value>::new());
    }
}
