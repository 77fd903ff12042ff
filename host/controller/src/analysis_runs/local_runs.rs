//! What the process knows of AnalysisRuns beside the caches. All of it may be lost: what was under way is measured again.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use jiff::Timestamp;
use kulta_core::analysis::{Call, CallKind, Outcome, Taken};
use tokio::task::JoinSet;

use super::cached_run::CachedRun;
use crate::key::Key;
use crate::local_state::LONGEST_LAG;

/// Message of a measurement that panicked.
const PANICKED: &str = "the controller failed to measure: see its log";

/// Identifies a call of a run: the metric, the attempt and the kind of call.
type CallIdentity = (String, u32, CallKind);

/// By uid: a run that is made anew under the name of a deleted one starts with nothing. It holds the runs that the cache holds, and no
/// others.
#[derive(Debug, Default)]
pub struct LocalRuns {
    runs: Mutex<HashMap<String, LocalRun>>,
    /// Measurements under way; they are dropped with the controller.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct LocalRun {
    /// Version that the own last write produced, and when.
    written: Option<(u64, Timestamp)>,
    in_flight: HashSet<CallIdentity>,
    completed: Vec<Taken>,
    /// The version that was reconciled last, and when something is due in it.
    reconciled: Option<(u64, Option<Timestamp>)>,
    /// None while a reconciliation has it.
    cached: Option<CachedRun>,
}

/// Whether a run has to be reconciled.
#[derive(Debug, PartialEq)]
pub enum RunState {
    /// The cache does not have the own last write yet; reconcile again then.
    Lagging(Timestamp),
    /// Nothing has happened since the last reconciliation, and nothing is due before that time.
    Idle(Option<Timestamp>),
    /// These measurements have completed since.
    Completed(Vec<Taken>),
}

impl LocalRuns {
    /// Begins to remember a run, unless it is known. Whoever calls this holds the cache's lock and finds the run in it: the run is then
    /// forgotten when the cache loses it.
    pub fn remember(&self, uid: &str) {
        let mut runs = self.runs();
        if !runs.contains_key(uid) {
            runs.insert(uid.to_owned(), LocalRun::default());
        }
    }

    pub fn state(&self, uid: &str, cached_version: u64, now: Timestamp) -> RunState {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(uid) else { return RunState::Completed(Vec::new()) };
        if let Some((version, at)) = run.written {
            let end = at.checked_add(LONGEST_LAG).unwrap_or(at);
            if cached_version < version && end > now {
                return RunState::Lagging(end);
            }
            run.written = None;
        }
        if let Some((version, due)) = run.reconciled
            && version == cached_version
            && run.completed.is_empty()
            && due.is_none_or(|due| due > now)
        {
            return RunState::Idle(due);
        }
        RunState::Completed(run.completed.clone())
    }

    /// These results are stored, or of no use any more.
    pub fn stored(&self, uid: &str, taken: &[Taken], version: Option<(u64, Timestamp)>) {
        if let Some(run) = self.runs().get_mut(uid) {
            run.completed.retain(|completed| !taken.contains(completed));
            if version.is_some() {
                run.written = version;
            }
        }
    }

    /// This version need not be reconciled again before something is due in it, or measured.
    pub fn reconciled(&self, uid: &str, version: u64, due: Option<Timestamp>) {
        if let Some(run) = self.runs().get_mut(uid) {
            run.reconciled = Some((version, due));
        }
    }

    /// Begins a call; false if it is under way already, or answered and its answer is not stored yet.
    pub fn begin(&self, uid: &str, call: &Call) -> bool {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(uid) else { return false };
        let completed = run.completed.iter().any(|taken| of_taken(taken) == of_call(call));
        !completed && run.in_flight.insert(of_call(call))
    }

    /// A call has been answered. The answer is dropped if the run has been forgotten meanwhile.
    pub fn complete(&self, uid: &str, taken: Taken) {
        if let Some(run) = self.runs().get_mut(uid)
            && run.in_flight.remove(&of_taken(&taken))
        {
            run.completed.push(taken);
        }
    }

    pub fn forget(&self, uid: &str) {
        self.runs().remove(uid);
    }

    /// What the last reconciliation left for the next one.
    pub fn take(&self, uid: &str) -> Option<CachedRun> {
        self.runs().get_mut(uid)?.cached.take()
    }

    pub fn put(&self, uid: &str, cached: CachedRun) {
        if let Some(run) = self.runs().get_mut(uid) {
            run.cached = Some(cached);
        }
    }

    /// Makes a call that has [begun](Self::begin) and stores its answer. One that panics is answered too: nobody would call again.
    pub fn measure(
        self: &Arc<Self>,
        (key, uid): (Key, String),
        call: Call,
        measurement: impl Future<Output = Outcome> + Send + 'static,
        completed: impl FnOnce() + Send + 'static,
    ) {
        let runs = Arc::clone(self);
        let task = async move {
            let outcome = AssertUnwindSafe(measurement).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(run = %key, metric = call.metric, "a measurement panicked");
                Outcome::Errored { message: PANICKED.to_owned() }
            });
            runs.complete(&uid, call.taken(outcome));
            completed();
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// A panic under the lock leaves at worst a measurement that is taken again.
    fn runs(&self) -> MutexGuard<'_, HashMap<String, LocalRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_call(call: &Call) -> CallIdentity {
    (call.metric.clone(), call.attempt, call.kind)
}

fn of_taken(taken: &Taken) -> CallIdentity {
    (taken.metric.clone(), taken.attempt, taken.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const UID: &str = "u";

    /// What is known of a run that the cache holds.
    fn known() -> LocalRuns {
        let runs = LocalRuns::default();
        runs.remember(UID);
        runs
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
        let runs = known();

        assert_eq!([runs.begin(UID, &call()), runs.begin(UID, &call())], [true, false]);
    }

    #[test]
    fn a_call_whose_answer_is_not_stored_yet_is_not_made_again() {
        let runs = known();
        runs.begin(UID, &call());
        runs.complete(UID, taken());

        assert!(!runs.begin(UID, &call()));
    }

    #[test]
    fn an_answer_waits_until_it_is_stored() {
        let runs = known();
        runs.begin(UID, &call());
        runs.complete(UID, taken());
        assert_eq!(runs.state(UID, 1, at(0)), RunState::Completed(vec![taken()]));

        runs.stored(UID, &[taken()], None);

        assert_eq!(runs.state(UID, 1, at(0)), RunState::Completed(Vec::new()));
    }

    #[test]
    fn the_cache_is_waited_for_after_a_write() {
        let runs = known();

        runs.stored(UID, &[], Some((7, at(0))));

        assert_eq!(runs.state(UID, 6, at(1)), RunState::Lagging(at(5)));
        assert_eq!(runs.state(UID, 7, at(1)), RunState::Completed(Vec::new()));
    }

    #[test]
    fn a_cache_that_never_has_a_write_is_not_waited_for_for_ever() {
        let runs = known();

        runs.stored(UID, &[], Some((7, at(0))));

        assert_eq!(runs.state(UID, 6, at(5)), RunState::Completed(Vec::new()));
    }

    #[test]
    fn a_run_in_which_nothing_is_due_is_not_reconciled_again() {
        let runs = known();

        runs.reconciled(UID, 7, Some(at(10)));

        assert_eq!(runs.state(UID, 7, at(9)), RunState::Idle(Some(at(10))));
        assert_eq!(runs.state(UID, 7, at(10)), RunState::Completed(Vec::new()));
        assert_eq!(runs.state(UID, 8, at(9)), RunState::Completed(Vec::new()));
    }

    #[test]
    fn a_measurement_that_has_completed_makes_a_run_due() {
        let runs = known();
        runs.begin(UID, &call());
        runs.reconciled(UID, 7, None);

        runs.complete(UID, taken());

        assert_eq!(runs.state(UID, 7, at(0)), RunState::Completed(vec![taken()]));
    }

    #[test]
    fn the_answer_of_a_run_that_is_gone_is_dropped() {
        let runs = known();
        runs.begin(UID, &call());
        runs.forget(UID);

        runs.complete(UID, taken());

        assert_eq!(runs.state(UID, 1, at(0)), RunState::Completed(Vec::new()));
    }

    #[tokio::test]
    async fn a_measurement_that_panics_completes_as_an_error() {
        let runs = Arc::new(known());
        runs.begin(UID, &call());
        let (sender, completed) = tokio::sync::oneshot::channel();
        let measurement = async { panic!("broken") };

        runs.measure((Key::new("ns", "run"), UID.to_owned()), call(), measurement, move || sender.send(()).unwrap());
        completed.await.unwrap();

        let error = call().taken(Outcome::Errored { message: PANICKED.to_owned() });
        assert_eq!(runs.state(UID, 1, at(0)), RunState::Completed(vec![error]));
        assert!(!runs.begin(UID, &call()), "before it is stored");
        runs.stored(UID, &[call().taken(Outcome::Errored { message: PANICKED.to_owned() })], None);
        assert!(runs.begin(UID, &call()), "it is never measured again");
    }
}
