//! Deletes objects: at once, or with a deletion time, a grace period and finalizers.

use std::sync::Arc;

use jiff::ToSpan;
use serde_json::{Value, json};

use super::list::{ListOptions, Selection};
use super::{State, Store};
use crate::json::{items, meta, set, text};
use crate::kind::{BuiltIn, Key, Kind};
use crate::rules;
use crate::status::{About, ApiError};

/// The garbage collector's finalizers.
pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a definition that still has objects.
pub(super) const INSTANCES: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The effect on the dependents of the deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    /// As `propagationPolicy` has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            "Orphan" => Some(Self::Orphan),
            _ => None,
        }
    }
}

/// Preconditions of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub version: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub preconditions: Preconditions,
    pub propagation: Option<Propagation>,
    /// Seconds; only pods have a grace period.
    pub grace: Option<i64>,
    pub dry_run: bool,
}

/// The result of a deletion.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// It is deleted; this was its last state.
    Gone(Arc<Value>),
    /// It waits for finalizers or for its grace period.
    Waiting(Arc<Value>),
}

impl Store {
    /// # Errors
    /// 404; 409 if a precondition fails.
    pub fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        self.step(|state| state.delete(kind, &Key::new(namespace, name), options))
    }

    /// Deletes all selected objects, and returns them.
    ///
    /// # Errors
    /// The first error.
    pub fn delete_all(
        &self,
        kind: &Kind,
        namespace: &str,
        selection: &Selection,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Value>>, ApiError> {
        self.step(|state| {
            let page = state.list(kind, namespace, selection, &ListOptions::default())?;
            for object in &page.items {
                state.delete(kind, &Key::new(meta::namespace(object), meta::name(object)), options)?;
            }
            Ok(page.items)
        })
    }
}

impl State {
    pub(super) fn delete(&mut self, kind: &Kind, key: &Key, options: &DeleteOptions) -> Result<Deleted, ApiError> {
        let found = self.get(&kind.collection, key).cloned();
        let before = found.ok_or_else(|| ApiError::not_found(kind.resource(), key.name()))?;
        check(kind, &before, &options.preconditions)?;
        let mut object = Value::clone(&before);
        let grace = self.begin_grace(kind, &mut object, options);
        if grace == Grace::Pending {
            return Ok(Deleted::Waiting(before));
        }
        let finalizers = finalizers(kind, &object, options.propagation);
        if finalizers.is_empty() && meta::grace(&object) == 0 && !(kind.is(BuiltIn::Namespace) && has_contents(&object))
        {
            let last = if grace == Grace::Begun { Arc::new(object) } else { before };
            return Ok(Deleted::Gone(self.remove(kind, key, last, grace, options)));
        }
        meta::set_finalizers(&mut object, finalizers);
        if !meta::deleting(&object) {
            let now = self.now();
            set(&mut object, &["metadata", "deletionTimestamp"], now);
            set(&mut object, &["metadata", "deletionGracePeriodSeconds"], 0);
            meta::raise_generation(&mut object);
        }
        match kind.built_in() {
            Some(BuiltIn::Namespace) => set(&mut object, &["status", "phase"], "Terminating"),
            Some(BuiltIn::CustomResourceDefinition) => set_terminating(&mut object, &self.now()),
            _ => {}
        }
        if object == *before || options.dry_run {
            return Ok(Deleted::Waiting(Arc::new(object)));
        }
        let stored = self.commit(&kind.collection, key, Some(object));
        Ok(Deleted::Waiting(stored.unwrap_or(before)))
    }

    /// A kind with grace periods is marked as deleted before it is removed, even if its period is 0.
    fn remove(
        &mut self,
        kind: &Kind,
        key: &Key,
        last: Arc<Value>,
        grace: Grace,
        options: &DeleteOptions,
    ) -> Arc<Value> {
        if options.dry_run {
            return last;
        }
        let stored = match grace {
            Grace::Begun => self.commit(&kind.collection, key, Some(Value::clone(&last))),
            Grace::None | Grace::Pending => None,
        };
        self.commit(&kind.collection, key, None);
        stored.unwrap_or(last)
    }

    /// Sets the time when an object that is deleted gracefully has to be gone.
    fn begin_grace(&self, kind: &Kind, object: &mut Value, options: &DeleteOptions) -> Grace {
        let Some(mut period) = rules::grace_period(kind, object, options.grace) else { return Grace::None };
        let now = self.clock.second();
        let mut end = now.checked_add(period.seconds()).unwrap_or(now);
        if meta::deleting(object) {
            let running = meta::grace(object);
            if running == 0 {
                return Grace::None;
            }
            // A running period can only be shortened.
            let Some(asked) = options.grace.map(|asked| if asked < 0 { 1 } else { asked }) else {
                return Grace::Pending;
            };
            if asked >= running {
                return Grace::Pending;
            }
            let old_end: jiff::Timestamp = text(object, "/metadata/deletionTimestamp").parse().unwrap_or(now);
            period = asked;
            end = old_end.checked_add(asked.saturating_sub(running).seconds()).unwrap_or(now);
            if end < now {
                end = now;
                period = period.min(1);
            }
        } else {
            meta::raise_generation(object);
        }
        set(object, &["metadata", "deletionTimestamp"], end.to_string());
        set(object, &["metadata", "deletionGracePeriodSeconds"], period);
        Grace::Begun
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grace {
    /// The kind has none, or it is over.
    None,
    Begun,
    /// One is running already, and the request does not shorten it.
    Pending,
}

fn has_contents(namespace: &Value) -> bool {
    items(namespace, "/spec/finalizers").next().is_some()
}

fn check(kind: &Kind, object: &Value, wanted: &Preconditions) -> Result<(), ApiError> {
    let about = About { group: kind.group(), what: &kind.kind };
    let name = meta::name(object);
    if let Some(uid) = wanted.uid.as_deref().filter(|uid| *uid != meta::uid(object)) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            meta::uid(object)
        );
        return Err(ApiError::conflict(about, name, &why));
    }
    let version = text(object, "/metadata/resourceVersion");
    if let Some(asked) = wanted.version.as_deref().filter(|asked| *asked != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record ({version}). \
             The object might have been modified"
        );
        return Err(ApiError::conflict(about, name, &why));
    }
    Ok(())
}

/// The finalizers of an object after its deletion was requested.
fn finalizers(kind: &Kind, object: &Value, propagation: Option<Propagation>) -> Vec<String> {
    let before = meta::finalizers(object);
    let chosen = propagation.or_else(|| {
        before.iter().find_map(|name| match name.as_str() {
            ORPHAN => Some(Propagation::Orphan),
            FOREGROUND => Some(Propagation::Foreground),
            _ => None,
        })
    });
    let mut after: Vec<String> = before.into_iter().filter(|name| name != ORPHAN && name != FOREGROUND).collect();
    if !kind.is(BuiltIn::Event) {
        match chosen {
            Some(Propagation::Orphan) => after.push(ORPHAN.to_owned()),
            Some(Propagation::Foreground) => after.push(FOREGROUND.to_owned()),
            Some(Propagation::Background) | None => {}
        }
    }
    after
}

fn set_terminating(definition: &mut Value, now: &str) {
    let mut conditions: Vec<Value> = items(definition, "/status/conditions")
        .filter(|condition| text(condition, "/type") != "Terminating")
        .cloned()
        .collect();
    conditions.push(json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionInProgress",
        "message": "CustomResource deletion is in progress", "lastTransitionTime": now,
    }));
    set(definition, &["status", "conditions"], conditions);
}
