//! Creates and changes objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Store;
use super::change::Intent;
use crate::json::{meta, remove};
use crate::kind::{Key, Kind};
use crate::patch::apply::{ApplyError, Conflict, Writer, apply};
use crate::patch::{ListKeys, PatchError, json as json_patch, merge, strategic};
use crate::rules;
use crate::status::ApiError;

/// Options of a write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// The field manager.
    pub manager: String,
    /// Dry run: everything except storing.
    pub dry_run: bool,
    /// An apply takes ownership of other managers' fields.
    pub force: bool,
    pub subresource: Option<Subresource>,
    /// Unknown fields are rejected rather than dropped.
    pub strict: bool,
}

impl WriteOptions {
    #[must_use]
    pub fn by(manager: &str) -> Self {
        Self { manager: manager.to_owned(), ..Self::default() }
    }

    /// For a write of the status.
    #[must_use]
    pub fn status(self) -> Self {
        Self { subresource: Some(Subresource::Status), ..self }
    }
}

/// A subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    Status,
    Scale,
}

impl Subresource {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// The result of a write.
#[derive(Clone, Debug)]
pub enum Written {
    Created(Arc<Value>),
    /// Also when nothing changed.
    Updated(Arc<Value>),
}

impl Written {
    #[must_use]
    pub fn into_object(self) -> Arc<Value> {
        match self {
            Self::Created(object) | Self::Updated(object) => object,
        }
    }
}

/// A patch, by its media type.
#[derive(Clone, Debug)]
pub enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

impl Store {
    /// Creates an object; its namespace may be omitted.
    ///
    /// # Errors
    /// The API server's errors: 409 for an existing name, 422 for an invalid object, 404 for a missing namespace.
    pub fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, ApiError> {
        self.step(|state| state.create(kind, namespace, body, options))
    }

    /// Replaces an object, or its status.
    ///
    /// # Errors
    /// The API server's errors: 409 for a stale version.
    pub fn update(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let uid = meta::uid(&body).to_owned();
        let create = rules::creates_on_update(kind) && options.subresource.is_none();
        self.step(|state| {
            let key = Key::new(namespace, name);
            if let Some(found) = state.get(&kind.collection, &key)
                && !uid.is_empty()
                && uid != meta::uid(found)
            {
                let why = format!(
                    "StorageError: invalid object, Code: 4, Key: /registry/{}/{namespace}/{name}, ResourceVersion: 0, \
                     AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    kind.plural(),
                    meta::uid(found)
                );
                return Err(ApiError::conflict(kind.resource(), name, &why));
            }
            let intent = Intent { create, managed: false };
            state.change(kind, &key, options, intent, |_| Ok(body))
        })
    }

    /// Changes an object, or its status.
    ///
    /// # Errors
    /// The API server's errors: 422 if a JSON Patch does not fit, 409 for a conflict between managers or a stale
    /// version.
    pub fn patch(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        self.step(|state| {
            let applied = matches!(patch, Patch::Apply(_));
            let intent = Intent { create: applied && options.subresource.is_none(), managed: applied };
            let now = state.now();
            let key = Key::new(namespace, name);
            state.change(kind, &key, options, intent, |before| patched(kind, before, patch, options, &now))
        })
    }
}

/// The object that a patch makes of another.
fn patched(
    kind: &Kind,
    before: Option<&Value>,
    patch: &Patch,
    options: &WriteOptions,
    now: &str,
) -> Result<Value, ApiError> {
    if let Patch::Apply(config) = patch {
        let subresource = options.subresource.map_or("", Subresource::as_str);
        let writer = Writer { manager: &options.manager, subresource, now };
        let mut config = config.clone();
        match options.subresource {
            Some(_) => drop(
                config
                    .as_object_mut()
                    .map(|fields| fields.retain(|field, _| APPLIED_TO_STATUS.contains(&field.as_str()))),
            ),
            None if kind.status => drop(remove(&mut config, &["status"])),
            None => {}
        }
        return apply(before, &config, &writer, options.force, &kind.keys).map_err(|error| refused_apply(&error));
    }
    patched_plainly(before.unwrap_or(&Value::Null), patch, &kind.keys)
}

/// The result of a patch without field ownership: an apply is then a merge.
pub(super) fn patched_plainly(before: &Value, patch: &Patch, keys: &ListKeys) -> Result<Value, ApiError> {
    let mut object = before.clone();
    match patch {
        Patch::Json(patch) => json_patch(&mut object, patch),
        Patch::Merge(patch) | Patch::Apply(patch) => merge(&mut object, patch),
        Patch::Strategic(patch) => strategic(&mut object, patch, keys),
    }
    .map_err(|error| refused_patch(&error))?;
    Ok(object)
}

/// The allowed content of an applied status.
const APPLIED_TO_STATUS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

fn refused_patch(error: &PatchError) -> ApiError {
    let details = matches!(error, PatchError::DoesNotApply { .. }).then(|| json!({}));
    ApiError { details, ..ApiError::new(error.code(), error.reason(), error.to_string()) }
}

fn refused_apply(error: &ApplyError) -> ApiError {
    let message = error.to_string();
    match error {
        ApplyError::BadRequest(_) => ApiError::bad_request(message),
        ApplyError::Internal(_) => ApiError::new(500, "InternalError", message),
        ApplyError::Conflict { conflicts, .. } => {
            let causes: Vec<Value> = conflicts
                .iter()
                .map(|conflict| json!({ "reason": Conflict::REASON, "message": conflict.message, "field": conflict.field }))
                .collect();
            ApiError { details: Some(json!({ "causes": causes })), ..ApiError::new(409, "Conflict", message) }
        }
    }
}
