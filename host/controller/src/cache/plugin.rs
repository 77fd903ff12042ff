//! Plugin objects.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kulta_api::{FieldError, Plugin, decode_as};
use serde_json::Value;

use super::kind::stored_in;
use super::raw_json::RawJson;
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text, version};

#[derive(Clone, Debug)]
pub struct CachedPlugin {
    pub version: u64,
    pub uid: String,
    pub generation: i64,
    pub created: Timestamp,
    pub deleting: bool,
    /// The names that it serves; none of one that cannot be read.
    pub serves: Vec<String>,
    object: RawJson,
}

fn plugin(mut object: Object) -> CachedPlugin {
    object.trim();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    CachedPlugin {
        version: version(text(metadata, "resourceVersion")),
        uid: text(metadata, "uid").to_owned(),
        generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
        created: text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH),
        deleting: metadata.get("deletionTimestamp").is_some(),
        serves: decode_as::<Plugin>(&object.json).map(|plugin| plugin.serves()).unwrap_or_default(),
        object: RawJson::of(&object.json),
    }
}

impl CachedPlugin {
    /// # Errors
    /// When a field cannot be read: its path.
    pub fn open(&self) -> Result<Plugin, FieldError> {
        decode_as(&self.object.parse())
    }

    /// The object as the watch reported it.
    #[must_use]
    pub fn json(&self) -> Value {
        self.object.parse()
    }
}

pub struct Plugins;

impl CachedKind for Plugins {
    const KIND: Kind = Kind::Plugin;
    const OPTIONAL: bool = true;
    const SELECTION: Selection = Selection::Instance;

    stored_in!(plugins, CachedPlugin);

    fn decode(object: Object) -> CachedPlugin {
        plugin(object)
    }

    fn set(contents: &mut Contents, key: Key, plugin: CachedPlugin) -> ChangeSet {
        contents.plugins.set(key.clone(), plugin);
        ChangeSet { plugins: BTreeSet::from([key]), ..ChangeSet::default() }
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        contents.plugins.remove(key);
        ChangeSet { plugins: BTreeSet::from([key.clone()]), ..ChangeSet::default() }
    }

    fn rollouts_of_watch(_: &Contents, _: &Scope) -> BTreeSet<Key> {
        BTreeSet::new()
    }
}
