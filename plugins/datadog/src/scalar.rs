//! The answer of Datadog's v2 API: a column of numbers, and for a query that groups by tags one column for each tag.

use kulta_plugin::analyzer::Action;
use kulta_plugin::{Error, number};
use serde::Deserialize;
use serde_json::Value;

const GROUPS_METADATA: &str = "groups";
const NUMBER: &str = "number";
const GROUP: &str = "group";

#[derive(Deserialize)]
pub struct Scalar {
    #[serde(default)]
    data: Data,
    /// Of the whole request.
    #[serde(default)]
    errors: Value,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    errors: Value,
}

#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(default)]
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    /// Absent in old answers: then the values are numbers.
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    values: Vec<Value>,
}

/// The value: null without data, a number, or a list of numbers with the groups as metadata.
pub fn measured(scalar: Scalar) -> Result<Action, Error> {
    for errors in [&scalar.data.errors, &scalar.errors] {
        if let Some(errors) = shown(errors) {
            return unavailable(format!("There were errors in your query: {errors}"));
        }
    }
    let columns = scalar.data.attributes.columns;
    let tags: Vec<&Column> = columns.iter().filter(|column| column.kind == GROUP).collect();
    let numbers = columns.iter().find(|column| column.kind.is_empty() || column.kind == NUMBER);
    let mut found = Vec::new();
    for (row, value) in numbers.iter().flat_map(|column| column.values.iter()).enumerate() {
        match value {
            // The group has no data.
            Value::Null => {}
            value => match value.as_f64() {
                Some(value) => found.push((row, value)),
                None => return unavailable(format!("Datadog answers {value} where a number is expected")),
            },
        }
    }
    let Some((_, first)) = found.first() else { return Ok(Action::measured("null")) };
    if tags.is_empty() {
        return Ok(Action::measured(number::to_json(*first)));
    }
    let groups: Result<Vec<Value>, Error> = found.iter().map(|(row, value)| group(&tags, *row, *value)).collect();
    let values: Vec<String> = found.iter().map(|(_, value)| number::to_json(*value)).collect();
    let measured = Action::measured_within_limit(format!("[{}]", values.join(",")), "group by fewer tags")?;
    Ok(measured.with_metadata(GROUPS_METADATA, &Value::Array(groups?).to_string()))
}

/// Which group has the value: its tags, joined in the order of the columns.
fn group(tags: &[&Column], row: usize, value: f64) -> Result<Value, Error> {
    let mut names = Vec::new();
    for column in tags {
        let of_column = column.values.get(row).and_then(Value::as_array).filter(|names| !names.is_empty());
        let of_column: Option<Vec<&str>> = of_column.and_then(|names| names.iter().map(Value::as_str).collect());
        match of_column {
            Some(of_column) => names.extend(of_column),
            None => return unavailable(format!("Datadog names no group for the value at index {row}")),
        }
    }
    Ok(serde_json::json!({ "name": names.join(","), "value": value }))
}

/// Errors as text; none if there are none.
fn shown(errors: &Value) -> Option<String> {
    match errors {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(all) if all.is_empty() => None,
        other => Some(other.to_string()),
    }
}

fn unavailable<T>(message: String) -> Result<T, Error> {
    Err(Error::Unavailable(message))
}
