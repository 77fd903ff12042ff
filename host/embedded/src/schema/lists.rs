//! Sets and maps have no duplicates.

use serde_json::{Map, Value};

use super::cause::Cause;
use super::node::{ListType, Node};

pub(super) fn validate(node: &Node, value: &Value, field: &str, causes: &mut Vec<Cause>) {
    if !node.keyed {
        return;
    }
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let Some(property) = node.properties.get(key) {
                    validate(property, value, &format!("{field}.{key}"), causes);
                } else if let Some(additional) = node.of_key(key) {
                    validate(additional, value, &format!("{field}[{key}]"), causes);
                }
            }
        }
        Value::Array(items) => {
            match &node.list {
                ListType::Atomic => {}
                ListType::Set => twice(items, field, causes),
                ListType::Map(keys) => {
                    if let Some((index, item)) =
                        items.iter().enumerate().find(|(_, item)| !item.is_object() && !item.is_null())
                    {
                        let words = "must be an object for an array of list-type map";
                        causes.push(Cause::invalid(&format!("{field}[{index}]"), item, words));
                    } else {
                        twice(&items.iter().map(|item| key_of(item, keys)).collect::<Vec<_>>(), field, causes);
                    }
                }
            }
            if let Some(node) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    validate(node, item, &format!("{field}[{index}]"), causes);
                }
            }
        }
        _ => {}
    }
}

fn key_of(item: &Value, keys: &[String]) -> Value {
    let key = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    Value::Object(key.collect::<Map<_, _>>())
}

/// Names the second of each kind.
fn twice(items: &[Value], field: &str, causes: &mut Vec<Cause>) {
    for (index, item) in items.iter().enumerate() {
        if items.iter().take(index).filter(|before| *before == item).count() == 1 {
            causes.push(Cause::duplicate(&format!("{field}[{index}]"), item));
        }
    }
}
