//! The calls of one rollout's step plugins that are under way, and those that have landed.

use kulta_core::step_plugins::{CallId, StepAnswer};

/// Of one rollout. May be lost: what was under way is called again.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// One at a time: what undoes work must not overtake it.
    under_way: Option<CallId>,
    landed: Vec<StepAnswer>,
}

impl Flights {
    /// Notes that a call is being made; false when one already is, or its answer is not stored yet.
    pub fn begin(&mut self, id: CallId) -> bool {
        if self.under_way.is_some() || self.landed.iter().any(|answer| answer.id == id) {
            return false;
        }
        self.under_way = Some(id);
        true
    }

    /// A call has been answered. Nobody waits for the answer when the rollout has been forgotten meanwhile.
    pub fn land(&mut self, answer: StepAnswer) {
        if self.under_way.take_if(|id| *id == answer.id).is_some() {
            self.landed.push(answer);
        }
    }

    /// The answers that are not stored yet.
    #[must_use]
    pub fn landed(&self) -> Vec<StepAnswer> {
        self.landed.clone()
    }

    /// These are stored, or of no use any more.
    pub fn stored(&mut self, answers: &[StepAnswer]) {
        self.landed.retain(|answer| !answers.contains(answer));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kulta_core::step_plugins::{Operation, StepOutcome};

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
        let mut flights = Flights::default();

        assert_eq!([flights.begin(call(Operation::Run)), flights.begin(call(Operation::Abort))], [true, false]);
    }

    #[test]
    fn a_call_whose_answer_is_not_stored_yet_is_not_made_again() {
        let mut flights = Flights::default();
        flights.begin(call(Operation::Run));
        flights.land(answer(Operation::Run));

        assert_eq!((flights.begin(call(Operation::Run)), flights.landed().len()), (false, 1));
        flights.stored(&[answer(Operation::Run)]);
        assert!(flights.begin(call(Operation::Run)));
    }

    #[test]
    fn the_answer_to_a_call_that_nobody_remembers_is_dropped() {
        let mut flights = Flights::default();

        flights.land(answer(Operation::Run));

        assert_eq!(flights.landed(), Vec::new());
    }
}
