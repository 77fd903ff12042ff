//! InfluxDB's annotated CSV: tables with a `#datatype`, a `#default` and a header row each.

use kulta_plugin::number;
use serde_json::Value;
use std::fmt;

const VALUE: &str = "_value";
const DATATYPE: &str = "#datatype";
const DEFAULT: &str = "#default";
const ERROR: &str = "error";

#[derive(Debug, PartialEq, Eq)]
pub enum CsvError {
    /// The query failed after the answer had begun.
    Query(String),
    NoValueColumn,
    Value(String),
    OpenQuote,
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(message) => write!(f, "InfluxDB reports an error of the query: {message}"),
            Self::NoValueColumn => f.write_str("the answer is not InfluxDB's CSV with a column _value"),
            Self::Value(text) => write!(f, "InfluxDB answers {text:?}, which is not of the column's type"),
            Self::OpenQuote => f.write_str("the answer ends within a quoted value"),
        }
    }
}

/// The table of the rows that follow.
#[derive(Default)]
struct Table {
    types: Vec<String>,
    defaults: Vec<String>,
    /// Column of `_value`; none before the header row.
    column: Option<usize>,
    /// The header row says that each row is an error.
    is_error: bool,
}

/// The `_value` of every row of every table.
pub fn values(text: &str) -> Result<Vec<Value>, CsvError> {
    let (mut table, mut found) = (Table::default(), Vec::new());
    for row in rows(text)? {
        let first = row.first().map(String::as_str).unwrap_or_default();
        match first {
            _ if row.len() == 1 && first.is_empty() => table = Table::default(),
            DATATYPE => table = Table { types: row, ..Table::default() },
            DEFAULT => table.defaults = row,
            _ if first.starts_with('#') => {}
            _ if table.is_error => return Err(CsvError::Query(error_of(&row))),
            _ => match table.column {
                Some(column) => found.push(table.value(&row, column)?),
                None => table.read_header(&row)?,
            },
        }
    }
    Ok(found)
}

/// The message is in the column after the annotations, if there are any.
fn error_of(row: &[String]) -> String {
    row.iter().find(|field| !field.is_empty()).cloned().unwrap_or_default()
}

impl Table {
    fn read_header(&mut self, row: &[String]) -> Result<(), CsvError> {
        self.column = row.iter().position(|name| name == VALUE);
        self.is_error = row.iter().any(|name| name == ERROR);
        match self.column {
            None if !self.is_error => Err(CsvError::NoValueColumn),
            _ => Ok(()),
        }
    }

    fn value(&self, row: &[String], column: usize) -> Result<Value, CsvError> {
        let at = |fields: &[String]| fields.get(column).cloned().unwrap_or_default();
        let text = Some(at(row)).filter(|text| !text.is_empty()).unwrap_or_else(|| at(&self.defaults));
        let kind = at(&self.types);
        if text.is_empty() && kind != "string" {
            return Ok(Value::Null);
        }
        let value = match kind.as_str() {
            "double" => text.parse().ok().and_then(|value| serde_json::from_str(&number::to_json(value)).ok()),
            "long" => text.parse::<i64>().ok().map(Value::from),
            "unsignedLong" => text.parse::<u64>().ok().map(Value::from),
            "boolean" => text.parse::<bool>().ok().map(Value::from),
            _ => return Ok(Value::String(text)),
        };
        value.ok_or(CsvError::Value(text))
    }
}

/// Rows of fields; a quoted field may contain commas, quotes and line ends.
fn rows(text: &str) -> Result<Vec<Vec<String>>, CsvError> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err(CsvError::OpenQuote);
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(kind: &str, values: &[&str]) -> String {
        let rows: Vec<String> = values.iter().map(|value| format!(",,0,{value}\r\n")).collect();
        format!(
            "#datatype,string,long,{kind}\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n{}\r\n",
            rows.join("")
        )
    }

    #[test]
    fn a_value_has_the_type_of_its_column() {
        for (kind, text, expected) in [
            ("double", "0.5", json!(0.5)),
            ("double", "1e-3", json!(0.001)),
            ("double", "NaN", json!("NaN")),
            ("double", "", json!(null)),
            ("long", "-3", json!(-3)),
            ("unsignedLong", "18446744073709551615", json!(u64::MAX)),
            ("boolean", "true", json!(true)),
            ("string", "\"a, \"\"b\"\"\nc\"", json!("a, \"b\"\nc")),
            ("string", "", json!("")),
            ("dateTime:RFC3339", "2026-01-01T00:00:00Z", json!("2026-01-01T00:00:00Z")),
        ] {
            assert_eq!(values(&table(kind, &[text])), Ok(vec![expected]), "{kind} {text}");
        }
    }

    #[test]
    fn the_rows_of_all_tables_are_read() {
        let both = format!("{}{}", table("double", &["1.5", "2.5"]), table("long", &["7"]));
        assert_eq!(values(&both), Ok(vec![json!(1.5), json!(2.5), json!(7)]));
    }

    #[test]
    fn an_empty_field_has_the_default_of_its_column() {
        let text = "#datatype,string,long\n#default,,9\n,result,_value\n,,\n";
        assert_eq!(values(text), Ok(vec![json!(9)]));
    }

    #[test]
    fn an_answer_without_rows_has_no_values() {
        assert_eq!(values(""), Ok(Vec::new()));
        assert_eq!(values("\r\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_table_of_values_is_an_error() {
        for (text, error) in [
            ("error,reference\r\nbad query,897\r\n", CsvError::Query("bad query".into())),
            ("#datatype,string,string\n#default,,\n,error,reference\n,late,1\n", CsvError::Query("late".into())),
            ("<html>\n<body>", CsvError::NoValueColumn),
            (table("long", &["many"]).as_str(), CsvError::Value("many".into())),
            ("#datatype,\"str", CsvError::OpenQuote),
        ] {
            assert_eq!(values(text), Err(error), "{text}");
        }
    }
}
