//! What the process knows of a rollout beside the caches. All of it may be lost: after a restart the rollout is reconciled once more.

mod in_flight_calls;

pub use in_flight_calls::InFlightCalls;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kulta_api::{KultaStatus, RouteKey};
use kulta_core::observed::{AcceptedRoute, RouteWrite};

use crate::cache::{CachedKind, Contents};
use crate::key::Key;
use crate::kinds::Kind;

/// How long to wait for the cache to have a write. A watch that lags longer is broken, which it reports itself.
pub const LONGEST_LAG: SignedDuration = SignedDuration::from_secs(5);
/// Guarded patches refused in a row, each against what the cache held, until a condition says so.
const REFUSALS_UNTIL_REPORTED: u32 = 3;

/// By uid: a rollout that is made anew under the name of a deleted one starts with nothing. It holds the rollouts that the cache holds, and
/// no others.
#[derive(Debug, Default)]
pub struct LocalStates {
    rollouts: Mutex<HashMap<String, Arc<LocalState>>>,
}

/// Of one rollout.
#[derive(Clone, Debug, Default)]
pub struct LocalState {
    /// Own writes that the cache does not have yet.
    pending: BTreeMap<(Kind, Key), PendingWrite>,
    /// Since when a status that changes only counts waits for more such changes.
    pub gathering: Option<Timestamp>,
    /// The API server's message about the ReplicaSet of this generation, with the generation.
    pub create_error: Option<(i64, String)>,
    /// Names of ReplicaSets that this rollout would use and that belong to somebody else's ReplicaSets.
    pub taken_names: BTreeSet<String>,
    /// The same of AnalysisRuns.
    pub taken_run_names: BTreeSet<String>,
    /// Events up to this sequence are delivered; the cache may still show them as waiting.
    pub delivered: u64,
    /// A delivery of its events is under way.
    pub delivering: bool,
    /// Digests of images that were found in pods: by hash of the revisions that it has, then by container.
    pub digests: BTreeMap<String, BTreeMap<String, String>>,
    /// Calls of step plugins.
    pub step_calls: InFlightCalls,
    /// The record that the CRD prunes.
    pub record: Option<KultaStatus>,
    /// Of its routes; several rollouts may share one, each with weights of its own.
    pub routes: BTreeMap<RouteKey, LocalRoute>,
}

/// An own write that the cache does not have yet.
#[derive(Clone, Copy, Debug)]
struct PendingWrite {
    /// The version that the cache has to reach.
    version: u64,
    at: Timestamp,
    cached_version: fn(&Contents, &Key) -> Option<u64>,
}

/// One route as one rollout knows it.
#[derive(Clone, Debug, Default)]
pub struct LocalRoute {
    pub last_write: Option<RouteWrite>,
    pub accepted: Option<AcceptedRoute>,
    /// Guarded patches refused in a row, and the API server's message.
    pub refusals: u32,
    pub refused: Option<String>,
    /// A write was forbidden: the message, and until when it counts.
    pub forbidden: Option<(String, Timestamp)>,
}

impl LocalStates {
    /// Begins to remember a rollout, unless it is known. The caller holds the cache's lock and finds the rollout in it: the rollout is then
    /// forgotten when the cache loses it.
    pub fn remember(&self, uid: &str) {
        let mut rollouts = self.rollouts();
        if !rollouts.contains_key(uid) {
            rollouts.insert(uid.to_owned(), Arc::default());
        }
    }

    #[must_use]
    pub fn of(&self, uid: &str) -> Arc<LocalState> {
        self.rollouts().get(uid).cloned().unwrap_or_default()
    }

    /// Changes the state of a rollout; `None` if the rollout is not known: one that has been forgotten stays forgotten.
    pub fn change<T>(&self, uid: &str, change: impl FnOnce(&mut LocalState) -> T) -> Option<T> {
        self.rollouts().get_mut(uid).map(|state| change(Arc::make_mut(state)))
    }

    pub fn forget(&self, uid: &str) {
        self.rollouts().remove(uid);
    }

    /// How many rollouts are remembered.
    #[must_use]
    pub fn rollouts_known(&self) -> usize {
        self.rollouts().len()
    }

    /// A worker that panicked left at worst a state that the next reconciliation corrects.
    fn rollouts(&self) -> MutexGuard<'_, HashMap<String, Arc<LocalState>>> {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalRoute {
    /// A patch was accepted. What was corrected before is remembered.
    pub fn wrote(&mut self, write: RouteWrite) {
        let before = self.last_write.take().unwrap_or_default();
        let write = RouteWrite {
            corrected: write.corrected.or(before.corrected),
            label_corrected: write.label_corrected.or(before.label_corrected),
            ..write
        };
        *self = Self { last_write: Some(write), accepted: self.accepted, ..Self::default() };
    }

    /// A guarded patch was refused (422).
    pub fn was_refused(&mut self, message: String) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= REFUSALS_UNTIL_REPORTED {
            self.refused = Some(message);
        }
    }
}

impl LocalState {
    /// The whole plan is applied: no patch of a route is refused any more.
    pub fn all_applied(&mut self) {
        for route in self.routes.values_mut() {
            route.refusals = 0;
            route.refused = None;
        }
    }

    pub fn wrote<K: CachedKind>(&mut self, object: Key, version: u64, now: Timestamp) {
        let write = PendingWrite { version, at: now, cached_version: K::cached_version };
        self.pending.insert((K::KIND, object), write);
    }

    /// When to reconcile again if the cache does not have an own write until then; `None` if it has all of them.
    pub fn lagging(&mut self, caches: &Contents, now: Timestamp) -> Option<Timestamp> {
        self.pending.retain(|(_, object), write| {
            let late = write.at.checked_add(LONGEST_LAG).is_ok_and(|end| end <= now);
            !late && (write.cached_version)(caches, object).is_none_or(|cached| cached < write.version)
        });
        self.pending.values().filter_map(|write| write.at.checked_add(LONGEST_LAG).ok()).min()
    }
}

#[cfg(test)]
mod tests {
    use kulta_api::RouteKind;
    use kulta_core::observed::Correction;
    use serde_json::json;

    use super::*;
    use crate::cache::{Caches, Services};
    use crate::object::Object;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn lagging(cached: &str, now: i64) -> Option<Timestamp> {
        let caches = Caches::default();
        let object = json!({ "metadata": { "namespace": "ns", "name": "a", "resourceVersion": cached } });
        caches.apply::<Services>(Object::new(object));
        let mut state = LocalState::default();
        state.wrote::<Services>(Key::new("ns", "a"), 10, at(0));
        let contents = caches.read();
        state.lagging(&contents, at(now))
    }

    #[test]
    fn a_write_that_the_cache_does_not_have_yet_is_waited_for() {
        assert_eq!(lagging("9", 1), Some(at(5)));
    }

    #[test]
    fn a_write_that_the_cache_has_is_done() {
        assert_eq!(lagging("10", 1), None);
    }

    #[test]
    fn a_route_that_was_refused_three_times_in_a_row_is_reported() {
        let mut state = LocalRoute::default();

        let reported = [1, 2, 3].map(|number| {
            state.was_refused(format!("no {number}"));
            state.refused.clone()
        });

        assert_eq!(reported, [None, None, Some("no 3".to_owned())]);
    }

    #[test]
    fn a_route_that_takes_a_patch_is_no_longer_refused() {
        let mut state = LocalRoute { refusals: 3, refused: Some("no".to_owned()), ..LocalRoute::default() };

        state.wrote(RouteWrite { weight: 20, ..RouteWrite::default() });

        assert_eq!((state.refusals, state.refused), (0, None));
    }

    #[test]
    fn whom_a_write_put_right_is_remembered_over_later_writes() {
        let mut state = LocalRoute::default();

        let corrected = Correction { at: at(1), manager: "meddler".to_owned() };

        state.wrote(RouteWrite {
            corrected: Some(corrected.clone()),
            label_corrected: Some(at(1)),
            ..RouteWrite::default()
        });
        state.wrote(RouteWrite::default());

        let kept = state.last_write.map(|last| (last.corrected, last.label_corrected));
        assert_eq!(kept, Some((Some(corrected), Some(at(1)))));
    }

    #[test]
    fn a_plan_that_went_through_leaves_nothing_refused() {
        let mut state = LocalState::default();
        state.routes.entry(RouteKey::new(RouteKind::Http, "ns", "web")).or_default().was_refused("no".to_owned());

        state.all_applied();

        assert!(state.routes.values().all(|route| route.refusals == 0));
    }

    #[test]
    fn what_is_noted_of_a_forgotten_rollout_is_not_kept() {
        let states = LocalStates::default();
        states.remember("u");
        states.forget("u");

        let changed = states.change("u", |state| state.delivered = 5);

        assert_eq!((changed, states.rollouts_known()), (None, 0));
    }

    #[test]
    fn what_is_noted_of_one_rollout_is_not_another_rollouts() {
        let states = LocalStates::default();
        states.remember("old");
        states.remember("new");

        states.change("old", |state| state.delivered = 5);

        assert_eq!((states.of("old").delivered, states.of("new").delivered), (5, 0));
    }

    #[test]
    fn waiting_ends_after_some_seconds() {
        assert_eq!(lagging("9", 5), None);
    }
}
