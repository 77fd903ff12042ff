//! What the process remembers of runs. All of it may be lost: what was under way is measured again.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use kulta_core::analysis::{Call, CallKind, Outcome, Taken};
use tokio::task::JoinSet;

use super::kept::Kept;
use crate::key::Key;

/// How long the cache is waited for after a write. A watch that lags longer is broken and tells so itself.
const LONGEST_LAG: SignedDuration = SignedDuration::from_secs(5);

/// Message of a measurement whose program broke down.
const PANICKED: &str = "the controller failed to measure: see its log";

/// A call by what makes it one: its metric, its attempt, and what is asked.
type Flight = (String, u32, CallKind);

#[derive(Debug, Default)]
pub struct RunNotes {
    runs: Mutex<HashMap<Key, Notes>>,
    /// Measurements under way; given up when the controller is.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Version that the own last write produced, and when.
    written: Option<(u64, Timestamp)>,
    under_way: HashSet<Flight>,
    landed: Vec<Taken>,
    /// The version that the last look has seen to its end, and when something is due in it.
    seen: Option<(u64, Option<Timestamp>)>,
    /// In the hands of the look that is under way otherwise.
    kept: Option<Kept>,
}

/// Where a run stands beside its status.
#[derive(Debug, PartialEq)]
pub enum Stand {
    /// The cache has yet to tell of the own last write; look again then.
    Lagging(Timestamp),
    /// Nothing has happened since the last look, and nothing is due before that time.
    Resting(Option<Timestamp>),
    /// What has been measured since.
    Landed(Vec<Taken>),
}

impl RunNotes {
    pub fn stand(&self, key: &Key, cached_version: u64, now: Timestamp) -> Stand {
        let mut runs = self.runs();
        let Some(notes) = runs.get_mut(key) else { return Stand::Landed(Vec::new()) };
        if let Some((version, at)) = notes.written {
            let end = at.checked_add(LONGEST_LAG).unwrap_or(at);
            if cached_version < version && end > now {
                return Stand::Lagging(end);
            }
            notes.written = None;
        }
        if let Some((version, due)) = notes.seen
            && version == cached_version
            && notes.landed.is_empty()
            && due.is_none_or(|due| due > now)
        {
            return Stand::Resting(due);
        }
        Stand::Landed(notes.landed.clone())
    }

    /// These results are stored, or of no use any more.
    pub fn stored(&self, key: &Key, taken: &[Taken], version: Option<(u64, Timestamp)>) {
        if let Some(notes) = self.runs().get_mut(key) {
            notes.landed.retain(|landed| !taken.contains(landed));
        }
        if version.is_some() {
            self.runs().entry(key.clone()).or_default().written = version;
        }
    }

    /// This version needs no further look before something is due in it, or measured.
    pub fn rest(&self, key: &Key, version: u64, due: Option<Timestamp>) {
        self.runs().entry(key.clone()).or_default().seen = Some((version, due));
    }

    /// Notes that a call is being made; false when it already is.
    pub fn begin(&self, key: &Key, call: &Call) -> bool {
        let mut runs = self.runs();
        let notes = runs.entry(key.clone()).or_default();
        let landed = notes.landed.iter().any(|taken| of_taken(taken) == of_call(call));
        !landed && notes.under_way.insert(of_call(call))
    }

    /// A call has been answered. Nobody waits for the answer when the run has been forgotten meanwhile.
    pub fn land(&self, key: &Key, taken: Taken) {
        if let Some(notes) = self.runs().get_mut(key)
            && notes.under_way.remove(&of_taken(&taken))
        {
            notes.landed.push(taken);
        }
    }

    pub fn forget(&self, key: &Key) {
        self.runs().remove(key);
    }

    /// What the last look kept, for the next one.
    pub fn take(&self, key: &Key) -> Option<Kept> {
        self.runs().get_mut(key)?.kept.take()
    }

    pub fn keep(&self, key: &Key, kept: Kept) {
        self.runs().entry(key.clone()).or_default().kept = Some(kept);
    }

    /// Makes a call that has [begun](Self::begin) and notes its answer. One that panics is answered too: nobody would ask again.
    pub fn measure(
        self: &Arc<Self>,
        key: Key,
        call: Call,
        measurement: impl Future<Output = Outcome> + Send + 'static,
        landed: impl FnOnce() + Send + 'static,
    ) {
        let notes = Arc::clone(self);
        let task = async move {
            let outcome = AssertUnwindSafe(measurement).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(run = %key, metric = call.metric, "a measurement panicked");
                Outcome::Errored { message: PANICKED.to_owned() }
            });
            notes.land(&key, call.taken(outcome));
            landed();
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// A panic under the lock leaves at worst a measurement that is taken again.
    fn runs(&self) -> MutexGuard<'_, HashMap<Key, Notes>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_call(call: &Call) -> Flight {
    (call.metric.clone(), call.attempt, call.kind)
}

fn of_taken(taken: &Taken) -> Flight {
    (taken.metric.clone(), taken.attempt, taken.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key() -> Key {
        Key::new("ns", "run")
    }

    fn call() -> Call {
        Call {
            metric: "errors".into(),
            kind: CallKind::Measure,
            number: 1,
            attempt: 1,
            last: false,
            memory: Ok(Vec::new()),
            started_at: at(0),
        }
    }

    fn taken() -> Taken {
        call().taken(Outcome::Errored { message: "no".into() })
    }

    #[test]
    fn a_call_that_is_under_way_is_not_made_again() {
        let notes = RunNotes::default();

        assert_eq!([notes.begin(&key(), &call()), notes.begin(&key(), &call())], [true, false]);
    }

    #[test]
    fn a_call_whose_answer_is_not_stored_yet_is_not_made_again() {
        let notes = RunNotes::default();
        notes.begin(&key(), &call());
        notes.land(&key(), taken());

        assert!(!notes.begin(&key(), &call()));
    }

    #[test]
    fn an_answer_waits_until_it_is_stored() {
        let notes = RunNotes::default();
        notes.begin(&key(), &call());
        notes.land(&key(), taken());
        assert_eq!(notes.stand(&key(), 1, at(0)), Stand::Landed(vec![taken()]));

        notes.stored(&key(), &[taken()], None);

        assert_eq!(notes.stand(&key(), 1, at(0)), Stand::Landed(Vec::new()));
    }

    #[test]
    fn the_cache_is_waited_for_after_a_write() {
        let notes = RunNotes::default();

        notes.stored(&key(), &[], Some((7, at(0))));

        assert_eq!(notes.stand(&key(), 6, at(1)), Stand::Lagging(at(5)));
        assert_eq!(notes.stand(&key(), 7, at(1)), Stand::Landed(Vec::new()));
    }

    #[test]
    fn a_cache_that_never_tells_is_not_waited_for_for_ever() {
        let notes = RunNotes::default();

        notes.stored(&key(), &[], Some((7, at(0))));

        assert_eq!(notes.stand(&key(), 6, at(5)), Stand::Landed(Vec::new()));
    }

    #[test]
    fn a_run_in_which_nothing_is_due_is_not_looked_at_again() {
        let notes = RunNotes::default();

        notes.rest(&key(), 7, Some(at(10)));

        assert_eq!(notes.stand(&key(), 7, at(9)), Stand::Resting(Some(at(10))));
        assert_eq!(notes.stand(&key(), 7, at(10)), Stand::Landed(Vec::new()));
        assert_eq!(notes.stand(&key(), 8, at(9)), Stand::Landed(Vec::new()));
    }

    #[test]
    fn a_measurement_that_has_landed_ends_the_rest() {
        let notes = RunNotes::default();
        notes.begin(&key(), &call());
        notes.rest(&key(), 7, None);

        notes.land(&key(), taken());

        assert_eq!(notes.stand(&key(), 7, at(0)), Stand::Landed(vec![taken()]));
    }

    #[test]
    fn the_answer_of_a_run_that_is_gone_is_dropped() {
        let notes = RunNotes::default();
        notes.begin(&key(), &call());
        notes.forget(&key());

        notes.land(&key(), taken());

        assert_eq!(notes.stand(&key(), 1, at(0)), Stand::Landed(Vec::new()));
    }

    #[tokio::test]
    async fn a_measurement_that_panics_lands_as_an_error() {
        let notes = Arc::new(RunNotes::default());
        notes.begin(&key(), &call());
        let (told, landed) = tokio::sync::oneshot::channel();
        let measurement = async { panic!("broken") };

        notes.measure(key(), call(), measurement, move || told.send(()).unwrap());
        landed.await.unwrap();

        let error = call().taken(Outcome::Errored { message: PANICKED.to_owned() });
        assert_eq!(notes.stand(&key(), 1, at(0)), Stand::Landed(vec![error]));
        assert!(!notes.begin(&key(), &call()), "before it is stored");
        notes.stored(&key(), &[call().taken(Outcome::Errored { message: PANICKED.to_owned() })], None);
        assert!(notes.begin(&key(), &call()), "it is never measured again");
    }
}
