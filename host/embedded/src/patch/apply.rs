//! Server-side apply, and field ownership after any other write.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::encoded::Encoded;
use super::fields::{FieldSet, Path, Step, shown};
use super::managers::{Entry, Identity, MANAGED, Managers, Operation};
use super::shape::ListKeys;
pub use super::typed::Claims;
use super::typed::{Comparison, check, merged};

/// The owner of fields that existed before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The writer, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The request's `fieldManager`, or its default.
    pub manager: &'a str,
    /// `status`, `scale` or such; empty for the object itself.
    pub subresource: &'a str,
    /// RFC 3339, in seconds.
    pub now: &'a str,
}

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// `message` of the Status cause; its `reason` is [`Conflict::REASON`].
    pub message: String,
    /// Such as `.spec.replicas`.
    pub field: String,
}

impl Conflict {
    pub const REASON: &str = "FieldManagerConflict";
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// 400, reason `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// 409, reason `Conflict`.
    #[error("{message}")]
    Conflict { message: String, conflicts: Vec<Conflict> },
    /// 500, reason `InternalError`: a list item without its key, or two with one.
    #[error("{0}")]
    Internal(String),
}

/// The live object with an applied configuration, including `managedFields`. Without a live object it is the object to
/// create.
///
/// For a kind with a status subresource, the caller removes `status` from the configuration of the object itself, and
/// everything else from the one of `status`.
///
/// # Errors
/// An invalid configuration, and, unless forced, fields that others own with other values.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    force: bool,
    keys: &ListKeys,
) -> Result<Value, ApplyError> {
    let shape = &keys.root;
    let version = checked(config)?;
    check(config, shape, "").map_err(|fault| {
        ApplyError::Internal(format!("failed to create typed patch object ({}): {fault}", named(config)))
    })?;
    let mut managers = live
        .map_or(Some(Managers::default()), Managers::of)
        .ok_or_else(|| ApplyError::Internal("failed to decode managed fields".to_owned()))?;
    let live = without_managers(live.unwrap_or(&Value::Null), config);
    if managers.0.is_empty() {
        let fields = Encoded::of(&stripped(FieldSet::of_value(&live, shape)));
        let identity = Identity::new(BEFORE_FIRST_APPLY, Operation::Update, version, "");
        let entry = Entry { api_version: version.to_owned(), time: writer.now.to_owned(), fields };
        managers.0.insert(identity, entry);
        managers.drop_empty();
    }
    let own = Identity::new(writer.manager, Operation::Apply, version, writer.subresource);
    let (last, time) = managers.0.remove(&own).map(|entry| (entry.fields.decoded(), entry.time)).unwrap_or_default();
    let fields = Encoded::of(&FieldSet::of_value(config, shape));
    let entry = Entry { api_version: version.to_owned(), time, fields };
    managers.0.insert(own.clone(), entry);

    let mut applied = merged(&live, config, shape);
    if !last.is_empty() {
        applied = pruned(&applied, &last, &managers.fields(), keys);
    }
    let comparison = Comparison::of(&live, &applied, shape);
    take_over(&mut managers, &comparison, Some(&own), force)?;
    if let Some(entry) = managers.0.get_mut(&own) {
        entry.fields = Encoded::of(&stripped(entry.fields.decoded()));
        if applied != live {
            entry.time = writer.now.to_owned();
        }
    }
    managers.drop_empty();
    managers.store(&mut applied);
    Ok(applied)
}

/// Records field ownership in `after`, after a write that is not an apply. `before` is the stored object, `None` for a
/// create.
///
/// The writer owns the defaults of the objects that it creates, but not values that the server assigns, such as a
/// Service's `clusterIP`: so this runs after defaulting and before the rest.
pub fn note_update(before: Option<&Value>, after: &mut Value, writer: &Writer<'_>, claims: Claims, keys: &ListKeys) {
    let sent = crate::json::remove(after, &["metadata", "managedFields"]);
    let Some(mut managers) = managers_of_write(before, sent, writer) else { return };
    let old = before.map_or_else(|| Cow::Owned(without_managers(&Value::Null, after)), Cow::Borrowed);
    let (old, new) = (completed(old, keys), completed(Cow::Borrowed(after), keys));
    let mut comparison = Comparison::of_claimed(&old, &new, &keys.root, claims);
    let version = after.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    // Never a conflict: a writer that does not apply takes ownership of its changes.
    if take_over(&mut managers, &comparison, None, true).is_err() {
        return;
    }
    comparison.added.0.append(&mut comparison.modified.0);
    let taken = stripped(comparison.added);
    if !taken.is_empty() {
        let identity = Identity::new(writer.manager, Operation::Update, &version, writer.subresource);
        let entry = managers.0.entry(identity).or_default();
        taken.0.iter().for_each(|path| entry.fields.insert(path));
        entry.api_version = version;
        entry.time = writer.now.to_owned();
    }
    managers.store(after);
}

fn completed<'a>(object: Cow<'a, Value>, keys: &ListKeys) -> Cow<'a, Value> {
    if keys.is_complete(&object) {
        return object;
    }
    let mut object = object.into_owned();
    keys.complete(&mut object);
    Cow::Owned(object)
}

/// The current managers; `None` if they are not tracked.
fn managers_of_write(before: Option<&Value>, sent: Option<Value>, writer: &Writer<'_>) -> Option<Managers> {
    let kept = before.and_then(|before| before.pointer(MANAGED));
    let stored = || kept.cloned().and_then(Managers::stored).unwrap_or_default();
    let managers = match sent {
        // Usually the stored managers are sent back.
        Some(sent) if kept == Some(&sent) => Managers::stored(sent).unwrap_or_default(),
        Some(sent) if writer.subresource.is_empty() => {
            if Managers::reset_by(&sent) {
                Managers::default()
            } else {
                // Clients that do not know managers must not remove them.
                Managers::sent(&sent).filter(|managers| !managers.0.is_empty()).unwrap_or_else(stored)
            }
        }
        _ => stored(),
    };
    (before.is_none() || !managers.0.is_empty()).then_some(managers)
}

/// An object as the API server names it: namespace, name, type.
fn named(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    format!("{namespace}/{name}; {}, Kind={}", text("/apiVersion"), text("/kind"))
}

fn checked(config: &Value) -> Result<&str, ApplyError> {
    let refused = |words: &str| Err(ApplyError::BadRequest(words.to_owned()));
    if !config.is_object() {
        return refused("error decoding YAML: the configuration is no object");
    }
    if config.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
        return refused("metadata.managedFields must be nil");
    }
    match config.get("apiVersion").and_then(Value::as_str) {
        Some(version) if !version.is_empty() => Ok(version),
        _ => refused("apiVersion must be set"),
    }
}

/// An object as it is compared and merged; one that does not exist yet has at least a type and metadata.
fn without_managers(object: &Value, like: &Value) -> Value {
    let mut object = object.as_object().cloned().unwrap_or_default();
    for field in ["apiVersion", "kind"] {
        if let (false, Some(value)) = (object.contains_key(field), like.get(field)) {
            object.insert(field.to_owned(), value.clone());
        }
    }
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("managedFields");
    }
    Value::Object(object)
}

/// Without fields that this manager applied last time, does not apply now, and nobody else owns.
fn pruned(applied: &Value, last: &FieldSet, managed: &FieldSet, keys: &ListKeys) -> Value {
    let shape = &keys.root;
    let all = FieldSet::of_value(applied, shape).with_parents(shape);
    let last = last.with_parents(shape);
    let fields = |value: &Value| FieldSet::of_value(value, shape).with_parents(shape);
    let bare = last.removed_from(applied, shape);
    let owned = fields(&bare).union(&managed.with_parents(shape));
    let with_owned = all.minus(&owned).removed_from(applied, shape);
    let gone = all.minus(&fields(&with_owned)).both(&last);
    gone.removed_from(applied, shape)
}

/// Takes changed and removed fields from all managers but `own`.
fn take_over(
    managers: &mut Managers,
    comparison: &Comparison,
    own: Option<&Identity>,
    force: bool,
) -> Result<(), ApplyError> {
    let changed: BTreeSet<&Path> = comparison.modified.0.iter().chain(&comparison.added.0).collect();
    let mut conflicts = Vec::new();
    for (identity, entry) in managers.0.iter_mut().filter(|(identity, _)| Some(*identity) != own) {
        for path in changed.iter().filter(|path| entry.fields.has(path)).collect::<Vec<_>>() {
            if !force {
                conflicts.push((identity.shown(), shown(path)));
            }
            entry.fields.remove(path);
        }
        comparison.removed.0.iter().for_each(|path| entry.fields.remove(path));
    }
    if !force && !conflicts.is_empty() {
        return Err(refused(&conflicts));
    }
    managers.drop_empty();
    Ok(())
}

fn refused(conflicts: &[(String, String)]) -> ApplyError {
    let message = match conflicts {
        [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
        many => {
            let mut lines = Vec::new();
            let mut last = "";
            for (manager, path) in many {
                if manager != last {
                    lines.push(format!("conflicts with {manager}:"));
                }
                last = manager;
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    let conflicts = conflicts
        .iter()
        .map(|(manager, path)| Conflict { message: format!("conflict with {manager}"), field: path.clone() });
    ApplyError::Conflict { message, conflicts: conflicts.collect() }
}

/// Fields that nobody owns.
const UNOWNED: [&str; 3] = ["apiVersion", "kind", "metadata"];
const UNOWNED_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

fn stripped(mut fields: FieldSet) -> FieldSet {
    fields.0.retain(|path| match path.as_slice() {
        [] => false,
        [Step::Field(top)] => !UNOWNED.contains(&top.as_str()),
        [Step::Field(top), Step::Field(name)] => top != "metadata" || !UNOWNED_METADATA.contains(&name.as_str()),
        _ => true,
    });
    fields
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
