//! Updates of existing objects.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::collect::ready_to_go;
use super::sent::{admit, check_fields, check_name, check_version, name_type, note_manager, place};
use super::{State, Subresource, WriteOptions, Written, shown};
use crate::json::{copy, meta};
use crate::kind::{Key, Kind, Rules};
use crate::rules::{self, Part};
use crate::status::ApiError;

/// What kind of change it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    /// True if a missing object is created.
    pub create: bool,
    /// True if the change has recorded field ownership already.
    pub managed: bool,
}

impl State {
    /// Replaces an object by the result of `change`.
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
            note_manager(kind, Some(&before), &mut object, options, rules::claims(kind, part), &surroundings);
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

/// True if an update changes nothing; the time of a manager's last write does not count.
fn same(object: &Value, before: &Value) -> bool {
    same_but_for("metadata", object, before, |metadata, old| {
        same_but_for("managedFields", metadata, old, |entries, old| match (entries, old) {
            (Value::Array(entries), Value::Array(old)) if entries.len() == old.len() => {
                entries.iter().zip(old).all(|(entry, old)| same_but_for("time", entry, old, |_, _| true))
            }
            _ => entries == old,
        })
    })
}

/// Whether two objects are the same, with a comparison of its own for one field; absent is null there.
fn same_but_for(field: &str, one: &Value, other: &Value, same: impl FnOnce(&Value, &Value) -> bool) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return one == other };
    fn rest<'a>(fields: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        fields.iter().filter(move |(name, _)| *name != field)
    }
    let (inner, beside) = (one.get(field).unwrap_or(&Value::Null), other.get(field).unwrap_or(&Value::Null));
    rest(one, field).eq(rest(other, field)) && same(inner, beside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(time: &str, fields: &Value, spec: u32) -> Value {
        let entry = json!({ "manager": "a", "time": time, "fieldsV1": fields });
        json!({ "metadata": { "name": "x", "managedFields": [entry] }, "spec": spec })
    }

    #[test]
    fn when_a_manager_last_wrote_is_no_change() {
        let fields = json!({ "f:spec": {} });

        assert!(same(&object("1", &fields, 1), &object("2", &fields, 1)));
    }

    #[test]
    fn any_other_difference_is_a_change() {
        let (fields, others) = (json!({ "f:spec": {} }), json!({}));
        let unmanaged = json!({ "metadata": { "name": "x" }, "spec": 1 });

        assert!(!same(&object("1", &fields, 1), &object("1", &others, 1)));
        assert!(!same(&object("1", &fields, 1), &object("1", &fields, 2)));
        assert!(!same(&object("1", &fields, 1), &unmanaged));
        assert!(!same(&json!({ "spec": 1 }), &unmanaged));
    }
}
