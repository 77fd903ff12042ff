//! An object of the API server as the JSON that it is, for any kind.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::ApiResource;
use kube::core::DynamicResourceScope;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::key::Key;

/// Undecoded, so that nothing is lost and no single object can break a whole list; `metadata` holds only what a watch needs.
#[derive(Clone, Debug)]
pub struct Object {
    metadata: ObjectMeta,
    pub json: Value,
}

/// A field manager, and when it last changed something; whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub manager: String,
    pub at: Option<Timestamp>,
}

impl Object {
    #[must_use]
    pub fn new(json: Value) -> Self {
        let text = |field: &str| {
            json.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str).map(str::to_owned)
        };
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Self { metadata, json }
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

    /// Removes what is large and of no use in a cache, and hands back who wrote its fields other than the status, newest write last.
    pub fn trim(&mut self) -> Vec<Writer> {
        let Some(metadata) = self.json.get_mut("metadata").and_then(Value::as_object_mut) else { return Vec::new() };
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(kulta_api::annotations::LAST_APPLIED);
        }
        let mut entries = match metadata.remove("managedFields") {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        entries.sort_by(|one, other| text(one, "time").cmp(text(other, "time")));
        entries
            .iter()
            .filter(|entry| text(entry, "subresource").is_empty())
            .map(|entry| Writer { manager: text(entry, "manager").to_owned(), at: text(entry, "time").parse().ok() })
            .filter(|writer| !writer.manager.is_empty())
            .collect()
    }
}

/// A text field; empty when absent.
#[must_use]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A resourceVersion as a number. Kubernetes promises since 1.35 that those of one resource compare so, and has kept to it since etcd 3;
/// anything else counts as 0.
#[must_use]
pub fn version(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(0)
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
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
    fn trimming_drops_what_is_large_and_tells_the_managers_by_time() {
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
