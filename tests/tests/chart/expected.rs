//! What a value changes in the manifests.

use anyhow::Result;
use kulta_tests::helm;
use serde_json::Value;

/// What a case changes; it does not hold for the default values.
#[derive(Debug)]
pub enum Expected {
    /// The object (kind and name) has this value at this path.
    Is(&'static str, &'static str, String, Value),
    /// The list at this path of the object has this item.
    Has(&'static str, &'static str, String, Value),
    /// The list at this path of the object lacks this item.
    Lacks(&'static str, &'static str, String, Value),
    /// The controller gets this argument.
    Argument(&'static str),
    /// There is such an object.
    Object(&'static str, &'static str),
    /// There is no such object.
    NoObject(&'static str, &'static str),
}

use Expected::{Argument, Has, Is, Lacks, NoObject, Object};

impl Expected {
    pub fn holds(&self, objects: &[Value]) -> Result<bool> {
        let at = |kind: &str, name: &str, path: &str| {
            helm::object(objects, kind, name).ok().and_then(|object| object.pointer(path)).cloned()
        };
        Ok(match self {
            Is(kind, name, path, value) => at(kind, name, path).as_ref() == Some(value),
            Has(kind, name, path, item) => {
                at(kind, name, path).is_some_and(|list| list.as_array().is_some_and(|list| list.contains(item)))
            }
            Lacks(kind, name, path, item) => {
                at(kind, name, path).is_some_and(|list| list.as_array().is_some_and(|list| !list.contains(item)))
            }
            Argument(argument) => helm::arguments(objects)?.iter().any(|given| given == argument),
            Object(kind, name) => helm::object(objects, kind, name).is_ok(),
            NoObject(kind, name) => helm::object(objects, kind, name).is_err(),
        })
    }
}

pub fn is(kind: &'static str, name: &'static str, path: &str, value: Value) -> Expected {
    Is(kind, name, path.to_owned(), value)
}

pub fn deployment(path: &str, value: Value) -> Expected {
    is("Deployment", "kulta", path, value)
}

pub fn pod(path: &str, value: Value) -> Expected {
    deployment(&format!("/spec/template{path}"), value)
}

pub fn container(path: &str, value: Value) -> Expected {
    pod(&format!("/spec/containers/0{path}"), value)
}

pub fn container_has(list: &str, item: Value) -> Expected {
    Has("Deployment", "kulta", format!("/spec/template/spec/containers/0/{list}"), item)
}

pub fn volume(item: Value) -> Expected {
    Has("Deployment", "kulta", "/spec/template/spec/volumes".to_owned(), item)
}
