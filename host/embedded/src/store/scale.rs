//! The scale subresource: a separate kind for one number of another object.

use serde_json::{Value, json};

use super::change::Intent;
use super::write::patched_plainly;
use super::{Patch, Store, Subresource, WriteOptions};
use crate::json::{meta, number, set, text};
use crate::kind::{BuiltIn, Kind, ScalePaths};
use crate::status::{ApiError, Cause};

/// `.spec.replicas` as a JSON pointer.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

impl Store {
    /// # Errors
    /// 404.
    pub fn scale(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Value, ApiError> {
        let paths = paths(kind)?;
        let object = self.get(kind, namespace, name)?;
        Ok(scale_of(kind, paths, &object))
    }

    /// Replaces a scale.
    ///
    /// # Errors
    /// As for an update of the object.
    pub fn update_scale(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        body: &Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        self.change_scale(kind, namespace, name, options, |_| Ok(body.clone()))
    }

    /// Patches a scale.
    ///
    /// # Errors
    /// As for a patch of the object.
    pub fn patch_scale(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        self.change_scale(kind, namespace, name, options, |scale| patched_plainly(scale, patch, &kind.keys))
    }

    fn change_scale(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &WriteOptions,
        change: impl FnOnce(&Value) -> Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        let paths = paths(kind)?;
        let options = WriteOptions { subresource: Some(Subresource::Scale), ..options.clone() };
        let key = crate::kind::Key::new(namespace, name);
        let written = self.step(|state| {
            let intent = Intent { create: false, managed: false };
            state.change(kind, &key, &options, intent, |before| {
                let before = before.cloned().unwrap_or_default();
                let scale = change(&scale_of(kind, paths, &before))?;
                let replicas = number(&scale, "/spec/replicas").unwrap_or(0);
                if replicas < 0 && kind.built_in().is_some() {
                    let why = "must be greater than or equal to 0";
                    let cause = Cause::invalid("spec.replicas", &replicas.into(), why);
                    let about = crate::status::About { group: "autoscaling", what: "Scale" };
                    return Err(ApiError::invalid(about, name, &[cause]));
                }
                let mut object = before;
                let path: Vec<&str> = paths.replicas.split('.').filter(|step| !step.is_empty()).collect();
                set(&mut object, &path, replicas);
                for field in ["resourceVersion", "uid"] {
                    let sent = text(&scale, &format!("/metadata/{field}"));
                    if !sent.is_empty() {
                        set(&mut object, &["metadata", field], sent);
                    }
                }
                Ok(object)
            })
        })?;
        Ok(scale_of(kind, paths, &written.into_object()))
    }
}

fn paths(kind: &Kind) -> Result<&ScalePaths, ApiError> {
    kind.scale.as_ref().ok_or_else(|| ApiError::not_served(&format!("{}/scale", kind.plural())))
}

fn scale_of(kind: &Kind, paths: &ScalePaths, object: &Value) -> Value {
    let read = |path: &str| number(object, &pointer(path)).unwrap_or(0);
    let mut metadata = json!({ "name": meta::name(object), "namespace": meta::namespace(object) });
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        set(&mut metadata, &[field], text(object, &format!("/metadata/{field}")));
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": { "replicas": read(&paths.status_replicas) },
    });
    // Zero is omitted, like an absent number.
    let wanted = read(&paths.replicas);
    if wanted != 0 {
        set(&mut scale, &["spec", "replicas"], wanted);
    }
    let selector = match &paths.selector {
        Some(path) => text(object, &pointer(path)).to_owned(),
        None if kind.is(BuiltIn::ReplicaSet) => selector_text(object),
        None => String::new(),
    };
    if !selector.is_empty() {
        set(&mut scale, &["status", "selector"], selector);
    }
    scale
}

/// A selector as text: `a=b,c=d`.
fn selector_text(object: &Value) -> String {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let terms = labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    terms.collect::<Vec<_>>().join(",")
}
