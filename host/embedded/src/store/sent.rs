//! Checks of every object that a client sends.

use serde_json::Value;

use super::{Subresource, WriteOptions};
use crate::json::{meta, remove, set, text};
use crate::kind::{Key, Kind, Rules};
use crate::patch::apply::{Claims, Writer, note_update};
use crate::rules::{self, Surroundings};
use crate::status::ApiError;

/// An object must have the kind of the path; one without a kind is rejected.
pub(super) fn name_type(kind: &Kind, object: &mut Value) -> Result<(), ApiError> {
    let wanted = (kind.api_version(), kind.kind.as_str());
    let (version, name) = (text(object, "/apiVersion"), text(object, "/kind"));
    if kind.built_in().is_some() && version.is_empty() && name.is_empty() {
        // Typed decoders know the type from the path.
        set(object, &["apiVersion"], wanted.0);
        set(object, &["kind"], wanted.1);
        return Ok(());
    }
    if name.is_empty() {
        return Err(ApiError::bad_request(format!("Object 'Kind' is missing in '{object}'")));
    }
    if (version, name) != (wanted.0.as_str(), wanted.1) {
        if version != wanted.0 {
            let why = format!(
                "the API version in the data ({version}) does not match the expected API version ({})",
                wanted.0
            );
            return Err(ApiError::bad_request(why));
        }
        let group = if kind.group().is_empty() { "core" } else { kind.group() };
        let (version, wanted) = (&kind.version, wanted.1);
        return Err(ApiError::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {wanted}: \
             converting ({version}.{name}) to ({group}.{wanted}): unknown conversion"
        )));
    }
    Ok(())
}

/// The namespace of the path counts; an object may omit it, but not have another one.
pub(super) fn place(kind: &Kind, namespace: &str, object: &mut Value) -> Result<(), ApiError> {
    let named = meta::namespace(object);
    if !kind.namespaced {
        remove(object, &["metadata", "namespace"]);
        return Ok(());
    }
    if !named.is_empty() && named != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    set(object, &["metadata", "namespace"], namespace);
    Ok(())
}

pub(super) fn check_name(key: &Key, object: &Value) -> Result<(), ApiError> {
    let name = meta::name(object);
    if name.is_empty() {
        return Err(ApiError::bad_request("the name of the object must be set: name must be provided"));
    }
    if name != key.name() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name()
        )));
    }
    Ok(())
}

pub(super) fn check_version(kind: &Kind, object: &Value, before: &Value) -> Result<(), ApiError> {
    let named = text(object, "/metadata/resourceVersion");
    if named.is_empty() || named == "0" {
        if rules::takes_unversioned_update(kind) {
            return Ok(());
        }
        let cause =
            crate::status::Cause::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
        return Err(ApiError::invalid(kind.resource(), meta::name(before), &[cause]));
    }
    if named != text(before, "/metadata/resourceVersion") {
        return Err(ApiError::stale(kind.resource(), meta::name(before)));
    }
    Ok(())
}

/// Unknown fields are rejected, if requested.
pub(super) fn check_fields(kind: &Kind, object: &Value, options: &WriteOptions) -> Result<(), ApiError> {
    let Rules::Custom(custom) = &kind.rules else { return Ok(()) };
    if !options.strict {
        return Ok(());
    }
    let unknown = custom.schema.unknown_fields(object);
    let unknown: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let what = format!("{} in version {:?} cannot be handled as a {}", kind.kind, kind.version, kind.kind);
    Err(ApiError::bad_request(format!("{what}: strict decoding error: {}", unknown.join(", "))))
}

/// What the definition of a custom resource makes of an object.
pub(super) fn admit(kind: &Kind, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let Rules::Custom(custom) = &kind.rules else { return Ok(()) };
    let admitted = custom.schema.admit(object, old);
    admitted.map_err(|causes| ApiError::invalid(kind.about(), meta::name(object), &causes))
}

pub(super) fn note_manager(
    kind: &Kind,
    before: Option<&Value>,
    after: &mut Value,
    options: &WriteOptions,
    claims: Claims,
    surroundings: &Surroundings,
) {
    let subresource = options.subresource.map_or("", Subresource::as_str);
    let writer = Writer { manager: &options.manager, subresource, now: &surroundings.now };
    note_update(before, after, &writer, claims, &kind.keys);
    if options.subresource == Some(Subresource::Scale) {
        forget_time_of_scale(after);
    }
}

/// The entry of a scale has no time, and so sorts first.
pub(super) fn forget_time_of_scale(object: &mut Value) {
    let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) else { return };
    for entry in entries.iter_mut().filter(|entry| text(entry, "/subresource") == Subresource::Scale.as_str()) {
        remove(entry, &["time"]);
    }
    entries.sort_by_key(|entry| (text(entry, "/operation").to_owned(), text(entry, "/time").to_owned()));
}
