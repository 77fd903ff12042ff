//! Changes of objects that are there.

use std::sync::Arc;

use serde_json::Value;

use super::collect::ready_to_go;
use super::sent::{admit, check_fields, check_name, check_version, name_type, note_manager, place};
use super::{State, Subresource, WriteOptions, Written, shown};
use crate::json::{copy, meta, remove};
use crate::kind::{Key, Kind, Rules};
use crate::rules::{self, Part};
use crate::status::ApiError;

/// What kind of change it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    /// Whether an object that is not there is created.
    pub create: bool,
    /// Whether the change has noted who manages which field.
    pub managed: bool,
}

impl State {
    /// Replaces an object by what `change` makes of it.
    pub(super) fn change(
        &mut self,
        kind: &Kind,
        key: &Key,
        options: &WriteOptions,
        intent: Intent,
        change: impl FnOnce(Option<&Value>) -> Result<Value, ApiError>,
    ) -> Result<Written, ApiError> {
        let Some(stored) = self.get(&kind.collection, key).cloned() else {
            if !intent.create {
                return Err(ApiError::not_found(kind.resource(), key.name()));
            }
            let object = change(None)?;
            return self.create_once(kind, key.namespace(), object, options, intent.managed).map(Written::Created);
        };
        let before = shown(kind, &stored);
        let mut object = change(Some(&before))?;
        name_type(kind, &mut object)?;
        check_name(key, &object)?;
        place(kind, key.namespace(), &mut object)?;
        check_version(kind, &object, &before)?;
        let surroundings = self.surroundings();
        rules::defaults(kind, &mut object);
        rules::tidy(&mut object);
        if let Rules::Custom(custom) = &kind.rules {
            check_fields(kind, &object, options)?;
            custom.schema.complete(&mut object);
        }
        for field in ["resourceVersion", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
        {
            if field != "uid" || meta::uid(&object).is_empty() {
                copy(&before, &mut object, &["metadata", field]);
            }
        }
        let part = if options.subresource == Some(Subresource::Status) { Part::Status } else { Part::Object };
        if !intent.managed {
            let mut claimed = rules::claimed(kind, &object, &before, part);
            note_manager(kind, Some(&before), &mut claimed, options, &surroundings);
            copy(&claimed, &mut object, &["metadata", "managedFields"]);
        }
        rules::prepare_update(kind, &mut object, &before, part, &surroundings);
        admit(kind, &mut object, Some(&before))?;
        rules::tidy(&mut object);
        let mut causes = rules::check_metadata_update(&object, &before);
        if part == Part::Object {
            causes.extend(rules::check(kind, &object, Some(&before)));
        }
        if !causes.is_empty() {
            return Err(ApiError::invalid(kind.about(), key.name(), &causes));
        }
        if same(&object, &before) || options.dry_run {
            let object = if options.dry_run { Arc::new(object) } else { before };
            return Ok(Written::Updated(object));
        }
        if ready_to_go(&object) {
            self.commit(&kind.collection, key, None);
            return Ok(Written::Updated(Arc::new(object)));
        }
        let stored = self.commit(&kind.collection, key, Some(object));
        let stored = stored.ok_or_else(|| ApiError::internal("the object was not stored"))?;
        Ok(Written::Updated(shown(kind, &stored)))
    }
}

/// Whether an update changes nothing; when managers last wrote is no change.
fn same(object: &Value, before: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        entries.into_iter().flatten().for_each(|entry| drop(remove(entry, &["time"])));
        object
    };
    timeless(object) == timeless(before)
}
