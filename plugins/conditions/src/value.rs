//! Values of the language, and a measurement's value as one.

use crate::time::Time;
use kulta_plugin::number;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    /// What `asInt` answers: equal to the same `Int`, but of another Go type.
    Int64(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<List>),
    Object(Rc<BTreeMap<String, Value>>),
    /// An object with keys of any type, in the order in which they were met.
    Keyed(Rc<Vec<(Value, Value)>>),
    Time(Rc<Time>),
    /// In nanoseconds.
    Duration(i64),
    Month(u8),
    /// 0 is Sunday.
    Weekday(u8),
}

/// Lists are equal only if they are of one kind, as in Go: `1..3 != [1, 2, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    Any,
    /// A range.
    Ints,
    /// What `split` answers.
    Texts,
    /// What `toPairs` answers.
    Pairs,
    Pair,
    /// The list of a group that nothing is in: equal to nil.
    Missing,
}

#[derive(Clone, Debug)]
pub struct List {
    pub kind: ListKind,
    pub items: Vec<Value>,
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::list_of(ListKind::Any, items)
    }

    pub fn list_of(kind: ListKind, items: Vec<Self>) -> Self {
        Self::List(Rc::new(List { kind, items }))
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil) || matches!(self, Self::List(list) if list.kind == ListKind::Missing)
    }

    /// What arithmetic takes for an integer.
    pub const fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Int(number) | Self::Int64(number) => Some(*number),
            _ => None,
        }
    }

    pub const fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(number) | Self::Int64(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

/// All numbers become floats, as they do in Go's JSON. `"NaN"`, `"+Inf"` and `"-Inf"` are numbers where the whole value is one,
/// or an array of nothing but numbers.
pub fn read(json: &str) -> Result<Value, serde_json::Error> {
    Ok(match serde_json::from_str(json)? {
        serde_json::Value::String(text) => number::special(&text).map_or_else(|| Value::text(text), Value::Float),
        serde_json::Value::Array(elements) => match numbers(&elements) {
            Some(numbers) => Value::list(numbers),
            None => Value::list(elements.into_iter().map(plain).collect()),
        },
        other => plain(other),
    })
}

/// JSON as it stands: text is text.
pub fn read_plain(json: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(json).map(plain)
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
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(elements) => Value::list(elements.into_iter().map(plain).collect()),
        serde_json::Value::Object(fields) => {
            Value::Object(Rc::new(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        format!("{:?}", read(json).unwrap())
    }

    #[test]
    fn numbers_are_floats() {
        assert_eq!(shown("1"), "Float(1.0)");
        assert_eq!(shown("[1,0.5]"), "List(List { kind: Any, items: [Float(1.0), Float(0.5)] })");
    }

    #[test]
    fn what_is_no_finite_number_is_read_back() {
        assert_eq!(shown(r#""+Inf""#), "Float(inf)");
        assert_eq!(
            shown(r#"["NaN",1,"-Inf"]"#),
            "List(List { kind: Any, items: [Float(NaN), Float(1.0), Float(-inf)] })"
        );
    }

    #[test]
    fn texts_elsewhere_stay_texts() {
        assert_eq!(shown(r#"["NaN","ok"]"#), r#"List(List { kind: Any, items: [Text("NaN"), Text("ok")] })"#);
        assert_eq!(shown(r#"{"a":"NaN"}"#), r#"Object({"a": Text("NaN")})"#);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "NaN", "[1,", "1e999", &"[".repeat(10_000)] {
            assert!(read(text).is_err(), "{}", text.get(..10).unwrap_or(text));
        }
    }
}
