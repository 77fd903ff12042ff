//! Sets of fields, as `managedFields` record them (`f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::shape::{List, Shape};

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Field(String),
    /// The item of a list with these key fields, as a JSON object.
    Key(String),
    /// The item of a set, as JSON.
    Value(String),
    Index(String),
}

impl Step {
    /// The item of a list that is not one value. Nothing for an item that has no key.
    pub fn of_item(item: &Value, list: &List) -> Option<Self> {
        match list {
            List::Atomic => None,
            List::Set => {
                (!item.is_null() && !item.is_object() && !item.is_array()).then(|| Self::Value(item.to_string()))
            }
            List::Map(keys) => {
                let object = item.as_object()?;
                let values = keys.iter().filter_map(|key| {
                    let value = object.get(&key.name).or(key.default.as_ref())?;
                    Some((key.name.clone(), value.clone()))
                });
                let values: Map<String, Value> = values.collect();
                (!values.is_empty()).then(|| Self::Key(Value::Object(values).to_string()))
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let json = || serde_json::from_str::<Value>(rest).ok().map(|value| value.to_string());
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => json().map(Self::Key),
            "v" => json().map(Self::Value),
            "i" => Some(Self::Index(rest.to_owned())),
            _ => None,
        }
    }

    pub fn encoded(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(json) => format!("k:{json}"),
            Self::Value(json) => format!("v:{json}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// As a conflict names it.
    fn shown(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Value(json) => format!("[={json}]"),
            Self::Index(index) => format!("[{index}]"),
            Self::Key(json) => {
                let keys: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", keys.join(","))
            }
        }
    }
}

pub(super) type Path = Vec<Step>;

/// A path as a conflict names it, such as `.spec.template.spec.containers[name="app"].image`.
pub(super) fn shown(path: &[Step]) -> String {
    path.iter().map(Step::shown).collect()
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet(pub BTreeSet<Path>);

impl FieldSet {
    /// All fields that a value sets.
    pub fn of_value(value: &Value, shape: &Shape) -> Self {
        let mut set = Self::default();
        set.add(value, shape, &mut Path::new());
        set
    }

    fn add(&mut self, value: &Value, shape: &Shape, path: &mut Path) {
        match value {
            Value::Object(object) if !shape.atomic => {
                for (name, value) in object {
                    path.push(Step::Field(name.clone()));
                    self.add(value, shape.field(name), path);
                    let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                    if empty || !shape.is_named(name) {
                        self.0.insert(path.clone());
                    }
                    path.pop();
                }
            }
            Value::Array(items) if shape.list != List::Atomic => {
                for item in items {
                    let Some(step) = Step::of_item(item, &shape.list) else { continue };
                    path.push(step);
                    self.add(item, shape.item(), path);
                    self.0.insert(path.clone());
                    path.pop();
                }
            }
            _ => {
                self.0.insert(path.clone());
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub fn minus(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    pub fn both(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// With the fields of types that lie on the way; a set names those only where they are empty.
    pub fn with_parents(&self, shape: &Shape) -> Self {
        let mut set = self.0.clone();
        for path in &self.0 {
            let mut shape = shape;
            let mut parent = Path::new();
            for step in path {
                parent.push(step.clone());
                match step {
                    Step::Field(name) => {
                        if shape.is_named(name) && parent.len() < path.len() {
                            set.insert(parent.clone());
                        }
                        shape = shape.field(name);
                    }
                    Step::Key(_) | Step::Value(_) | Step::Index(_) => shape = shape.item(),
                }
            }
        }
        Self(set)
    }

    /// The `fieldsV1` of a managedFields entry.
    pub fn encoded(&self) -> Value {
        let mut root = Node::default();
        for path in &self.0 {
            let mut node = &mut root;
            for step in path {
                node = node.children.entry(step.encoded()).or_default();
            }
            node.member = true;
        }
        root.encoded()
    }

    pub fn decode(fields: &Value) -> Self {
        fields.as_object().map(Self::of_encoded).unwrap_or_default()
    }

    pub fn of_encoded(fields: &Map<String, Value>) -> Self {
        let mut set = Self::default();
        set.read(fields, &mut Path::new());
        set
    }

    fn read(&mut self, fields: &Map<String, Value>, path: &mut Path) {
        for (name, inner) in fields {
            if name == "." {
                self.0.insert(path.clone());
                continue;
            }
            let Some(step) = Step::parse(name) else { continue };
            path.push(step);
            match inner.as_object().filter(|inner| !inner.is_empty()) {
                Some(inner) => self.read(inner, path),
                None => drop(self.0.insert(path.clone())),
            }
            path.pop();
        }
    }

    fn has_below(&self, path: &Path) -> bool {
        let mut after = self.0.range(path.clone()..).skip_while(|other| *other == path);
        after.next().is_some_and(|other| other.starts_with(path))
    }

    /// A value without these fields. An object or list that loses all it had is gone too.
    pub fn removed_from(&self, value: &Value, shape: &Shape) -> Value {
        self.remove(value, shape, &mut Path::new()).unwrap_or_else(|| Value::Object(Map::new()))
    }

    fn remove(&self, value: &Value, shape: &Shape, path: &mut Path) -> Option<Value> {
        match value {
            Value::Object(object) if !shape.atomic => {
                let kept = object.iter().filter_map(|(name, value)| {
                    let kept = self.remove_part(value, shape.field(name), Step::Field(name.clone()), path)?;
                    Some((name.clone(), kept))
                });
                let kept: Map<String, Value> = kept.collect();
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(items) if shape.list != List::Atomic => {
                let kept = items.iter().filter_map(|item| match Step::of_item(item, &shape.list) {
                    Some(step) => self.remove_part(item, shape.item(), step, path),
                    None => Some(item.clone()),
                });
                let kept: Vec<Value> = kept.collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            other => Some(other.clone()),
        }
    }

    fn remove_part(&self, value: &Value, shape: &Shape, step: Step, path: &mut Path) -> Option<Value> {
        path.push(step);
        let kept = if self.0.contains(path) {
            None
        } else if self.has_below(path) {
            self.remove(value, shape, path)
        } else {
            Some(value.clone())
        };
        path.pop();
        kept
    }
}

#[derive(Default)]
struct Node {
    member: bool,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn encoded(&self) -> Value {
        let own = (self.member && !self.children.is_empty()).then(|| (".".to_owned(), Value::Object(Map::new())));
        let children = self.children.iter().map(|(name, node)| (name.clone(), node.encoded()));
        Value::Object(own.into_iter().chain(children).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shape::ListKeys;
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": { "labels": { "app": "x" }, "finalizers": ["a"] },
            "spec": { "containers": [{ "name": "c", "command": ["sh"], "ports": [{ "containerPort": 80 }], "resources": {} }] },
        })
    }

    #[test]
    fn a_pod_has_fields_keys_and_values() {
        let set = FieldSet::of_value(&pod(), &ListKeys::of_builtin("Pod").root);

        let port = json!({ ".": {}, "f:containerPort": {} });
        let container = json!({
            ".": {},
            "f:name": {},
            "f:command": {},
            "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": port },
            "f:resources": {},
        });
        assert_eq!(
            set.encoded(),
            json!({
                "f:metadata": { "f:labels": { "f:app": {} }, "f:finalizers": { "v:\"a\"": {} } },
                "f:spec": { "f:containers": { "k:{\"name\":\"c\"}": container } },
            })
        );
    }

    #[test]
    fn an_encoded_set_is_read_back() {
        let set = FieldSet::of_value(&pod(), &ListKeys::of_builtin("Pod").root);

        assert_eq!(FieldSet::decode(&set.encoded()), set);
    }

    #[test]
    fn removing_all_fields_leaves_nothing() {
        let shape = ListKeys::of_builtin("Pod").root;

        let rest = FieldSet::of_value(&pod(), &shape).removed_from(&pod(), &shape);

        assert_eq!(rest, json!({}));
    }

    #[test]
    fn a_path_is_shown_with_its_keys() {
        let path = [Step::Field("containers".into()), Step::Key(r#"{"name":"a"}"#.into()), Step::Field("image".into())];

        assert_eq!(shown(&path), r#".containers[name="a"].image"#);
    }
}
