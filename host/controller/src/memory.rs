//! What the process remembers of a rollout beside the caches. All of it may be lost: a restart only looks once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kulta_api::KultaStatus;
use kulta_core::observed::{Correction, RouteWrite};

use crate::caches::{Contents, Watched};
use crate::key::Key;
use crate::steps::Flights;

/// How long the cache is waited for after a write. A watch that lags longer is broken and tells so itself.
const LONGEST_LAG: SignedDuration = SignedDuration::from_secs(5);
/// Guarded patches refused in a row, each against what the cache told, until a condition says so.
const REFUSALS_UNTIL_TOLD: u32 = 3;

/// By uid: a rollout that is made anew under the name of a deleted one starts with nothing. It holds the rollouts that the cache holds, and
/// no others.
#[derive(Debug, Default)]
pub struct Memory {
    rollouts: Mutex<HashMap<String, Arc<Notes>>>,
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
    /// Names of AnalysisRuns, likewise.
    pub taken_run_names: BTreeSet<String>,
    /// Events up to this sequence are delivered; the cache may still show them as waiting.
    pub delivered: u64,
    /// A delivery of its events is under way.
    pub delivering: bool,
    /// Digests found in pods, by hash and image of the revisions that it has.
    pub digests: BTreeMap<(String, String), String>,
    /// Calls of step plugins.
    pub steps: Flights,
    /// The record that the CRD prunes.
    pub record: Option<KultaStatus>,
    /// Of its routes; several rollouts may share one, each with weights of its own.
    pub routes: BTreeMap<Key, RouteNotes>,
}

/// Of one route, as one rollout knows it.
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
    /// Begins to remember a rollout, unless it is known. Whoever calls this holds the cache and sees the rollout in it: the rollout is then
    /// forgotten when the cache loses it.
    pub fn remember(&self, uid: &str) {
        let mut rollouts = self.rollouts();
        if !rollouts.contains_key(uid) {
            rollouts.insert(uid.to_owned(), Arc::default());
        }
    }

    #[must_use]
    pub fn of(&self, uid: &str) -> Arc<Notes> {
        self.rollouts().get(uid).cloned().unwrap_or_default()
    }

    /// Changes what is noted of a rollout; `None` when it is not known: a rollout that has been forgotten stays so.
    pub fn note<T>(&self, uid: &str, change: impl FnOnce(&mut Notes) -> T) -> Option<T> {
        self.rollouts().get_mut(uid).map(|notes| change(Arc::make_mut(notes)))
    }

    pub fn forget(&self, uid: &str) {
        self.rollouts().remove(uid);
    }

    /// How many rollouts are remembered.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.rollouts().len()
    }

    /// A worker that panicked left at worst a note that the next look corrects.
    fn rollouts(&self) -> MutexGuard<'_, HashMap<String, Arc<Notes>>> {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RouteNotes {
    /// A patch was taken.
    pub fn wrote(&mut self, weight: u32, generation: i64, corrects: Option<&str>, now: Timestamp) {
        let before = self.last_write.take().and_then(|last| last.corrected);
        let corrected = corrects.map(|manager| Correction { at: now, manager: manager.to_owned() }).or(before);
        *self = Self { last_write: Some(RouteWrite { weight, at: now, generation, corrected }), ..Self::default() };
    }

    /// A guarded patch was refused (422).
    pub fn was_refused(&mut self, words: String) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= REFUSALS_UNTIL_TOLD {
            self.refused = Some(words);
        }
    }
}

impl Notes {
    /// All that was planned is done: no patch of a route is refused any more.
    pub fn all_taken(&mut self) {
        for route in self.routes.values_mut() {
            route.refusals = 0;
            route.refused = None;
        }
    }

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
                Watched::Runs => caches.runs.get(object).map(|run| run.version),
                // Not written by looks at rollouts.
                Watched::Templates | Watched::ClusterTemplates | Watched::Plugins => Some(*version),
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
    fn a_route_that_was_refused_three_times_in_a_row_is_told() {
        let mut notes = RouteNotes::default();

        let told = [1, 2, 3].map(|number| {
            notes.was_refused(format!("no {number}"));
            notes.refused.clone()
        });

        assert_eq!(told, [None, None, Some("no 3".to_owned())]);
    }

    #[test]
    fn a_route_that_takes_a_patch_is_no_longer_refused() {
        let mut notes = RouteNotes { refusals: 3, refused: Some("no".to_owned()), ..RouteNotes::default() };

        notes.wrote(20, 7, None, at(1));

        assert_eq!((notes.refusals, notes.refused), (0, None));
    }

    #[test]
    fn whom_a_write_put_right_is_remembered_over_later_writes() {
        let mut notes = RouteNotes::default();

        notes.wrote(20, 7, Some("meddler"), at(1));
        notes.wrote(40, 8, None, at(2));

        let corrected = notes.last_write.and_then(|last| last.corrected);
        assert_eq!(corrected, Some(Correction { at: at(1), manager: "meddler".to_owned() }));
    }

    #[test]
    fn a_plan_that_went_through_leaves_nothing_refused() {
        let mut notes = Notes::default();
        notes.routes.entry(Key::new("ns", "web")).or_default().was_refused("no".to_owned());

        notes.all_taken();

        assert!(notes.routes.values().all(|route| route.refusals == 0));
    }

    #[test]
    fn what_is_noted_of_a_forgotten_rollout_is_not_kept() {
        let memory = Memory::default();
        memory.remember("u");
        memory.forget("u");

        let noted = memory.note("u", |notes| notes.delivered = 5);

        assert_eq!((noted, memory.rollouts_known()), (None, 0));
    }

    #[test]
    fn what_is_noted_of_one_rollout_is_not_another_rollouts() {
        let memory = Memory::default();
        memory.remember("old");
        memory.remember("new");

        memory.note("old", |notes| notes.delivered = 5);

        assert_eq!((memory.of("old").delivered, memory.of("new").delivered), (5, 0));
    }

    #[test]
    fn waiting_ends_after_some_seconds() {
        assert_eq!(lagging("9", 5), None);
    }
}
