//! A parsed schema.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::SchemaError;
use super::formats::Format;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Type {
    const ALL: [Self; 6] = [Self::Array, Self::Boolean, Self::Integer, Self::Number, Self::Object, Self::String];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }
}

/// What is allowed under keys that `properties` does not name.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Unspecified: such keys are pruned.
    #[default]
    Unsaid,
    Any,
    Of(Box<Node>),
}

#[derive(Debug, Default)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// A bound of a number.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub value: Value,
    pub exclusive: bool,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Empty: any.
    pub types: Vec<Type>,
    pub nullable: bool,
    pub preserve: bool,
    pub embedded: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Node>,
    pub additional: Additional,
    pub items: Option<Box<Node>>,
    pub list: ListType,
    /// True if it is a list without duplicates, or contains one.
    pub keyed: bool,
    pub required: Vec<String>,
    pub allowed: Vec<Value>,
    pub pattern: Option<Regex>,
    pub format: Option<Format>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Box<Node>>,
}

impl Node {
    pub fn of(schema: &Value, field: &str) -> Result<Self, SchemaError> {
        let truth = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
        let count = |name: &str| schema.get(name).and_then(Value::as_u64);
        let list = |name: &str| schema.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = |name: &str| list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        let nodes = |name: &str| list(name).iter().map(|node| Self::of(node, field)).collect::<Result<Vec<_>, _>>();
        let nested = |name: &str, field: &str| {
            let schema = schema.get(name).filter(|schema| schema.is_object());
            schema.map(|schema| Self::of(schema, field).map(Box::new)).transpose()
        };
        let bound = |name: &str, exclusive: &str| {
            let value = schema.get(name).filter(|value| value.is_number())?;
            Some(Bound { value: value.clone(), exclusive: truth(exclusive) })
        };
        let mut properties = BTreeMap::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            properties.insert(name.clone(), Self::of(property, &format!("{field}.{name}"))?);
        }
        let additional = match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Additional::Any,
            _ => nested("additionalProperties", &format!("{field}.*"))?.map_or(Additional::Unsaid, Additional::Of),
        };
        let list_type = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(texts("x-kubernetes-list-map-keys")),
            _ => ListType::Atomic,
        };
        let mut node = Self {
            types: types(schema, truth("x-kubernetes-int-or-string"), field)?,
            nullable: truth("nullable"),
            preserve: truth("x-kubernetes-preserve-unknown-fields"),
            embedded: truth("x-kubernetes-embedded-resource"),
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            properties,
            additional,
            items: nested("items", &format!("{field}[*]"))?,
            list: list_type,
            keyed: false,
            required: texts("required"),
            allowed: list("enum").to_vec(),
            pattern: pattern(schema, field)?,
            format: schema.get("format").and_then(Value::as_str).and_then(Format::of),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: schema.get("multipleOf").and_then(Value::as_f64),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            all_of: nodes("allOf")?,
            any_of: nodes("anyOf")?,
            one_of: nodes("oneOf")?,
            not: nested("not", field)?,
        };
        node.keyed = node.is_keyed();
        Ok(node)
    }

    fn is_keyed(&self) -> bool {
        let rest = match &self.additional {
            Additional::Of(node) => Some(&**node),
            Additional::Any | Additional::Unsaid => None,
        };
        let mut inner = self.properties.values().chain(rest).chain(self.items.as_deref());
        !matches!(self.list, ListType::Atomic) || inner.any(|node| node.keyed)
    }

    /// The node of a key of an object.
    pub fn of_key(&self, key: &str) -> Option<&Self> {
        self.properties.get(key).or(match &self.additional {
            Additional::Of(node) => Some(node),
            Additional::Any | Additional::Unsaid => None,
        })
    }

    /// The wanted type, as messages name it.
    pub fn type_name(&self) -> String {
        self.types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",")
    }
}

fn types(schema: &Value, int_or_string: bool, field: &str) -> Result<Vec<Type>, SchemaError> {
    if int_or_string {
        return Ok(vec![Type::Integer, Type::String]);
    }
    let Some(name) = schema.get("type").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Ok(Vec::new());
    };
    let known = Type::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.map(|kind| vec![kind]).ok_or_else(|| SchemaError::Type { field: field.to_owned(), name: name.to_owned() })
}

fn pattern(schema: &Value, field: &str) -> Result<Option<Regex>, SchemaError> {
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return Ok(None) };
    let refused = |error: regex::Error| SchemaError::Pattern {
        field: field.to_owned(),
        pattern: pattern.to_owned(),
        detail: error.to_string(),
    };
    Regex::new(pattern).map(Some).map_err(refused)
}
