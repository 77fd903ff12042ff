//! The pod template as the user wrote it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A PodTemplateSpec stored as JSON. It is never converted to versioned structs, so newer fields survive, and an
/// upgrade of KULTA changes no hash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(pub Value);

/// Image of one container of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
    /// Its name.
    pub container: String,
    /// As in the template.
    pub image: String,
}

impl PodTemplate {
    /// `metadata.labels`; values that are not strings are left out.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.string_map("/metadata/labels")
    }

    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.string_map("/metadata/annotations")
    }

    /// The image of each container, in order, followed by those of init containers, sidecars included.
    #[must_use]
    pub fn images(&self) -> Vec<ContainerImage> {
        let text = |container: &Value, field: &str| container.get(field).and_then(Value::as_str).map(str::to_owned);
        ["/spec/containers", "/spec/initContainers"]
            .into_iter()
            .filter_map(|pointer| self.0.pointer(pointer)?.as_array())
            .flatten()
            .filter_map(|one| Some(ContainerImage { container: text(one, "name")?, image: text(one, "image")? }))
            .collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_object().is_none_or(serde_json::Map::is_empty)
    }

    fn string_map(&self, pointer: &str) -> BTreeMap<String, String> {
        self.0
            .pointer(pointer)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// A part of the API that this build stores unchanged and does not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Value);

impl JsonSchema for Opaque {
    fn schema_name() -> Cow<'static, str> {
        "Opaque".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_field_survives_a_round_trip() {
        let written = json!({ "spec": { "fieldOfTheFuture": { "a": [1, null] } } });

        let template: PodTemplate = serde_json::from_value(written.clone()).unwrap();

        assert_eq!(serde_json::to_value(template).unwrap(), written);
    }

    #[test]
    fn images_are_listed_in_the_order_of_the_containers_and_those_of_init_containers_last() {
        let template = PodTemplate(json!({ "spec": {
            "initContainers": [{ "name": "setup", "image": "s:1" }],
            "containers": [{ "name": "proxy", "image": "p:1" }, { "name": "app", "image": "a:2" }],
        } }));

        let listed: Vec<_> = template.images().into_iter().map(|one| (one.container, one.image)).collect();

        let expected = [("proxy", "p:1"), ("app", "a:2"), ("setup", "s:1")];
        assert_eq!(listed, expected.map(|(container, image)| (container.to_owned(), image.to_owned())));
    }
}
