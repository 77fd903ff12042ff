//! A set of fields in the encoding of `managedFields`. It is changed without decoding, because decoding costs more than most writes.

use serde_json::{Map, Value};

use super::fields::{FieldSet, Step};

/// Says that an object or list is itself in the set, where parts of it are too.
const SELF: &str = ".";

/// `fieldsV1`: a field without parts is in the set, one with parts if it says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Encoded(Map<String, Value>);

impl Encoded {
    pub fn of(set: &FieldSet) -> Self {
        Self::stored(set.encoded())
    }

    /// What [`FieldSet::encoded`] made.
    pub fn stored(fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self(fields),
            _ => Self::default(),
        }
    }

    pub fn decoded(&self) -> FieldSet {
        FieldSet::of_encoded(&self.0)
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field is in the set; the object as a whole is no field.
    pub fn has(&self, path: &[Step]) -> bool {
        let mut fields = &self.0;
        for step in path {
            let Some(Value::Object(inner)) = fields.get(&step.encoded()) else { return false };
            fields = inner;
        }
        !path.is_empty() && (fields.is_empty() || fields.contains_key(SELF))
    }

    pub fn insert(&mut self, path: &[Step]) {
        insert(&mut self.0, path);
    }

    pub fn remove(&mut self, path: &[Step]) {
        remove(&mut self.0, path);
    }
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

fn insert(fields: &mut Map<String, Value>, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    let name = step.encoded();
    let there = fields.contains_key(&name);
    let Value::Object(inner) = fields.entry(name).or_insert_with(nothing) else { return };
    // What has no parts is in the set, and has to say so once it has some; what has parts says so when it comes in.
    if there && inner.is_empty() != rest.is_empty() {
        inner.insert(SELF.to_owned(), nothing());
    }
    insert(inner, rest);
}

fn remove(fields: &mut Map<String, Value>, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    let name = step.encoded();
    let Some(Value::Object(inner)) = fields.get_mut(&name) else { return };
    let whole = inner.is_empty();
    match (whole, rest.is_empty()) {
        (true, true) => {
            fields.remove(&name);
        }
        // It has no parts.
        (true, false) => {}
        (false, true) => {
            inner.remove(SELF);
        }
        (false, false) => {
            remove(inner, rest);
            if inner.is_empty() {
                fields.remove(&name);
            } else if inner.len() == 1 && inner.contains_key(SELF) {
                inner.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_path() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            "[a-c]".prop_map(Step::Field),
            "[xy]".prop_map(|name| Step::Key(format!("{{\"name\":\"{name}\"}}"))),
            "[12]".prop_map(Step::Value),
        ];
        prop::collection::vec(step, 1..5)
    }

    fn any_set() -> impl Strategy<Value = FieldSet> {
        prop::collection::btree_set(any_path(), 0..12).prop_map(FieldSet)
    }

    proptest! {
        #[test]
        fn it_has_the_fields_of_its_set(set in any_set(), path in any_path()) {
            let encoded = Encoded::of(&set);

            prop_assert!(set.0.iter().all(|path| encoded.has(path)));
            prop_assert_eq!(encoded.has(&path), set.0.contains(&path));
            prop_assert_eq!(encoded.decoded(), set);
        }

        #[test]
        fn a_field_that_comes_in_is_as_if_it_had_been_there(mut set in any_set(), path in any_path()) {
            let mut encoded = Encoded::of(&set);

            encoded.insert(&path);

            set.0.insert(path);
            prop_assert_eq!(encoded, Encoded::of(&set));
        }

        #[test]
        fn a_field_that_goes_is_as_if_it_had_never_been_there(mut set in any_set(), other in any_path(), index in 0_usize..12) {
            let path = set.0.iter().nth(index).cloned().unwrap_or(other);
            let mut encoded = Encoded::of(&set);

            encoded.remove(&path);

            set.0.remove(&path);
            prop_assert_eq!(encoded, Encoded::of(&set));
        }
    }
}
