//! Validation of metadata, common to all kinds.

use serde_json::Value;

use crate::json::{items, meta, remove, set, text};
use crate::kind::{BuiltIn, Kind};
use crate::selector::names;
use crate::status::Cause;

/// Bytes of all annotations together.
const ANNOTATIONS_MAX: u64 = 256 * 1024;
const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
     with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
     '[a-z]([-a-z0-9]*[a-z0-9])?')";

pub fn default_namespace(object: &mut Value) {
    let name = meta::name(object).to_owned();
    if !name.is_empty() {
        set(object, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
}

/// Removes empty maps and lists, which typed metadata does not keep.
pub fn tidy(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.retain(|_, field| match field {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
    remove(object, &["metadata", "selfLink"]);
}

fn name_fault(kind: &Kind, name: &str) -> Option<String> {
    let label = |first: fn(char) -> bool, rule: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = name.chars().all(|c| plain(c) || c == '-') && name.starts_with(first) && name.ends_with(plain);
        if name.len() > LABEL_MAX {
            Some(format!("must be no more than {LABEL_MAX} bytes"))
        } else {
            (!good).then(|| rule.to_owned())
        }
    };
    match kind.built_in() {
        Some(BuiltIn::Namespace) => label(|c| c.is_ascii_lowercase() || c.is_ascii_digit(), LABEL_RULE),
        Some(BuiltIn::Service) => label(|c| c.is_ascii_lowercase(), LABEL_1035_RULE),
        Some(BuiltIn::Role | BuiltIn::RoleBinding | BuiltIn::ClusterRole | BuiltIn::ClusterRoleBinding) => {
            if name == "." || name == ".." {
                Some(format!("may not be '{name}'"))
            } else {
                ['/', '%'].into_iter().find(|c| name.contains(*c)).map(|c| format!("may not contain '{c}'"))
            }
        }
        _ if name.len() > SUBDOMAIN_MAX => Some(format!("must be no more than {SUBDOMAIN_MAX} bytes")),
        _ => (!names::is_subdomain(name)).then(|| names::SUBDOMAIN_RULE.to_owned()),
    }
}

/// Faults of the metadata of an object that is to be created.
#[must_use]
pub fn check_create(kind: &Kind, object: &Value) -> Vec<Cause> {
    let name = meta::name(object);
    let mut causes = Vec::new();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(fault) = name_fault(kind, name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), &fault));
    }
    causes.extend(check_maps(object));
    causes
}

fn check_maps(object: &Value) -> Vec<Cause> {
    let mut causes = label_faults(object.pointer("/metadata/labels"), "metadata.labels");
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let mut size: u64 = 0;
    for (key, value) in annotations.into_iter().flatten() {
        for fault in names::key_faults(&key.to_ascii_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &fault));
        }
        let length = key.len().saturating_add(value.as_str().map_or(0, str::len));
        size = size.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    }
    if size > ANNOTATIONS_MAX {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_MAX));
    }
    causes.extend(check_owners(object));
    causes
}

pub fn label_faults(labels: Option<&Value>, field: &str) -> Vec<Cause> {
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let faults = labels.flat_map(|(key, value)| {
        let text = value.as_str().unwrap_or_default();
        let keys = names::key_faults(key).into_iter().map(|fault| Cause::invalid(field, &key.as_str().into(), &fault));
        let values = names::value_faults(text).into_iter().map(|fault| Cause::invalid(field, value, &fault));
        keys.chain(values).collect::<Vec<_>>()
    });
    faults.collect()
}

fn check_owners(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut controllers = 0_usize;
    for (index, owner) in meta::owners(object).enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).unwrap_or_default().is_empty() {
                let what = match field {
                    "apiVersion" => "version must not be empty",
                    _ => "must not be empty",
                };
                causes.push(Cause::invalid(&format!("metadata.ownerReferences[{index}].{field}"), &"".into(), what));
            }
        }
        if owner.get("controller").and_then(Value::as_bool).unwrap_or(false) {
            controllers = controllers.saturating_add(1);
        }
    }
    if controllers > 1 {
        let owners = object.pointer("/metadata/ownerReferences").cloned().unwrap_or_default();
        let why = "Only one reference can have Controller set to true. Found more than one";
        causes.push(Cause::invalid("metadata.ownerReferences", &owners, why));
    }
    causes
}

/// Faults of the metadata of an object that replaces another.
#[must_use]
pub fn check_update(object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = check_maps(object);
    for field in ["uid", "name", "namespace"] {
        let pointer = format!("/metadata/{field}");
        let (new, before) = (text(object, &pointer), text(old, &pointer));
        if new != before {
            causes.push(Cause::invalid(&format!("metadata.{field}"), &new.into(), "field is immutable"));
        }
    }
    if meta::deleting(old) {
        let before = meta::finalizers(old);
        let added: Vec<String> = items(object, "/metadata/finalizers")
            .filter_map(Value::as_str)
            .filter(|name| !before.iter().any(|old| old == name))
            .map(|name| format!("{name:?}"))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    // The real server validates the metadata of an update twice, and reports each error twice.
    let again = causes.clone();
    causes.extend(again);
    causes
}
