//! The objects that run the pods of revisions: ReplicaSets. Only this module knows their fields; everything else speaks of
//! revisions and of [`Change`]s.

mod replica_set;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kulta_api::{PodTemplate, annotations};
use serde_json::{Map, Value, json};

pub use replica_set::{KIND, NewWorkload, body, copied_annotations, name};

use crate::decision::RevisionState;

/// A revision of the pod template, and the object that runs its pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// Name of the object.
    pub name: String,
    pub uid: String,
    pub created: Timestamp,
    pub generation: i64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Number of wanted pods (`spec.replicas`).
    pub replicas: u32,
    pub min_ready_seconds: u32,
    pub template: PodTemplate,
    /// Number of pods that exist.
    pub created_replicas: u32,
    pub ready_replicas: u32,
    pub available_replicas: u32,
    /// The object is being deleted.
    pub deleting: bool,
    /// Why pods cannot be created: the message of a true ReplicaFailure condition.
    pub failure: Option<String>,
}

impl Revision {
    /// The revision's hash; empty if the label is missing.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.labels.get(annotations::POD_TEMPLATE_HASH).map_or("", String::as_str)
    }

    /// The revision's number; 0 if the annotation is missing.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.annotations.get(annotations::REVISION).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    #[must_use]
    pub fn scale_down_deadline(&self) -> Option<Timestamp> {
        self.annotations.get(annotations::SCALE_DOWN_DEADLINE).and_then(|time| time.parse().ok())
    }

    /// `spec.replicas` of the rollout when this revision was last scaled.
    #[must_use]
    pub fn desired_replicas(&self) -> Option<u32> {
        self.annotations.get(annotations::DESIRED_REPLICAS).and_then(|number| number.parse().ok())
    }

    /// The revision in the form in which plugins get it.
    #[must_use]
    pub fn state(&self) -> RevisionState {
        RevisionState {
            hash: self.hash().to_owned(),
            number: self.number(),
            desired: self.replicas,
            created: self.created_replicas,
            ready: self.ready_replicas,
            available: self.available_replicas,
        }
    }
}

/// Changes of the object that runs a revision's pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Annotations to set, or to remove by null.
    pub annotations: Map<String, Value>,
    pub replicas: Option<u32>,
    pub min_ready_seconds: Option<u32>,
    /// Merge patch of the pod template.
    pub template: Option<Value>,
}

impl Change {
    /// The merge patch of the object; `None` if nothing changes.
    #[must_use]
    pub fn patch(self) -> Option<Value> {
        let mut spec = Map::new();
        spec.extend(self.replicas.map(|replicas| ("replicas".to_owned(), json!(replicas))));
        spec.extend(self.min_ready_seconds.map(|seconds| ("minReadySeconds".to_owned(), json!(seconds))));
        spec.extend(self.template.map(|template| ("template".to_owned(), template)));
        let mut patch = Map::new();
        if !self.annotations.is_empty() {
            patch.insert("metadata".to_owned(), json!({ "annotations": self.annotations }));
        }
        if !spec.is_empty() {
            patch.insert("spec".to_owned(), Value::Object(spec));
        }
        (!patch.is_empty()).then_some(Value::Object(patch))
    }
}

/// A write of the object that runs a revision's pods. The field `name` is the object's name.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkloadWrite {
    /// A 409 "already exists" means that the name is taken. If another owner has it, it goes into
    /// [`crate::Observed::taken_names`].
    Create {
        name: String,
        body: Value,
    },
    /// Merge patch.
    Patch {
        name: String,
        patch: Value,
    },
    Delete {
        name: String,
        uid: String,
    },
}

/// An object that controls pods, as a look-up of pods needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodController {
    pub uid: String,
    /// Value of its pods' hash label.
    pub hash: String,
}
