//! Evaluates a path.

use super::{Comparison, Filter, Operand, Path, Step};
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;

/// Limit of visited values: repeated `..` multiplies them.
const MAX_VALUES: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindError {
    NoField(String),
    NoArray,
    OutOfBounds { index: i64, length: usize },
    TooMany,
    Nothing,
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoField(name) => write!(f, "{name} is not found"),
            Self::NoArray => f.write_str("what an index or a filter is applied to is not an array"),
            Self::OutOfBounds { index, length } => {
                write!(f, "array index out of bounds: index {index}, length {length}")
            }
            Self::TooMany => write!(f, "the path leads over more than {MAX_VALUES} values"),
            Self::Nothing => f.write_str("result of web metric produced no value"),
        }
    }
}

impl Path {
    /// The first value at the path.
    pub fn first<'v>(&self, document: &'v Value) -> Result<&'v Value, FindError> {
        follow(&self.0, document)?.into_iter().next().ok_or(FindError::Nothing)
    }
}

fn follow<'v>(steps: &[Step], from: &'v Value) -> Result<Vec<&'v Value>, FindError> {
    let mut values = vec![from];
    for step in steps {
        values = apply(step, &values)?;
        if values.len() > MAX_VALUES {
            return Err(FindError::TooMany);
        }
    }
    Ok(values)
}

fn apply<'v>(step: &Step, values: &[&'v Value]) -> Result<Vec<&'v Value>, FindError> {
    let mut found = Vec::new();
    match step {
        Step::Field(name) => {
            found.extend(values.iter().filter_map(|value| value.get(name)));
            if found.is_empty() {
                return Err(FindError::NoField(name.clone()));
            }
        }
        Step::Index(index) => {
            for value in values {
                let elements = array(value)?;
                let element = place(*index, elements.len()).and_then(|place| elements.get(place));
                let length = elements.len();
                found.push(element.ok_or(FindError::OutOfBounds { index: *index, length })?);
            }
        }
        Step::Slice { from, to, step } => {
            for value in values {
                found.extend(slice(array(value)?, *from, *to, *step));
            }
        }
        Step::Wildcard => found.extend(values.iter().flat_map(|value| children(value))),
        Step::Descendants => {
            let mut rest: Vec<&Value> = values.iter().rev().copied().collect();
            while let Some(value) = rest.pop() {
                found.push(value);
                let mut inner: Vec<&Value> = children(value).collect();
                inner.reverse();
                rest.append(&mut inner);
                if found.len() > MAX_VALUES {
                    return Err(FindError::TooMany);
                }
            }
        }
        Step::Union(choices) => {
            for choice in choices {
                found.extend(apply(choice, values)?);
            }
        }
        Step::Filter(filter) => {
            for value in values {
                found.extend(array(value)?.iter().filter(|element| filter.holds(element)));
            }
        }
    }
    Ok(found)
}

fn array(value: &Value) -> Result<&Vec<Value>, FindError> {
    value.as_array().ok_or(FindError::NoArray)
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(elements) => Box::new(elements.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn place(index: i64, length: usize) -> Option<usize> {
    let magnitude = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 { length.checked_sub(magnitude) } else { Some(magnitude) }
}

fn slice(elements: &[Value], from: Option<i64>, to: Option<i64>, step: i64) -> impl Iterator<Item = &Value> {
    let bound = |index: Option<i64>, absent| match index {
        Some(index) if index < 0 => place(index, elements.len()).unwrap_or(0),
        Some(index) => place(index, elements.len()).unwrap_or(elements.len()),
        None => absent,
    };
    let (from, to) = (bound(from, 0), bound(to, elements.len()));
    elements.iter().take(to).skip(from).step_by(usize::try_from(step).unwrap_or(1).max(1))
}

impl Filter {
    fn holds(&self, element: &Value) -> bool {
        let Some(left) = self.left.value(element) else { return false };
        match &self.right {
            None => true,
            Some((comparison, right)) => right.value(element).is_some_and(|right| comparison.holds(left, right)),
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, element: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Path(steps) => follow(steps, element).ok()?.into_iter().next(),
            Self::Value(value) => Some(value),
        }
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let ordering = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (left, right) if left == right => Some(Ordering::Equal),
            _ => None,
        };
        match self {
            Self::Equal => ordering == Some(Ordering::Equal),
            Self::NotEqual => ordering != Some(Ordering::Equal),
            Self::Less => ordering == Some(Ordering::Less),
            Self::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ParseError;
    use super::*;
    use proptest::prelude::*;

    const DOCUMENT: &str = r#"{
        "data": {"ok": true, "successPercent": 0.95, "a.b": 1, "null": null},
        "items": [
            {"name": "first", "value": 1, "tags": ["x"]},
            {"name": "second", "value": 2, "tags": []},
            {"name": "third", "value": 3}
        ],
        "empty": []
    }"#;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn found(path: &str) -> String {
        let path: Path = path.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        path.first(&document()).map_or_else(|error| error.to_string(), Value::to_string)
    }

    #[test]
    fn the_first_value_of_a_path_is_found() {
        for (path, value) in [
            ("{$.data.ok}", "true"),
            ("{.data.ok}", "true"),
            ("{data.ok}", "true"),
            ("$.data.ok", "true"),
            ("{ $.data.successPercent }", "0.95"),
            ("{$['data']['ok']}", "true"),
            ("{$.data['successPercent','ok']}", "0.95"),
            ("{.data.a\\.b}", "1"),
            ("{.data.null}", "null"),
            ("{$.items[0].name}", "\"first\""),
            ("{$.items[-1].name}", "\"third\""),
            ("{$.items[1:].name}", "\"second\""),
            ("{$.items[-1:].name}", "\"third\""),
            ("{$.items[0:3:2].value}", "1"),
            ("{$.items[1:3:2].value}", "2"),
            ("{$.items[2,0].value}", "3"),
            ("{$.items[*].value}", "1"),
            ("{$.items.*.value}", "1"),
            ("{$..value}", "1"),
            ("{..successPercent}", "0.95"),
            ("{$.items[?(@.name==\"second\")].value}", "2"),
            ("{$.items[?(@.name == 'second')].value}", "2"),
            ("{$.items[?(@.value >= 2)].name}", "\"second\""),
            ("{$.items[?(@.value != 1)].name}", "\"second\""),
            ("{$.items[?(@.value < 1.5)].name}", "\"first\""),
            ("{$.items[?(@.tags[0])].name}", "\"first\""),
            ("{$.items[?(@.tags[0] == \"x\")].name}", "\"first\""),
        ] {
            assert_eq!(found(path), value, "{path}");
        }
        for whole in ["", "{$}", "{$.}", "{@}", "{.}", "{}"] {
            assert_eq!(found(whole), document().to_string(), "{whole}");
        }
    }

    #[test]
    fn a_missing_value_is_reported() {
        for (path, error) in [
            ("{$.data.missing}", "missing is not found"),
            ("{$.items[3].name}", "array index out of bounds: index 3, length 3"),
            ("{$.items[-4].name}", "array index out of bounds: index -4, length 3"),
            ("{$.data[0]}", "what an index or a filter is applied to is not an array"),
            ("{$.empty[*]}", "result of web metric produced no value"),
            ("{$.items[?(@.value > 9)]}", "result of web metric produced no value"),
            ("{$.items[?(@.value > \"a\")]}", "result of web metric produced no value"),
        ] {
            assert_eq!(found(path), error, "{path}");
        }
    }

    #[test]
    fn an_invalid_path_is_rejected_with_the_position() {
        let long = "a".repeat(1_025);
        for (path, error) in [
            ("{$.a", ParseError::Template),
            ("{$.a}{$.b}", ParseError::Template),
            ("a: {$.b}", ParseError::Template),
            ("{range .items[*]}{.a}{end}", ParseError::Template),
            ("{$ a}", ParseError::Expected("a dot or a bracket", 2)),
            ("{$.a.}", ParseError::Expected("a name", 4)),
            ("{$[}", ParseError::Expected("an index, a name in quotes, * or a filter", 2)),
            ("{$[0}", ParseError::Expected("] or ,", 3)),
            ("{$['a}", ParseError::Expected("the closing quote", 4)),
            ("{$[1:2:0]}", ParseError::Expected("a step above 0", 7)),
            ("{$[?(@.a ==)]}", ParseError::Expected("a path, a text in quotes, a number, true, false or null", 10)),
            ("{$[99999999999999999999]}", ParseError::Expected("a smaller number", 2)),
            (long.as_str(), ParseError::TooLong),
        ] {
            assert_eq!(path.parse::<Path>(), Err(error), "{path}");
        }
    }

    #[test]
    fn a_path_over_too_many_values_is_rejected() {
        let mut nested = Value::from(1);
        for _ in 0..100 {
            nested = Value::Array(vec![nested]);
        }
        let path: Path = "{$..[0:]..[0:]..[0:]..[0:]}".parse().unwrap();
        assert_eq!(path.first(&nested), Err(FindError::NoArray));
        let path: Path = "{$..*..*..*..*}".parse().unwrap();
        assert_eq!(path.first(&nested), Err(FindError::TooMany));
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_or_refused(text in "[$@.\\[\\]{}()?*:,'\"\\\\a-c0-2=<> -]{0,24}") {
            if let Ok(path) = text.parse::<Path>() {
                let _ = path.first(&document());
            }
        }
    }
}
