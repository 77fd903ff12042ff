//! What this process remembers of a rollout between two looks. All of it may be lost: a restart begins with none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kulta_api::FieldError;
use kulta_core::observed::{RouteState, RouteWrite};
use serde_json::Value;

use crate::caches::{Contents, Watched};
use crate::clock;
use crate::key::Key;

/// How long the caches may take to tell of this process's own writes before it decides without: far above any healthy watch's delay.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a refusal to change a route is believed: rights change without the route changing.
const FORBIDDEN_FOR: Duration = Duration::from_secs(60);
/// Guarded patches refused in a row, each against a newer object, until it is told: one or two happen when somebody else writes.
const REFUSALS_TOLD: u32 = 3;

#[derive(Debug, Default)]
pub struct Memory {
    /// The rollout's; another one of the same name knows nothing of this.
    pub uid: String,
    pub awaited: Vec<Awaited>,
    /// When the oldest of `awaited` was written.
    pub awaited_since: Option<Timestamp>,
    pub routes: BTreeMap<Key, RouteMemory>,
    pub create_refused: Option<CreateRefused>,
    /// Since when a patch that may be gathered is wanted.
    pub gathering_since: Option<Timestamp>,
    /// What the plugin said to its configuration: plugin, configuration, errors.
    pub config_check: Option<(String, Value, Vec<FieldError>)>,
    /// `status.kulta` where the CRD does not keep it.
    pub record: Option<Value>,
}

/// A write of ours that the caches have not told of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub kind: Watched,
    pub key: Key,
    pub until: Until,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// It is there, at this version or a later one.
    Created(u64),
    /// It is at this version or a later one, or gone.
    Version(u64),
    /// The object of this uid is gone.
    Gone(String),
}

#[derive(Debug, Default)]
pub struct RouteMemory {
    pub last_write: Option<RouteWrite>,
    /// Version of the object that the API server would not let us change, its words, and when.
    pub forbidden: Option<(u64, String, Timestamp)>,
    /// Guarded patches refused in a row, the last object's version and the last words.
    pub refused: Option<(u32, u64, String)>,
}

#[derive(Clone, Debug)]
pub struct CreateRefused {
    /// Of the rollout whose template was refused.
    pub generation: i64,
    pub message: String,
    pub times: u32,
    /// Not tried again before.
    pub retry_at: Timestamp,
}

impl Memory {
    /// A write that the caches must tell of before the rollout is decided again.
    pub fn await_write(&mut self, kind: Watched, key: Key, until: Until, now: Timestamp) {
        self.awaited_since.get_or_insert(now);
        self.awaited.retain(|awaited| awaited.kind != kind || awaited.key != key);
        self.awaited.push(Awaited { kind, key, until });
    }

    /// Until when the caches may still take; `None` when they have told everything, or never will.
    pub fn waits_until(&mut self, contents: &Contents, now: Timestamp) -> Option<Timestamp> {
        self.awaited.retain(|awaited| !awaited.told(contents));
        let since = self.awaited_since?;
        let deadline = clock::after(since, LONGEST_WAIT);
        if self.awaited.is_empty() || now >= deadline {
            if !self.awaited.is_empty() {
                tracing::warn!(awaited = ?self.awaited, "caches have not told of own writes in time; going on without");
            }
            self.awaited.clear();
            self.awaited_since = None;
            return None;
        }
        Some(deadline)
    }

    /// When to look again although the caches have told nothing.
    #[must_use]
    pub fn awaited_deadline(&self) -> Option<Timestamp> {
        self.awaited_since.map(|since| clock::after(since, LONGEST_WAIT))
    }

    /// When the first of the routes that may not be changed is tried again.
    #[must_use]
    pub fn forbidden_until(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.routes.values().filter_map(|route| route.forbidden.as_ref().map(|(.., at)| clock::after(*at, FORBIDDEN_FOR)));
        ends.filter(|end| *end > now).min()
    }

    /// The API server's words when it last refused to create the ReplicaSet of this generation.
    #[must_use]
    pub fn create_error(&self, generation: i64) -> Option<String> {
        let refused = self.create_refused.as_ref()?;
        (refused.generation == generation).then(|| refused.message.clone())
    }
}

impl Awaited {
    fn told(&self, contents: &Contents) -> bool {
        let seen = match self.kind {
            Watched::Rollouts => contents.rollouts.get(&self.key).map(|seen| (seen.version, &seen.uid)),
            Watched::ReplicaSets => {
                contents.replica_sets.get(&self.key).map(|seen| (seen.version, &seen.replica_set.uid))
            }
            Watched::Services => contents.services.get(&self.key).map(|seen| (seen.version, &self.key.name)),
            Watched::Routes => contents.routes.get(&self.key).map(|seen| (seen.version, &seen.uid)),
        };
        match (&self.until, seen) {
            (Until::Created(_), None) | (Until::Gone(_) | Until::Version(_), None) => {
                !matches!(self.until, Until::Created(_))
            }
            (Until::Created(version) | Until::Version(version), Some((seen, _))) => seen >= *version,
            (Until::Gone(uid), Some((_, seen))) => seen != uid,
        }
    }
}

impl RouteMemory {
    /// What the memory adds to a route that the cache holds at `version`.
    #[must_use]
    pub fn forbidden_state(&self, version: u64, now: Timestamp) -> Option<RouteState> {
        let (refused_version, message, at) = self.forbidden.as_ref()?;
        let holds = *refused_version == version && now < clock::after(*at, FORBIDDEN_FOR);
        holds.then(|| RouteState::Forbidden(message.clone()))
    }

    pub fn note_refusal(&mut self, version: u64, message: String) {
        self.refused = Some(match self.refused.take() {
            // The same object again: the cache was simply behind.
            Some((times, before, _)) if before == version => (times, before, message),
            Some((times, ..)) => (times.saturating_add(1), version, message),
            None => (1, version, message),
        });
    }

    #[must_use]
    pub fn refusal_told(&self) -> Option<String> {
        self.refused.as_ref().filter(|(times, ..)| *times >= REFUSALS_TOLD).map(|(.., message)| message.clone())
    }
}

/// The memories of all rollouts. One worker at a time has a rollout's, as it has its key.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<Key, Memory>>);

impl Memories {
    /// Takes the memory of that very rollout; a fresh one when there is none.
    #[must_use]
    pub fn take(&self, key: &Key, uid: &str) -> Memory {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        known
            .filter(|memory| memory.uid == uid)
            .unwrap_or_else(|| Memory { uid: uid.to_owned(), ..Memory::default() })
    }

    pub fn put(&self, key: Key, memory: Memory) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, memory);
    }

    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::caches::Caches;
    use crate::object::Object;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn service(version: &str) -> Object {
        Object::new(json!({ "metadata": { "name": "shop", "namespace": "ns", "resourceVersion": version } }))
    }

    fn waits(caches: &Caches, until: Until, now: Timestamp) -> bool {
        let mut memory = Memory::default();
        memory.await_write(Watched::Services, Key::new("ns", "shop"), until, at(0));
        memory.waits_until(&caches.read(), now).is_some()
    }

    #[test]
    fn a_rollout_waits_until_the_cache_holds_its_own_write() {
        let caches = Caches::default();
        caches.apply(Watched::Services, service("99"));

        let before = waits(&caches, Until::Version(100), at(1));
        caches.apply(Watched::Services, service("100"));

        assert_eq!((before, waits(&caches, Until::Version(100), at(1))), (true, false));
    }

    #[test]
    fn a_created_object_must_be_seen_and_a_patched_one_may_be_gone() {
        let caches = Caches::default();

        assert_eq!((waits(&caches, Until::Created(5), at(1)), waits(&caches, Until::Version(5), at(1))), (true, false));
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        let caches = Caches::default();

        assert_eq!((waits(&caches, Until::Created(5), at(4)), waits(&caches, Until::Created(5), at(5))), (true, false));
    }

    #[test]
    fn a_rollout_of_the_same_name_but_another_uid_remembers_nothing() {
        let memories = Memories::default();
        memories.put(Key::new("ns", "a"), Memory { uid: "old".into(), record: Some(json!({})), ..Memory::default() });

        assert_eq!(memories.take(&Key::new("ns", "a"), "new").record, None);
    }

    #[test]
    fn a_refused_route_is_told_after_three_refusals_of_newer_objects() {
        let mut memory = RouteMemory::default();
        for version in [1, 1, 2, 3] {
            assert_eq!(memory.refusal_told(), None);
            memory.note_refusal(version, "test failed".into());
        }

        assert_eq!(memory.refusal_told().as_deref(), Some("test failed"));
    }

    #[test]
    fn a_forbidden_route_is_tried_again_when_it_changes_or_after_a_minute() {
        let memory = RouteMemory { forbidden: Some((7, "no".into(), at(0))), ..RouteMemory::default() };

        let held = |version, second| memory.forbidden_state(version, at(second)).is_some();

        assert_eq!((held(7, 59), held(8, 1), held(7, 60)), (true, false, false));
    }
}
