//! Pruning of unknown fields, and defaults.

use serde_json::Value;

use super::node::{Additional, Node};

/// Fields that every object has, whatever its schema says.
const OF_EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Node {
    /// Drops what the schema does not know. `whole` is true for an object with a type and metadata of its own.
    pub fn prune(&self, value: &mut Value, whole: bool) {
        match value {
            Value::Object(object) => {
                object.retain(|key, _| self.keeps(key, whole));
                for (key, value) in object.iter_mut().filter(|(key, _)| !is_own(key, whole)) {
                    if let Some(node) = self.of_key(key) {
                        node.prune(value, node.embedded);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(node) = &self.items {
                    items.iter_mut().for_each(|item| node.prune(item, node.embedded));
                }
            }
            _ => {}
        }
    }

    /// Collects the paths of what pruning would drop.
    pub fn unknown(&self, value: &Value, whole: bool, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object.iter().filter(|(key, _)| !is_own(key, whole)) {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if !self.keeps(key, whole) {
                        found.push(path);
                    } else if let Some(node) = self.of_key(key) {
                        node.unknown(value, node.embedded, &path, found);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(node) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        node.unknown(item, node.embedded, &format!("{path}[{index}]"), found);
                    }
                }
            }
            _ => {}
        }
    }

    fn keeps(&self, key: &str, whole: bool) -> bool {
        self.preserve
            || is_own(key, whole)
            || self.properties.contains_key(key)
            || !matches!(self.additional, Additional::Unsaid)
    }

    /// Fills in defaults, then drops nulls where none is allowed.
    pub fn fill(&self, value: &mut Value) {
        self.default_in(value);
        self.drop_nulls(value);
    }

    fn default_in(&self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (key, node) in &self.properties {
                    let Some(default) = &node.default else { continue };
                    if object.get(key).is_none_or(|value| value.is_null() && !node.nullable) {
                        object.insert(key.clone(), default.clone());
                    }
                }
                for (key, value) in object.iter_mut() {
                    if let Some(node) = self.of_key(key) {
                        node.default_or_fill(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(node) = &self.items {
                    items.iter_mut().for_each(|item| node.default_or_fill(item));
                }
            }
            _ => {}
        }
    }

    fn default_or_fill(&self, value: &mut Value) {
        if let (true, false, Some(default)) = (value.is_null(), self.nullable, &self.default) {
            *value = default.clone();
        }
        self.default_in(value);
    }

    fn drop_nulls(&self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.retain(|key, value| {
                    let node = self.of_key(key);
                    !(value.is_null() && node.is_some_and(|node| !node.nullable))
                });
                for (key, value) in object.iter_mut() {
                    if let Some(node) = self.of_key(key) {
                        node.drop_nulls(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(node) = &self.items {
                    items.iter_mut().for_each(|item| node.drop_nulls(item));
                }
            }
            _ => {}
        }
    }
}

fn is_own(key: &str, whole: bool) -> bool {
    whole && OF_EVERY_OBJECT.contains(&key)
}
