//! What the process remembers of a rollout beside the caches. All of it may be lost: a restart only looks once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kulta_api::KultaStatus;
use kulta_core::observed::RouteWrite;

use crate::caches::{Contents, Watched};
use crate::key::Key;

/// How long the cache is waited for after a write. A watch that lags longer is broken and tells so itself.
const LONGEST_LAG: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug, Default)]
pub struct Memory {
    rollouts: Mutex<HashMap<Key, Notes>>,
    routes: Mutex<HashMap<Key, RouteNotes>>,
}

/// Of one rollout.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Own writes that the cache has not told yet: the version each must reach.
    pending: BTreeMap<(Watched, Key), (u64, Timestamp)>,
    /// Since when a status that only counts waits for more of the same.
    pub gathering: Option<Timestamp>,
    /// The API server's words about the ReplicaSet of this generation, with the generation.
    pub create_error: Option<(i64, String)>,
    /// Names of ReplicaSets that this rollout would have taken and a stranger holds.
    pub taken_names: BTreeSet<String>,
    /// Events up to this sequence are delivered.
    pub delivered: u64,
    /// The record that the CRD prunes.
    pub record: Option<KultaStatus>,
}

#[derive(Clone, Debug, Default)]
pub struct RouteNotes {
    pub last_write: Option<RouteWrite>,
    /// Guarded patches refused in a row, and what was said.
    pub refusals: u32,
    pub refused: Option<String>,
    /// A write was forbidden: the words, and until when they count.
    pub forbidden: Option<(String, Timestamp)>,
}

impl Memory {
    pub fn of(&self, key: &Key) -> Notes {
        self.rollouts().get(key).cloned().unwrap_or_default()
    }

    pub fn note<T>(&self, key: &Key, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(self.rollouts().entry(key.clone()).or_default())
    }

    pub fn forget(&self, key: &Key) {
        self.rollouts().remove(key);
    }

    pub fn of_route(&self, route: &Key) -> RouteNotes {
        self.routes().get(route).cloned().unwrap_or_default()
    }

    pub fn note_route<T>(&self, route: &Key, change: impl FnOnce(&mut RouteNotes) -> T) -> T {
        change(self.routes().entry(route.clone()).or_default())
    }

    /// A worker that panicked left at worst a note that the next look corrects.
    fn rollouts(&self) -> MutexGuard<'_, HashMap<Key, Notes>> {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<Key, RouteNotes>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    pub fn wrote(&mut self, kind: Watched, object: Key, version: u64, now: Timestamp) {
        self.pending.insert((kind, object), (version, now));
    }

    /// When to look again for own writes that the cache has not told yet; `None` when it has told them all.
    pub fn lagging(&mut self, caches: &Contents, now: Timestamp) -> Option<Timestamp> {
        self.pending.retain(|(kind, object), (version, at)| {
            let seen = match kind {
                Watched::Rollouts => caches.rollouts.get(object).map(|rollout| rollout.version),
                Watched::ReplicaSets => caches.replica_sets.get(object).map(|replica_set| replica_set.version),
                Watched::Services => caches.services.get(object).map(|service| service.version),
                Watched::Routes => caches.routes.get(object).map(|route| route.version),
            };
            let late = at.checked_add(LONGEST_LAG).is_ok_and(|end| end <= now);
            !late && seen.is_none_or(|seen| seen < *version)
        });
        self.pending.values().filter_map(|(_, at)| at.checked_add(LONGEST_LAG).ok()).min()
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

    fn lagging(seen: &str, now: i64) -> Option<Timestamp> {
        let caches = Caches::default();
        caches.apply(
            Watched::Services,
            Object::new(json!({ "metadata": { "namespace": "ns", "name": "a", "resourceVersion": seen } })),
        );
        let mut notes = Notes::default();
        notes.wrote(Watched::Services, Key::new("ns", "a"), 10, at(0));
        let contents = caches.read();
        notes.lagging(&contents, at(now))
    }

    #[test]
    fn a_write_that_the_cache_has_not_told_yet_is_waited_for() {
        assert_eq!(lagging("9", 1), Some(at(5)));
    }

    #[test]
    fn a_write_that_the_cache_has_told_is_done() {
        assert_eq!(lagging("10", 1), None);
    }

    #[test]
    fn waiting_ends_after_some_seconds() {
        assert_eq!(lagging("9", 5), None);
    }
}
