//! `metadata.managedFields`: who set which field, by which kind of write.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::encoded::Encoded;
use super::fields::FieldSet;

/// Where an object has them, as a JSON pointer.
pub(super) const MANAGED: &str = "/metadata/managedFields";
const FIELDS_TYPE: &str = "FieldsV1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What makes a manager one. For an applier the version does not count; it is kept in the entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub manager: String,
    pub operation: Operation,
    /// Empty for an applier.
    pub api_version: String,
    pub subresource: String,
}

impl Identity {
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.to_owned(),
        };
        Self { manager: manager.to_owned(), operation, api_version, subresource: subresource.to_owned() }
    }

    /// As a conflict names it.
    pub fn shown(&self) -> String {
        let mut words = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            words.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            words.push_str(&format!(" using {}", self.api_version));
        }
        words
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub api_version: String,
    /// RFC 3339; empty when the manager never changed anything.
    pub time: String,
    pub fields: Encoded,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Managers(pub BTreeMap<Identity, Entry>);

impl Managers {
    /// Of an object; nothing if any entry is malformed.
    pub fn of(object: &Value) -> Option<Self> {
        object.pointer(MANAGED).map_or(Some(Self::default()), Self::sent)
    }

    /// Reads entries as a client wrote them, in any order and form; returns none if any entry is malformed.
    pub fn sent(entries: &Value) -> Option<Self> {
        let entries = entries.as_array()?.iter().cloned();
        let read = |fields: Value| Encoded::of(&FieldSet::decode(&fields));
        entries.map(|entry| decode(entry, read)).collect::<Option<BTreeMap<_, _>>>().map(Self)
    }

    /// As [`store`](Self::store) wrote them.
    pub fn stored(entries: Value) -> Option<Self> {
        let Value::Array(entries) = entries else { return None };
        let entries = entries.into_iter().map(|entry| decode(entry, Encoded::stored));
        entries.collect::<Option<BTreeMap<_, _>>>().map(Self)
    }

    /// Whether these entries ask to forget all managers: an empty list, or a list of one empty entry.
    pub fn reset_by(entries: &Value) -> bool {
        match entries.as_array().map(Vec::as_slice) {
            Some([]) => true,
            Some([entry]) => entry.as_object().is_some_and(serde_json::Map::is_empty),
            _ => false,
        }
    }

    pub fn drop_empty(&mut self) {
        self.0.retain(|_, entry| !entry.fields.is_empty());
    }

    /// All fields that anybody manages.
    pub fn fields(&self) -> FieldSet {
        self.0.values().fold(FieldSet::default(), |all, entry| all.union(&entry.fields.decoded()))
    }

    /// Writes them to an object, appliers first, then by time.
    pub fn store(self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if self.0.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut entries: Vec<(Identity, Entry)> = self.0.into_iter().collect();
        entries.sort_by(|one, other| order(one).cmp(&order(other)));
        metadata.insert("managedFields".to_owned(), entries.into_iter().map(encode).collect());
    }
}

fn order((identity, entry): &(Identity, Entry)) -> (Operation, [&str; 4]) {
    let Identity { manager, operation, subresource, .. } = identity;
    (*operation, [&entry.time, manager, &entry.api_version, subresource])
}

fn decode(mut entry: Value, read: fn(Value) -> Encoded) -> Option<(Identity, Entry)> {
    let fields = entry.get_mut("fieldsV1").map(Value::take).map(read).unwrap_or_default();
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    if text("apiVersion").is_empty() || text("fieldsType") != FIELDS_TYPE {
        return None;
    }
    let identity = Identity::new(text("manager"), operation, text("apiVersion"), text("subresource"));
    Some((identity, Entry { api_version: text("apiVersion").to_owned(), time: text("time").to_owned(), fields }))
}

fn encode((identity, entry): (Identity, Entry)) -> Value {
    let mut encoded = Map::new();
    for (name, text) in [
        ("manager", identity.manager),
        ("operation", identity.operation.as_str().to_owned()),
        ("apiVersion", entry.api_version),
        ("fieldsType", FIELDS_TYPE.to_owned()),
    ] {
        encoded.insert(name.to_owned(), text.into());
    }
    for (name, text) in [("time", entry.time), ("subresource", identity.subresource)] {
        if !text.is_empty() {
            encoded.insert(name.to_owned(), text.into());
        }
    }
    encoded.insert("fieldsV1".to_owned(), entry.fields.into_value());
    Value::Object(encoded)
}
