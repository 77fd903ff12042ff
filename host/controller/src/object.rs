//! An object of the API server as the JSON that it is, for any kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::ApiResource;
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::key::Key;

const METADATA: &str = "metadata";
const MANAGED_FIELDS: &str = "managedFields";

/// Undecoded, so that nothing is lost and no single object can break a whole list; `metadata` holds only what a watch needs.
/// `metadata.managedFields` is no part of `json`: it may be larger than everything else, and only managers and times are of use.
#[derive(Clone, Debug)]
pub struct Object {
    metadata: ObjectMeta,
    managed: Vec<ManagedFields>,
    pub json: Value,
}

/// An entry of `metadata.managedFields` without the fields themselves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ManagedFields {
    manager: String,
    time: String,
    subresource: String,
}

/// A field manager, and when it last changed something; whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub manager: String,
    pub at: Option<Timestamp>,
}

impl Object {
    #[must_use]
    pub fn new(mut json: Value) -> Self {
        let metadata = json.get_mut(METADATA).and_then(Value::as_object_mut);
        let managed = metadata.and_then(|metadata| metadata.remove(MANAGED_FIELDS));
        let managed = managed.and_then(|managed| serde_json::from_value(managed).ok()).unwrap_or_default();
        Self::with(json, managed)
    }

    fn with(json: Value, managed: Vec<ManagedFields>) -> Self {
        let text = |field: &str| json.get(METADATA)?.get(field)?.as_str().map(str::to_owned);
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Self { metadata, managed, json }
    }

    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.metadata.namespace.clone().unwrap_or_default(), self.metadata.name.clone().unwrap_or_default())
    }

    /// Empty when the object has none.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its controlling owner has this uid.
    #[must_use]
    pub fn controlled_by(&self, uid: &str) -> bool {
        let owners = self.json.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners
            .into_iter()
            .flatten()
            .any(|owner| text(owner, "uid") == uid && owner.get("controller").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Removes what is large and of no use in a cache. Answers the managers that wrote fields other than the status, newest write last.
    pub fn trim(&mut self) -> Vec<Writer> {
        let annotations = self.json.get_mut(METADATA).and_then(|metadata| metadata.get_mut("annotations"));
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove(kulta_api::annotations::LAST_APPLIED);
        }
        let mut entries = std::mem::take(&mut self.managed);
        entries.sort_by(|one, other| one.time.cmp(&other.time));
        entries
            .into_iter()
            .filter(|entry| entry.subresource.is_empty() && !entry.manager.is_empty())
            .map(|entry| Writer { at: entry.time.parse().ok(), manager: entry.manager })
            .collect()
    }
}

/// A text field; empty when absent.
#[must_use]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a map such as `metadata.labels`.
#[must_use]
pub fn texts(json: &Value, pointer: &str) -> BTreeMap<String, String> {
    json.pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Uid of the Rollout in the owner reference that controls.
#[must_use]
pub fn controlling_rollout(metadata: &Value) -> Option<String> {
    metadata.get("ownerReferences")?.as_array()?.iter().find_map(|owner| {
        let controls = owner.get("controller").and_then(Value::as_bool).unwrap_or(false);
        let is_rollout = text(owner, "kind") == "Rollout" && text(owner, "apiVersion").starts_with("argoproj.io/");
        (controls && is_rollout).then(|| text(owner, "uid").to_owned())
    })
}

/// A resourceVersion as a number. Kubernetes promises since 1.35 that those of one resource compare so, and has kept to it since etcd 3;
/// anything else counts as 0.
#[must_use]
pub fn version(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(0)
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
        let (mut json, mut managed) = (Map::new(), Vec::new());
        while let Some(name) = members.next_key::<String>()? {
            let value = if name == METADATA {
                members.next_value_seed(Metadata(&mut managed))?
            } else {
                members.next_value()?
            };
            json.insert(name, value);
        }
        Ok(Object::with(Value::Object(json), managed))
    }
}

/// Reads `metadata`, and `managedFields` beside it.
struct Metadata<'a>(&'a mut Vec<ManagedFields>);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object's metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut metadata = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == MANAGED_FIELDS {
                *self.0 = members.next_value::<Option<_>>()?.unwrap_or_default();
            } else {
                metadata.insert(name, members.next_value()?);
            }
        }
        Ok(Value::Object(metadata))
    }
}

impl Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_read_from_text_as_from_a_tree() {
        let json = json!({
            "metadata": { "name": "a", "managedFields": [{ "manager": "m", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:a": {} } }] },
            "spec": [1],
        });

        let mut read: Object = serde_json::from_str(&json.to_string()).unwrap();
        let mut built = Object::new(json);

        assert_eq!(read.json, built.json);
        let writers = read.trim();
        assert_eq!((writers.len(), &writers), (1, &built.trim()));
    }

    #[test]
    fn trimming_drops_what_is_large_and_answers_the_managers_by_time() {
        let mut object = Object::new(json!({ "metadata": {
            "name": "a",
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "x" },
            "managedFields": [
                { "manager": "late", "time": "2026-01-02T00:00:00Z", "fieldsV1": {} },
                { "manager": "early", "time": "2026-01-01T00:00:00Z" },
                { "manager": "gateway", "time": "2026-01-03T00:00:00Z", "subresource": "status" },
            ],
        } }));

        let writers = object.trim();

        let at = |time: &str| time.parse::<Timestamp>().ok();
        let told: Vec<_> = writers.into_iter().map(|writer| (writer.manager, writer.at)).collect();
        assert_eq!(
            told,
            [("early".to_owned(), at("2026-01-01T00:00:00Z")), ("late".to_owned(), at("2026-01-02T00:00:00Z"))]
        );
        assert_eq!(object.json, json!({ "metadata": { "name": "a", "annotations": { "team": "x" } } }));
    }

    #[test]
    fn only_the_controlling_owner_counts() {
        let owned = |controller: bool| {
            Object::new(json!({ "metadata": { "ownerReferences": [{ "uid": "u", "controller": controller }] } }))
        };

        assert_eq!([owned(true), owned(false)].map(|object| object.controlled_by("u")), [true, false]);
    }

    #[test]
    fn an_object_of_any_shape_is_accepted() {
        let object: Object = serde_json::from_value(json!({ "metadata": { "name": 5 }, "spec": "text" })).unwrap();

        assert_eq!(object.key(), Key::default());
    }
}
