//! The merge rules of a kind's lists and maps: lists by key, sets, atomic values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::builtin::{self, Always, Empty, Entry, Form};

/// How the lists and maps of one kind are merged. Read once from a kind's schema, used for every patch of it.
#[derive(Clone, Debug)]
pub struct ListKeys {
    pub(super) root: Shape,
    pub(super) strategic: bool,
    always: &'static [Always],
}

impl ListKeys {
    /// Those of a kind that every cluster has. An unknown kind has metadata and otherwise only lists that are replaced as a whole.
    #[must_use]
    pub fn of_builtin(kind: &str) -> Self {
        Self { root: Shape::of_entries(builtin::kind(kind)), strategic: true, always: builtin::always(kind) }
    }

    /// Those of a custom resource, by the `openAPIV3Schema` of one version.
    #[must_use]
    pub fn of_schema(schema: &Value) -> Self {
        let mut root = Shape::of_schema(schema);
        root.fields.insert("metadata".to_owned(), Shape::of_entries(builtin::OBJECT_META));
        for name in ["apiVersion", "kind"] {
            root.fields.entry(name.to_owned()).or_default();
        }
        Self { root, strategic: false, always: &[] }
    }

    /// Whether an object has the fields that the kind always has.
    pub(super) fn is_complete(&self, object: &Value) -> bool {
        let lacks = |always: &Always| {
            let mut place = object;
            for step in always.path {
                let Value::Object(fields) = place else { return false };
                let Some(inner) = fields.get(*step) else { return true };
                place = inner;
            }
            false
        };
        !self.always.iter().any(lacks)
    }

    /// Adds the fields that the kind always has. An API server compares objects with them, so that nobody owns them for having filled
    /// them first.
    pub(super) fn complete(&self, object: &mut Value) {
        for always in self.always {
            let mut place = &mut *object;
            for (index, step) in always.path.iter().enumerate() {
                let Some(fields) = place.as_object_mut() else { break };
                let last = index + 1 == always.path.len();
                place = fields.entry(*step).or_insert_with(|| match always.value {
                    Empty::Null if last => Value::Null,
                    Empty::Zero if last => Value::from(0),
                    Empty::Object | Empty::Null | Empty::Zero => Value::Object(Map::new()),
                });
            }
        }
    }
}

/// One place in a kind's schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub list: List,
    /// An object that has one owner as a whole.
    pub atomic: bool,
    /// How a strategic merge patch treats a list; without it the list is replaced.
    pub merge: Option<Merge>,
    fields: BTreeMap<String, Shape>,
    /// Of a map's values, and of fields that the schema does not name.
    rest: Option<Box<Shape>>,
    items: Option<Box<Shape>>,
    names: Names,
}

/// Which keys of an object are fields of a type, rather than keys of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Names {
    #[default]
    Listed,
    All,
}

/// A list, as server-side apply sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    #[default]
    Atomic,
    Set,
    /// Items are told apart by these fields.
    Map(Vec<Key>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub name: String,
    /// Counts where an item lacks the field.
    pub default: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Objects that are the same when this field is.
    Key(String),
    /// Plain values, none of them twice.
    Values,
}

/// A place that no schema describes: a list is one value, an object a map.
static OPEN: Shape = Shape {
    list: List::Atomic,
    atomic: false,
    merge: None,
    fields: BTreeMap::new(),
    rest: None,
    items: None,
    names: Names::Listed,
};

/// A place in a built-in kind where nothing is special.
static PLAIN: Shape = Shape {
    list: List::Atomic,
    atomic: false,
    merge: None,
    fields: BTreeMap::new(),
    rest: None,
    items: None,
    names: Names::All,
};

impl Shape {
    pub fn field(&self, name: &str) -> &Self {
        let unnamed = match self.names {
            Names::All => &PLAIN,
            Names::Listed => &OPEN,
        };
        self.fields.get(name).or(self.rest.as_deref()).unwrap_or(unnamed)
    }

    pub fn is_named(&self, name: &str) -> bool {
        self.names == Names::All || self.fields.contains_key(name)
    }

    pub fn item(&self) -> &Self {
        self.items.as_deref().unwrap_or(&OPEN)
    }

    fn of_entries(entries: &[Entry]) -> Self {
        let fields = entries.iter().map(|entry| (entry.name.to_owned(), Self::of_entry(entry))).collect();
        Self { fields, names: Names::All, ..Self::default() }
    }

    fn of_entry(entry: &Entry) -> Self {
        let inner = Self::of_entries(entry.fields);
        let list = |list, merge| Self { list, merge, items: Some(Box::new(inner.clone())), ..Self::default() };
        match entry.form {
            Form::Object => inner,
            Form::Atomic => Self { atomic: true, ..Self::default() },
            Form::MergedSet => list(List::Set, Some(Merge::Values)),
            Form::AtomicMergedBy(key) => list(List::Atomic, Some(Merge::Key(key.to_owned()))),
            Form::Map(keys) => list(List::Map(builtin_keys(keys)), None),
            Form::MergedMap(keys, merged_by) => {
                list(List::Map(builtin_keys(keys)), Some(Merge::Key(merged_by.to_owned())))
            }
        }
    }

    fn of_schema(schema: &Value) -> Self {
        let text = |field: &str| schema.get(field).and_then(Value::as_str).unwrap_or_default();
        let nested = |field: &str| schema.get(field).filter(|nested| nested.is_object()).map(Self::of_schema);
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let list = match text("x-kubernetes-list-type") {
            "set" => List::Set,
            "map" => List::Map(schema_keys(schema)),
            _ => List::Atomic,
        };
        Self {
            list,
            atomic: text("x-kubernetes-map-type") == "atomic",
            merge: None,
            fields: properties.map(|(name, property)| (name.clone(), Self::of_schema(property))).collect(),
            rest: nested("additionalProperties").map(Box::new),
            items: nested("items").map(Box::new),
            names: Names::Listed,
        }
    }
}

fn builtin_keys(names: &[&str]) -> Vec<Key> {
    let key = |name: &&str| {
        let default = (*name == builtin::PROTOCOL).then(|| Value::from(builtin::DEFAULT_PROTOCOL));
        Key { name: (*name).to_owned(), default }
    };
    names.iter().map(key).collect()
}

fn schema_keys(schema: &Value) -> Vec<Key> {
    let names = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
    let default = |name: &str| schema.pointer("/items/properties")?.get(name)?.get("default").cloned();
    names.filter_map(Value::as_str).map(|name| Key { name: name.to_owned(), default: default(name) }).collect()
}
