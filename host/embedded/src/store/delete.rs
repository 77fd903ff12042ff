//! Deletion: at once, or by way of a deletion time, a grace period and finalizers.

use std::sync::Arc;

use jiff::ToSpan;
use serde_json::{Value, json};

use super::list::{ListOptions, Selection};
use super::{State, Store};
use crate::json::{items, meta, set, text};
use crate::kind::{BuiltIn, Key, Kind};
use crate::rules;
use crate::status::{About, ApiError};

/// The finalizers that the garbage collector takes away.
pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The one of a definition whose objects are still there.
pub(super) const INSTANCES: &str = "customresourcecleanup.apiextensions.k8s.io";

/// What becomes of the objects that name the deleted one as their owner.
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

/// What must be so for a deletion to happen.
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

/// What became of an object that was to be deleted.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// It is gone; this is what it was.
    Gone(Arc<Value>),
    /// It waits for finalizers or for its grace period.
    Waiting(Arc<Value>),
}

impl Store {
    /// # Errors
    /// 404; 409 when a precondition does not hold.
    pub fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        self.step(|state| state.delete(kind, &Key::new(namespace, name), options))
    }

    /// Deletes all that a selection takes in, and gives back what that was.
    ///
    /// # Errors
    /// As for the first object that refuses.
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
        match self.begin_grace(kind, &mut object, options) {
            Grace::Pending => return Ok(Deleted::Waiting(before)),
            Grace::None | Grace::Begun => {}
        }
        let finalizers = finalizers(kind, &object, options.propagation);
        if finalizers.is_empty() && meta::grace(&object) == 0 && !(kind.is(BuiltIn::Namespace) && has_contents(&object))
        {
            return Ok(Deleted::Gone(self.remove(kind, key, &before, options)));
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

    fn remove(&mut self, kind: &Kind, key: &Key, before: &Arc<Value>, options: &DeleteOptions) -> Arc<Value> {
        if !options.dry_run {
            self.commit(&kind.collection, key, None);
        }
        Arc::clone(before)
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
            // A running period can only be made shorter.
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

/// The finalizers of an object once its deletion was asked for.
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
