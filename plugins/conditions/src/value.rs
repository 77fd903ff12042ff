//! A measurement's value as the language sees it.

use expr::Value;
use kulta_plugin::number;

/// All numbers become floats, as they do in Go's JSON. `"NaN"`, `"+Inf"` and `"-Inf"` are numbers where the whole value is one,
/// or an array of nothing but numbers.
pub fn read(json: &str) -> Result<Value, serde_json::Error> {
    Ok(match serde_json::from_str(json)? {
        serde_json::Value::String(text) => number::special(&text).map_or(Value::String(text), Value::Float),
        serde_json::Value::Array(elements) => match numbers(&elements) {
            Some(numbers) => Value::Array(numbers),
            None => Value::Array(elements.into_iter().map(plain).collect()),
        },
        other => plain(other),
    })
}

/// Nothing but numbers, or nothing.
fn numbers(elements: &[serde_json::Value]) -> Option<Vec<Value>> {
    let number = |element: &serde_json::Value| match element {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => number::special(text),
        _ => None,
    };
    elements.iter().map(|element| number(element).map(Value::Float)).collect()
}

fn plain(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(bool) => Value::Bool(bool),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Nil, Value::Float),
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(elements) => Value::Array(elements.into_iter().map(plain).collect()),
        serde_json::Value::Object(fields) => {
            Value::Map(fields.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
    }
}

/// The name of the type, as Go prints it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Integer(_) => "int",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::Array(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::KeyedMap(_) => "map[interface {}]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_floats() {
        assert_eq!(read("1").unwrap(), Value::Float(1.0));
        assert_eq!(read("[1,0.5]").unwrap(), Value::Array(vec![Value::Float(1.0), Value::Float(0.5)]));
    }

    #[test]
    fn what_is_no_finite_number_is_read_back() {
        assert_eq!(read(r#""+Inf""#).unwrap(), Value::Float(f64::INFINITY));
        let Value::Array(elements) = read(r#"["NaN",1,"-Inf"]"#).unwrap() else { panic!("not an array") };
        assert!(matches!(elements[0], Value::Float(nan) if nan.is_nan()));
        assert_eq!(elements[2], Value::Float(f64::NEG_INFINITY));
    }

    #[test]
    fn texts_elsewhere_stay_texts() {
        let text = |text: &str| Value::String(text.into());
        assert_eq!(read(r#"["NaN","ok"]"#).unwrap(), Value::Array(vec![text("NaN"), text("ok")]));
        let Value::Map(fields) = read(r#"{"a":"NaN"}"#).unwrap() else { panic!("not a map") };
        assert_eq!(fields["a"], text("NaN"));
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "NaN", "[1,", "1e999", &"[".repeat(10_000)] {
            assert!(read(text).is_err(), "{}", text.get(..10).unwrap_or(text));
        }
    }
}
