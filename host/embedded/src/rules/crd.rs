//! CustomResourceDefinitions, and the kinds that they define.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Surroundings;
use crate::json::{copy, default, items, meta, set, text};
use crate::kind::{Collection, Custom, Kind, Rules, ScalePaths};
use crate::patch::ListKeys;
use crate::schema::{Schema, SchemaError};
use crate::selector::FieldNames;
use crate::status::Cause;
use crate::table::{Printer, TableError};

/// Why a definition cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Column(#[from] TableError),
}

pub fn defaults(crd: &mut Value) {
    let kind = text(crd, "/spec/names/kind").to_owned();
    default(crd, &["spec", "names", "singular"], kind.to_ascii_lowercase());
    default(crd, &["spec", "names", "listKind"], format!("{kind}List"));
    default(crd, &["spec", "conversion"], json!({ "strategy": "None" }));
}

/// The version that objects are kept in.
fn storage_version(crd: &Value) -> &str {
    let storing = |version: &&Value| version.get("storage").and_then(Value::as_bool).unwrap_or(false);
    items(crd, "/spec/versions").find(storing).map_or("", |version| text(version, "/name"))
}

/// The server accepts the names and establishes the kind at once.
pub fn establish(crd: &mut Value, old: Option<&Value>, surroundings: &Surroundings) {
    let stored = storage_version(crd).to_owned();
    let names = crd.pointer("/spec/names").cloned().unwrap_or_default();
    if let Some(old) = old {
        copy(old, crd, &["status"]);
    } else {
        let condition = |kind: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": surroundings.now, "observedGeneration": 1,
            })
        };
        let conditions = [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ];
        set(crd, &["status"], json!({ "conditions": conditions, "storedVersions": [] }));
    }
    set(crd, &["status", "acceptedNames"], names);
    let mut versions: Vec<Value> = items(crd, "/status/storedVersions").cloned().collect();
    if !versions.iter().any(|version| version == &stored) {
        versions.push(stored.into());
    }
    set(crd, &["status", "storedVersions"], versions);
}

pub fn check(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let expected = format!("{}.{}", text(crd, "/spec/names/plural"), text(crd, "/spec/group"));
    if meta::name(crd) != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &meta::name(crd).into(), why));
    }
    for (pointer, field) in [
        ("/spec/group", "spec.group"),
        ("/spec/scope", "spec.scope"),
        ("/spec/names/plural", "spec.names.plural"),
        ("/spec/names/kind", "spec.names.kind"),
    ] {
        if text(crd, pointer).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    let storing = |version: &&Value| version.get("storage").and_then(Value::as_bool).unwrap_or(false);
    if items(crd, "/spec/versions").filter(storing).count() != 1 {
        let versions = crd.pointer("/spec/versions").cloned().unwrap_or_default();
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &versions, why));
    }
    for (index, version) in items(crd, "/spec/versions").enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            causes.push(Cause::required(
                &format!("spec.versions[{index}].schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
    }
    if causes.is_empty()
        && let Err(error) = kinds_of(crd)
    {
        let versions = crd.pointer("/spec/versions").cloned().unwrap_or_default();
        causes.push(Cause::invalid("spec.versions", &versions, &error.to_string()));
    }
    for (pointer, field) in
        [("/spec/group", "spec.group"), ("/spec/scope", "spec.scope"), ("/spec/names/kind", "spec.names.kind")]
    {
        let before = old.map_or("", |old| text(old, pointer));
        if !before.is_empty() && before != text(crd, pointer) {
            causes.push(Cause::invalid(field, &text(crd, pointer).into(), "field is immutable"));
        }
    }
    causes
}

/// Where the objects of a definition are kept.
#[must_use]
pub fn collection_of(crd: &Value) -> Collection {
    Collection { group: text(crd, "/spec/group").to_owned(), plural: text(crd, "/spec/names/plural").to_owned() }
}

/// The kinds that a definition serves, one for each served version.
///
/// # Errors
/// A schema or a column that cannot be read.
pub fn kinds_of(crd: &Value) -> Result<Vec<Kind>, DefinitionError> {
    let collection = Arc::new(collection_of(crd));
    let served = |version: &&Value| version.get("served").and_then(Value::as_bool).unwrap_or(false);
    items(crd, "/spec/versions").filter(served).map(|version| kind_of(crd, version, &collection)).collect()
}

fn kind_of(crd: &Value, version: &Value, collection: &Arc<Collection>) -> Result<Kind, DefinitionError> {
    let names = |field: &str| -> Vec<String> {
        let found = items(crd, &format!("/spec/names/{field}"));
        found.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let namespaced = text(crd, "/spec/scope") == "Namespaced";
    let selectable: Vec<&str> = items(version, "/selectableFields")
        .map(|field| text(field, "/jsonPath"))
        .filter(|path| !path.is_empty())
        .collect();
    let scale = version.pointer("/subresources/scale").map(|scale| ScalePaths {
        replicas: text(scale, "/specReplicasPath").to_owned(),
        status_replicas: text(scale, "/statusReplicasPath").to_owned(),
        selector: Some(text(scale, "/labelSelectorPath").to_owned()).filter(|path| !path.is_empty()),
    });
    let document = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_else(|| json!({}));
    let schema = Schema::of_crd(crd, text(version, "/name"))?;
    Ok(Kind {
        collection: Arc::clone(collection),
        version: text(version, "/name").to_owned(),
        kind: text(crd, "/spec/names/kind").to_owned(),
        list_kind: text(crd, "/spec/names/listKind").to_owned(),
        singular: text(crd, "/spec/names/singular").to_owned(),
        short_names: names("shortNames"),
        categories: names("categories"),
        namespaced,
        status: version.pointer("/subresources/status").is_some(),
        scale,
        keys: ListKeys::of_schema(&document),
        fields: FieldNames::of_custom(namespaced, &selectable),
        rules: Rules::Custom(Box::new(Custom { schema, printer: Printer::of_crd(version)? })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd() -> Value {
        let mut crd = json!({
            "metadata": { "name": "things.example.com" },
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": { "plural": "things", "kind": "Thing" },
                "versions": [
                    { "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {} }, "subresources": { "status": {} } },
                    { "name": "v1beta1", "served": false, "storage": false, "schema": { "openAPIV3Schema": {} } },
                ],
            },
        });
        defaults(&mut crd);
        crd
    }

    #[test]
    fn only_served_versions_are_kinds() {
        let kinds = kinds_of(&crd()).unwrap();

        assert_eq!(kinds.iter().map(Kind::api_version).collect::<Vec<_>>(), ["example.com/v1"]);
    }

    #[test]
    fn names_are_completed() {
        let kinds = kinds_of(&crd()).unwrap();

        assert_eq!((kinds[0].singular.as_str(), kinds[0].list_kind.as_str()), ("thing", "ThingList"));
    }

    #[test]
    fn a_name_other_than_plural_and_group_is_rejected() {
        let mut crd = crd();
        set(&mut crd, &["metadata", "name"], "other");

        assert_eq!(check(&crd, None).len(), 1);
    }
}
