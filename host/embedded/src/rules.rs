//! The rules for objects of a kind before they are stored: defaults, fields that a writer cannot set, and validation.

mod crd;
mod event;
mod meta;
mod pod;
mod service;
mod workload;

use serde_json::{Value, json};

pub use crd::{collection_of as collection_of_crd, kinds_of as kinds_of_crd};
pub use meta::{check_create as check_metadata, check_update as check_metadata_update, tidy};

use crate::json::{copy, default, drop_nulls, meta as object_meta, remove, set};
use crate::kind::{BuiltIn, Kind, Rules};
use crate::patch::apply::Claims;
use crate::status::Cause;

/// Which part of an object a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Object,
    Status,
}

/// Inputs from the server.
pub struct Surroundings {
    /// RFC 3339, in seconds.
    pub now: String,
    /// The address for a Service that needs one.
    pub free_address: String,
}

/// Brings a body into the form that the server reads it in: absent fields get their defaults.
pub fn defaults(kind: &Kind, object: &mut Value) {
    let Rules::BuiltIn(built_in) = &kind.rules else { return };
    drop_nulls(object);
    match built_in {
        BuiltIn::Namespace => meta::default_namespace(object),
        BuiltIn::Pod => pod::defaults(object),
        BuiltIn::Service => service::defaults(object),
        BuiltIn::ReplicaSet => workload::defaults(object),
        BuiltIn::EndpointSlice => service::slice_defaults(object),
        BuiltIn::Secret => {
            service::fold_string_data(object);
            default(object, &["type"], "Opaque");
        }
        BuiltIn::CustomResourceDefinition => crd::defaults(object),
        BuiltIn::Node
        | BuiltIn::Event
        | BuiltIn::ConfigMap
        | BuiltIn::ServiceAccount
        | BuiltIn::Lease
        | BuiltIn::Role
        | BuiltIn::RoleBinding
        | BuiltIn::ClusterRole
        | BuiltIn::ClusterRoleBinding => {}
    }
}

/// True if objects of the kind have a generation.
const fn counts(kind: &Kind) -> bool {
    match &kind.rules {
        Rules::Custom(_) => true,
        Rules::BuiltIn(built_in) => matches!(
            built_in,
            BuiltIn::Pod | BuiltIn::ReplicaSet | BuiltIn::EndpointSlice | BuiltIn::CustomResourceDefinition
        ),
    }
}

/// Fields that the server sets in a new object.
pub fn prepare_create(kind: &Kind, object: &mut Value, surroundings: &Surroundings) {
    if counts(kind) {
        set(object, &["metadata", "generation"], 1);
    } else {
        remove(object, &["metadata", "generation"]);
    }
    match &kind.rules {
        Rules::Custom(_) => {
            if kind.status {
                remove(object, &["status"]);
            }
        }
        Rules::BuiltIn(BuiltIn::Namespace) => {
            set(object, &["spec"], json!({ "finalizers": ["kubernetes"] }));
            set(object, &["status"], json!({ "phase": "Active" }));
        }
        Rules::BuiltIn(BuiltIn::Pod) => pod::prepare_create(object),
        Rules::BuiltIn(BuiltIn::Service) => service::prepare_create(object, surroundings),
        Rules::BuiltIn(BuiltIn::ReplicaSet) => set(object, &["status"], json!({ "replicas": 0 })),
        Rules::BuiltIn(BuiltIn::CustomResourceDefinition) => crd::establish(object, None, surroundings),
        Rules::BuiltIn(BuiltIn::Event) => complete_event(object),
        Rules::BuiltIn(_) => {}
    }
}

/// What an event shows even when nobody set it.
fn complete_event(event: &mut Value) {
    for field in ["source", "involvedObject"] {
        default(event, &[field], json!({}));
    }
    for field in ["reportingComponent", "reportingInstance"] {
        default(event, &[field], "");
    }
    for time in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        default(event, &[time], Value::Null);
    }
}

/// The part of an object that its writer may manage: other parts are as before.
#[must_use]
pub fn claims(kind: &Kind, part: Part) -> Claims {
    match part {
        Part::Status => Claims::Status,
        Part::Object if kind.status && !kind.is(BuiltIn::Node) => Claims::AllButStatus,
        Part::Object => Claims::All,
    }
}

/// Reverts changes that a write must not make, and increments the generation.
pub fn prepare_update(kind: &Kind, new: &mut Value, old: &Value, part: Part, surroundings: &Surroundings) {
    copy(old, new, &["metadata", "generation"]);
    match part {
        Part::Status => prepare_status(kind, new, old),
        Part::Object => {
            if kind.status && !kind.is(BuiltIn::Node) {
                copy(old, new, &["status"]);
            }
            match kind.built_in() {
                Some(BuiltIn::Event) => complete_event(new),
                Some(BuiltIn::Service) => service::prepare_update(new, old),
                Some(BuiltIn::Namespace) => copy(old, new, &["spec", "finalizers"]),
                Some(BuiltIn::CustomResourceDefinition) => crd::establish(new, Some(old), surroundings),
                _ => {}
            }
            if counts(kind) && changed(kind, new, old) {
                object_meta::raise_generation(new);
            }
        }
    }
}

fn prepare_status(kind: &Kind, new: &mut Value, old: &Value) {
    let status = remove(new, &["status"]);
    match &kind.rules {
        Rules::Custom(_) => {
            let managers = remove(new, &["metadata", "managedFields"]);
            *new = old.clone();
            crate::json::put(new, &["metadata", "managedFields"], managers);
        }
        Rules::BuiltIn(built_in) => {
            copy(old, new, &["spec"]);
            if *built_in == BuiltIn::Pod {
                copy(old, new, &["metadata", "ownerReferences"]);
                crate::json::put(new, &["status"], status);
                if crate::json::text(new, "/status/qosClass").is_empty() {
                    copy(old, new, &["status", "qosClass"]);
                }
                return;
            }
        }
    }
    crate::json::put(new, &["status"], status);
}

/// True if a change increments the generation: anything but metadata and a status subresource.
fn changed(kind: &Kind, new: &Value, old: &Value) -> bool {
    if kind.built_in().is_some_and(|built_in| built_in != BuiltIn::EndpointSlice) {
        return new.get("spec") != old.get("spec");
    }
    let bare = |object: &Value| {
        let mut object = object.clone();
        remove(&mut object, &["metadata"]);
        object
    };
    bare(new) != bare(old)
        || (kind.is(BuiltIn::EndpointSlice) && new.pointer("/metadata/labels") != old.pointer("/metadata/labels"))
}

/// Validation errors of an object; `old` is the object that an update replaces.
#[must_use]
pub fn check(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    match kind.built_in() {
        Some(BuiltIn::Pod) => pod::check(object, old),
        Some(BuiltIn::ReplicaSet) => workload::check(object, old),
        Some(BuiltIn::Service) => service::check(object, old),
        Some(BuiltIn::CustomResourceDefinition) => crd::check(object, old),
        Some(BuiltIn::Lease) => workload::check_lease(object),
        Some(BuiltIn::Event) => event::check(object),
        _ => Vec::new(),
    }
}

/// True if a PUT creates a missing object.
#[must_use]
pub fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        kind.built_in(),
        Some(
            BuiltIn::Lease
                | BuiltIn::Event
                | BuiltIn::Service
                | BuiltIn::Role
                | BuiltIn::RoleBinding
                | BuiltIn::ClusterRole
                | BuiltIn::ClusterRoleBinding
        )
    )
}

/// True if a PUT may omit the version.
#[must_use]
pub fn takes_unversioned_update(kind: &Kind) -> bool {
    kind.built_in().is_some_and(|built_in| !matches!(built_in, BuiltIn::Lease | BuiltIn::CustomResourceDefinition))
}

/// Grace period of a deletion in seconds; `None` for kinds without one.
#[must_use]
pub fn grace_period(kind: &Kind, object: &Value, asked: Option<i64>) -> Option<i64> {
    kind.is(BuiltIn::Pod).then(|| pod::grace_period(object, asked))
}
