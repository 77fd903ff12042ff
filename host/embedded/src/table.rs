//! Objects as rows of a `meta.k8s.io/v1` Table, which `kubectl get` prints.

mod age;
mod builtin;
mod jsonpath;
mod pod;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use builtin::Kind;
use jsonpath::JsonPath;

/// The form of the object in each row (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// 400, reason `BadRequest`.
    #[error("unrecognized includeObject value: {0:?}")]
    IncludeObject(String),
    /// A definition with it is not served.
    #[error("unrecognized column definition {0:?}")]
    Column(String),
}

impl IncludeObject {
    /// # Errors
    /// An invalid value; absent means `Metadata`.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        match text {
            "None" => Ok(Self::None),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            other => Err(TableError::IncludeObject(other.to_owned())),
        }
    }
}

/// True if an `Accept` header prefers a Table.
#[must_use]
pub fn wants_table(accept: &str) -> bool {
    let offer: Vec<&str> = accept.split(',').next().unwrap_or_default().split(';').map(str::trim).collect();
    ["application/json", "as=Table", "v=v1", "g=meta.k8s.io"].iter().all(|part| offer.contains(part))
}

/// What one answer holds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub include: IncludeObject,
    /// False for all events of a watch but the first.
    pub headers: bool,
    /// The current time, for ages.
    pub now: Timestamp,
}

/// The conversion of one kind's objects to rows.
#[derive(Clone, Debug)]
pub struct Printer(Columns);

#[derive(Clone, Debug)]
enum Columns {
    Builtin(Kind),
    Custom(Vec<Column>),
}

/// A column of a custom resource.
#[derive(Clone, Debug)]
struct Column {
    definition: Value,
    kind: String,
    path: JsonPath,
}

impl Printer {
    #[must_use]
    pub fn of_builtin(kind: &str) -> Self {
        Self(Columns::Builtin(Kind::of(kind)))
    }

    /// By the `additionalPrinterColumns` of one version of a CustomResourceDefinition; without any, the age is shown.
    ///
    /// # Errors
    /// A column whose path cannot be read.
    pub fn of_crd(version: &Value) -> Result<Self, TableError> {
        let columns = version.get("additionalPrinterColumns").and_then(Value::as_array).map(Vec::as_slice);
        let age = [json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" })];
        let columns = columns.filter(|columns| !columns.is_empty()).unwrap_or(&age);
        columns.iter().map(Column::of).collect::<Result<_, _>>().map(Columns::Custom).map(Self)
    }

    /// A Table of these objects. `list` is the `metadata` of the list, or of the one object.
    #[must_use]
    pub fn table(&self, objects: &[Value], list: &Value, options: &Options) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, options)).collect();
        let columns = if options.headers { self.definitions() } else { Vec::new() };
        let metadata = ["resourceVersion", "continue", "remainingItemCount"];
        let metadata: Map<String, Value> =
            metadata.iter().filter_map(|&field| Some((field.to_owned(), list.get(field)?.clone()))).collect();
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }

    fn definitions(&self) -> Vec<Value> {
        match &self.0 {
            Columns::Builtin(kind) => kind.columns(),
            Columns::Custom(columns) => {
                let name = builtin::definition("Name", "string", "name", 0);
                std::iter::once(name).chain(columns.iter().map(|column| column.definition.clone())).collect()
            }
        }
    }

    fn row(&self, object: &Value, options: &Options) -> Value {
        let cells = match &self.0 {
            Columns::Builtin(kind) => kind.cells(object, options.now),
            Columns::Custom(columns) => {
                let name = Value::from(text(object, "/metadata/name"));
                std::iter::once(name).chain(columns.iter().map(|column| column.cell(object, options.now))).collect()
            }
        };
        let mut row = Map::from_iter([("cells".to_owned(), Value::Array(cells))]);
        if let Columns::Builtin(Kind::Pod) = &self.0
            && let Some(conditions) = pod::conditions(object)
        {
            row.insert("conditions".to_owned(), conditions);
        }
        let carried = match options.include {
            IncludeObject::None => None,
            IncludeObject::Object => Some(object.clone()),
            IncludeObject::Metadata => Some(json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": object.get("metadata"),
            })),
        };
        row.extend(carried.map(|object| ("object".to_owned(), object)));
        Value::Object(row)
    }
}

impl Column {
    fn of(column: &Value) -> Result<Self, TableError> {
        let path = text(column, "/jsonPath");
        let kind = text(column, "/type").to_owned();
        let description = match text(column, "/description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            words => words.to_owned(),
        };
        let definition = json!({
            "name": text(column, "/name"),
            "type": kind,
            "format": text(column, "/format"),
            "description": description,
            "priority": column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        });
        let path = JsonPath::parse(path).ok_or_else(|| TableError::Column(path.to_owned()))?;
        Ok(Self { definition, kind, path })
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = self.path.find(object).into_iter().next() else { return Value::Null };
        match (self.kind.as_str(), value) {
            ("string", Value::String(text)) => text.as_str().into(),
            ("string", Value::Null) => "<nil>".into(),
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(number)) => whole(number).unwrap_or_default(),
            ("number", Value::Number(number)) => number.as_f64().map(Value::from).unwrap_or_default(),
            ("boolean", Value::Bool(truth)) => (*truth).into(),
            ("date", Value::String(time)) => match time.parse::<Timestamp>() {
                Ok(time) => age::human(time, now).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

/// A number without its fraction.
fn whole(number: &serde_json::Number) -> Option<Value> {
    if number.is_f64() {
        let text = format!("{:.0}", number.as_f64()?.trunc());
        return text.parse::<i64>().ok().map(Value::from);
    }
    Some(Value::Number(number.clone()))
}

/// A text by JSON pointer; empty when absent.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn count(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

#[cfg(test)]
#[path = "table/table_tests.rs"]
mod tests;
