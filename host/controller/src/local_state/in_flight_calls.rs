//! The calls of one rollout's step plugins that are under way, and those that have completed.

use jiff::Timestamp;
use kulta_core::step_plugins::{CallId, StepAnswer, StepCall};

/// Of one rollout. May be lost: what was under way is called again.
#[derive(Clone, Debug, Default)]
pub struct InFlightCalls {
    /// One at a time: what undoes work must not overtake it.
    in_flight: Option<CallId>,
    /// Nobody waits for the one that is under way any more.
    abandoned: bool,
    completed: Vec<StepAnswer>,
    unstored: Option<Unstored>,
}

/// A first call whose entry is not stored yet.
#[derive(Clone, Debug)]
struct Unstored {
    call: StepCall,
    since: Timestamp,
}

impl InFlightCalls {
    /// Begins a call; false if one is under way, or if its answer is not stored yet.
    pub fn begin(&mut self, id: CallId) -> bool {
        if self.in_flight.is_some() || self.completed.iter().any(|answer| answer.id == id) {
            return false;
        }
        self.in_flight = Some(id);
        true
    }

    /// A call has been answered. Nobody waits for the answer if the rollout has been forgotten meanwhile.
    pub fn complete(&mut self, answer: StepAnswer) {
        if self.in_flight.take_if(|id| *id == answer.id).is_some() && !std::mem::take(&mut self.abandoned) {
            self.completed.push(answer);
        }
    }

    /// This call is made with its entry not stored: answers since when. One that was made before for other work is abandoned.
    pub fn hold(&mut self, call: &StepCall, now: Timestamp) -> Timestamp {
        let held = self.unstored.take_if(|held| held.call.identity() == call.identity());
        self.stored_plan(None);
        let since = held.map_or(now, |held| held.since);
        self.unstored = Some(Unstored { call: call.clone(), since });
        since
    }

    /// A plan is stored by which this call is due: the entry of the held call is in it, or nobody waits for that call any more.
    pub fn stored_plan(&mut self, due: Option<&StepCall>) {
        let Some(Unstored { call, .. }) = self.unstored.take() else { return };
        if due.is_none_or(|due| due.identity() != call.identity()) {
            self.abandoned |= self.in_flight == Some(call.id);
            self.completed.retain(|answer| answer.id != call.id);
        }
    }

    #[must_use]
    pub fn unstored(&self) -> Option<StepCall> {
        self.unstored.as_ref().map(|unstored| unstored.call.clone())
    }

    /// The answers that are not stored yet.
    #[must_use]
    pub fn completed(&self) -> Vec<StepAnswer> {
        self.completed.clone()
    }

    /// These are stored, or of no use any more.
    pub fn stored(&mut self, answers: &[StepAnswer]) {
        self.completed.retain(|answer| !answers.contains(answer));
    }
}

#[cfg(test)]
mod tests {
    use kulta_core::decision::{Goal, RevisionState, Situation};
    use kulta_core::step_plugins::{Operation, StepOutcome};
    use serde_json::Value;

    use super::*;

    fn call(operation: Operation) -> CallId {
        CallId { index: 1, operation, started_at: Timestamp::UNIX_EPOCH, execution: 0 }
    }

    fn answer(operation: Operation) -> StepAnswer {
        let outcome = StepOutcome::Successful { reason: String::new(), memory: Vec::new() };
        StepAnswer { id: call(operation), outcome }
    }

    #[test]
    fn one_call_is_made_at_a_time() {
        let mut calls = InFlightCalls::default();

        assert_eq!([calls.begin(call(Operation::Run)), calls.begin(call(Operation::Abort))], [true, false]);
    }

    #[test]
    fn a_call_whose_answer_is_not_stored_yet_is_not_made_again() {
        let mut calls = InFlightCalls::default();
        calls.begin(call(Operation::Run));
        calls.complete(answer(Operation::Run));

        assert_eq!((calls.begin(call(Operation::Run)), calls.completed().len()), (false, 1));
        calls.stored(&[answer(Operation::Run)]);
        assert!(calls.begin(call(Operation::Run)));
    }

    #[test]
    fn the_answer_to_a_call_that_nobody_remembers_is_dropped() {
        let mut calls = InFlightCalls::default();

        calls.complete(answer(Operation::Run));

        assert_eq!(calls.completed(), Vec::new());
    }

    fn held(plugin: &str) -> StepCall {
        let situation = Situation {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            replicas: 1,
            max_weight: 100,
            stable: None,
            canary: RevisionState::default(),
            others: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
            goal: Goal::Forward,
            step: 1,
            step_started_at: Timestamp::UNIX_EPOCH,
            memory: Vec::new(),
            weight: 0,
            reached: false,
            paused: None,
            promoted: false,
            runs: Vec::new(),
        };
        StepCall {
            id: call(Operation::Run),
            plugin: plugin.to_owned(),
            config: Value::Null,
            pin: None,
            memory: Vec::new(),
            situation,
        }
    }

    #[test]
    fn a_call_is_held_since_it_was_held_first() {
        let mut calls = InFlightCalls::default();
        let later = Timestamp::from_second(1).unwrap();

        let since = [Timestamp::UNIX_EPOCH, later].map(|now| calls.hold(&held("gate"), now));

        assert_eq!(since, [Timestamp::UNIX_EPOCH; 2]);
    }

    #[test]
    fn the_answer_to_a_held_call_whose_entry_is_stored_is_kept() {
        let mut calls = InFlightCalls::default();
        calls.hold(&held("gate"), Timestamp::UNIX_EPOCH);
        calls.begin(call(Operation::Run));

        calls.stored_plan(Some(&held("gate")));
        calls.complete(answer(Operation::Run));

        assert_eq!((calls.completed().len(), calls.unstored()), (1, None));
    }

    #[test]
    fn the_answer_to_a_held_call_that_is_no_longer_due_is_dropped() {
        for due in [None, Some(held("mail"))] {
            let mut calls = InFlightCalls::default();
            calls.hold(&held("gate"), Timestamp::UNIX_EPOCH);
            calls.begin(call(Operation::Run));

            calls.stored_plan(due.as_ref());
            calls.complete(answer(Operation::Run));

            assert_eq!((calls.completed(), calls.begin(call(Operation::Run))), (Vec::new(), true));
        }
    }
}
