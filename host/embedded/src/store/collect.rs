//! The effects of a real cluster's controllers on deletion, applied at once: garbage collection by owner references,
//! the two deletion finalizers, the contents of namespaces, the objects of a definition.

use std::sync::Arc;

use serde_json::Value;

use super::delete::{DeleteOptions, FOREGROUND, ORPHAN, Propagation};
use super::{Place, State};
use crate::json::{items, meta, put, remove, set};
use crate::kind::{BuiltIn, Collection};
use crate::rules;

/// An entry of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// An owner is gone.
    Dependents(String),
    /// An object has other owners than before.
    Owners(Place),
    /// An object that is being deleted waits for the collector.
    Finalize(Place),
    /// A namespace is being deleted, and may have become empty.
    Namespace(Place),
    /// A definition is being deleted, and its objects may be gone.
    Definition(Place),
}

impl State {
    /// Queues the consequences of a change.
    pub(super) fn note(&mut self, place: &Place, before: Option<&Value>, after: Option<&Value>) {
        let Some(object) = after else {
            self.note_removal(place, before);
            return;
        };
        let owners = |object: &Value| object.pointer("/metadata/ownerReferences").cloned();
        if meta::owners(object).next().is_some() && before.and_then(owners) != owners(object) {
            self.tasks.push_back(Task::Owners(place.clone()));
        }
        if !meta::deleting(object) {
            return;
        }
        match self.registry.by_collection(&place.collection).and_then(|kind| kind.built_in()) {
            Some(BuiltIn::Namespace) => self.tasks.push_back(Task::Namespace(place.clone())),
            Some(BuiltIn::CustomResourceDefinition) => self.tasks.push_back(Task::Definition(place.clone())),
            _ => {}
        }
        if meta::finalizers(object).iter().any(|name| name == ORPHAN || name == FOREGROUND) {
            self.tasks.push_back(Task::Finalize(place.clone()));
        }
    }

    fn note_removal(&mut self, place: &Place, before: Option<&Value>) {
        let Some(object) = before else { return };
        let uid = meta::uid(object);
        if self.dependents.contains_key(uid) {
            self.tasks.push_back(Task::Dependents(uid.to_owned()));
        }
        for owner in meta::owners(object) {
            let uid = owner.get("uid").and_then(Value::as_str).unwrap_or_default();
            if let Some(owner) = self.places.get(uid) {
                self.tasks.push_back(Task::Finalize(owner.clone()));
            }
        }
        if let Some(namespace) = self.namespace_place(place.key.namespace())
            && self.at(&namespace).is_some_and(|namespace| meta::deleting(namespace))
        {
            self.tasks.push_back(Task::Namespace(namespace));
        }
        if let Some(definition) = self.definition_place(&place.collection)
            && self.at(&definition).is_some_and(|definition| meta::deleting(definition))
        {
            self.tasks.push_back(Task::Definition(definition));
        }
    }

    pub(super) fn namespace_place(&self, name: &str) -> Option<Place> {
        let kind = self.registry.by_kind("v1", "Namespace")?;
        (!name.is_empty()).then(|| Place { collection: Arc::clone(&kind.collection), key: name.into() })
    }

    fn definition_place(&self, collection: &Collection) -> Option<Place> {
        let kind = self.registry.by_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")?;
        let key = format!("{}.{}", collection.plural, collection.group);
        Some(Place { collection: Arc::clone(&kind.collection), key: key.as_str().into() })
    }

    /// Processes the queue.
    pub(super) fn settle(&mut self) {
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Dependents(uid) => self.dependents_of(&uid).iter().for_each(|place| self.check_owners(place)),
                Task::Owners(place) => self.check_owners(&place),
                Task::Finalize(place) => self.finalize(&place),
                Task::Namespace(place) => self.empty_namespace(&place),
                Task::Definition(place) => self.empty_definition(&place),
            }
        }
    }

    fn dependents_of(&self, uid: &str) -> Vec<Place> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// True if the owner of a reference exists, as seen from a namespace.
    fn owner_exists(&self, reference: &Value, namespace: &str) -> bool {
        let uid = reference.get("uid").and_then(Value::as_str).unwrap_or_default();
        self.places.get(uid).is_some_and(|owner| {
            let home = owner.key.namespace();
            home.is_empty() || home == namespace
        })
    }

    /// True if the owner waits for the deletion of its dependents.
    fn owner_waits(&self, reference: &Value) -> bool {
        let uid = reference.get("uid").and_then(Value::as_str).unwrap_or_default();
        self.places.get(uid).and_then(|owner| self.at(owner)).is_some_and(|owner| waits(owner))
    }

    /// Deletes an object without living owners; removes references to missing owners if others exist.
    fn check_owners(&mut self, place: &Place) {
        let Some(object) = self.at(place).cloned() else { return };
        let (present, absent): (Vec<&Value>, Vec<&Value>) =
            meta::owners(&object).partition(|owner| self.owner_exists(owner, place.key.namespace()));
        let (waiting, solid): (Vec<&Value>, Vec<&Value>) =
            present.into_iter().partition(|owner| self.owner_waits(owner));
        if absent.is_empty() && waiting.is_empty() {
            return;
        }
        if !solid.is_empty() {
            let kept: Vec<Value> = solid.into_iter().cloned().collect();
            self.rewrite(place, |object| set(object, &["metadata", "ownerReferences"], kept));
            return;
        }
        if meta::deleting(&object) {
            return;
        }
        let has_dependents = self.dependents.contains_key(meta::uid(&object));
        let propagation =
            if !waiting.is_empty() && has_dependents { Propagation::Foreground } else { Propagation::Background };
        self.collect(place, propagation);
    }

    fn collect(&mut self, place: &Place, propagation: Propagation) {
        let Some(kind) = self.registry.by_collection(&place.collection) else { return };
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        if let Err(error) = self.delete(&kind, &place.key, &options) {
            tracing::debug!(?place, "not collected: {error}");
        }
    }

    /// The two finalizers that belong to the collector.
    fn finalize(&mut self, place: &Place) {
        let Some(object) = self.at(place).filter(|object| meta::deleting(object)).cloned() else { return };
        let uid = meta::uid(&object);
        let finalizers = meta::finalizers(&object);
        if finalizers.iter().any(|name| name == ORPHAN) {
            for dependent in self.dependents_of(uid) {
                self.rewrite(&dependent, |object| forget_owner(object, uid));
            }
            self.rewrite(place, |object| drop_finalizer(object, ORPHAN));
        } else if finalizers.iter().any(|name| name == FOREGROUND) {
            self.dependents_of(uid).iter().for_each(|dependent| self.check_owners(dependent));
            let blocks = |dependent: &Place| {
                let mut owners = self.at(dependent).into_iter().flat_map(|object| meta::owners(object));
                owners.any(|owner| {
                    let blocking = owner.get("blockOwnerDeletion").and_then(Value::as_bool).unwrap_or(false);
                    blocking && owner.get("uid").and_then(Value::as_str) == Some(uid)
                })
            };
            if !self.dependents_of(uid).iter().any(blocks) {
                self.rewrite(place, |object| drop_finalizer(object, FOREGROUND));
            }
        }
    }

    fn empty_namespace(&mut self, place: &Place) {
        let Some(namespace) = self.at(place).filter(|namespace| meta::deleting(namespace)).cloned() else { return };
        let inside: Vec<(Place, bool)> = self
            .objects
            .iter()
            .flat_map(|(collection, objects)| objects.iter().map(move |(key, object)| (collection, key, object)))
            .filter(|(_, key, _)| key.namespace() == place.key.name())
            .map(|(collection, key, object)| {
                (Place { collection: Arc::clone(collection), key: key.clone() }, meta::deleting(object))
            })
            .collect();
        for (inner, _) in inside.iter().filter(|(_, deleting)| !deleting) {
            self.collect(inner, Propagation::Background);
        }
        let empty = inside.iter().all(|(inner, _)| self.at(inner).is_none());
        if empty && items(&namespace, "/spec/finalizers").next().is_some() {
            self.rewrite(place, |namespace| put(namespace, &["spec", "finalizers"], None));
        }
    }

    fn empty_definition(&mut self, place: &Place) {
        let Some(definition) = self.at(place).filter(|definition| meta::deleting(definition)).cloned() else { return };
        let collection = Arc::new(rules::collection_of_crd(&definition));
        let places: Vec<Place> = self
            .objects
            .get(&collection)
            .into_iter()
            .flat_map(|objects| objects.keys())
            .map(|key| Place { collection: Arc::clone(&collection), key: key.clone() })
            .collect();
        for inner in &places {
            if self.at(inner).is_some_and(|object| !meta::deleting(object)) {
                self.collect(inner, Propagation::Background);
            }
        }
        if places.iter().all(|inner| self.at(inner).is_none()) {
            self.rewrite(place, |definition| drop_finalizer(definition, super::delete::INSTANCES));
        }
    }

    /// Updates a stored object; one that is being deleted and waits for nothing is removed.
    fn rewrite(&mut self, place: &Place, change: impl FnOnce(&mut Value)) {
        let Some(before) = self.at(place).cloned() else { return };
        let mut object = Value::clone(&before);
        change(&mut object);
        if object == *before {
            return;
        }
        let object = (!ready_to_go(&object)).then_some(object);
        self.commit(&place.collection, &place.key, object);
    }
}

/// True if an object that is being deleted waits for nothing any more.
pub(super) fn ready_to_go(object: &Value) -> bool {
    meta::deleting(object)
        && meta::grace(object) == 0
        && meta::finalizers(object).is_empty()
        && items(object, "/spec/finalizers").next().is_none()
}

fn waits(object: &Value) -> bool {
    meta::deleting(object) && meta::finalizers(object).iter().any(|name| name == FOREGROUND)
}

fn drop_finalizer(object: &mut Value, name: &str) {
    let left = meta::finalizers(object).into_iter().filter(|finalizer| finalizer != name).collect();
    meta::set_finalizers(object, left);
}

fn forget_owner(object: &mut Value, uid: &str) {
    let left: Vec<Value> =
        meta::owners(object).filter(|owner| owner.get("uid").and_then(Value::as_str) != Some(uid)).cloned().collect();
    if left.is_empty() {
        remove(object, &["metadata", "ownerReferences"]);
    } else {
        set(object, &["metadata", "ownerReferences"], left);
    }
}
