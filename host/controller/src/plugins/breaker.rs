//! A circuit breaker: a plugin that fails again and again is not called for a while.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kulta_wasm::FailureClass;

/// Failures in a row until the breaker opens.
const FAILURES: u32 = 5;
/// How long it stays open, times the rounds of failures so far.
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(10);
/// A plugin that has been repaired should not wait for long.
const MAX_ROUNDS: i32 = 6;

/// The circuit breaker of one component. Closed, calls go through. Open, they fail at once until its time is over; then one is tried.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rounds: i32,
    until: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call may be made.
    ///
    /// # Errors
    /// Until when it may not.
    pub fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        let mut state = self.state();
        match state.until {
            Some(until) if now < until => Err(until),
            Some(_) => {
                // One call is tried; until it is answered the breaker stays open for as long again.
                state.until = now.checked_add(OPEN_FOR).ok();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What became of a call: its class when it failed.
    pub fn report(&self, outcome: Option<FailureClass>, now: Timestamp) {
        let mut state = self.state();
        if !outcome.is_some_and(counts) {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.rounds = state.rounds.saturating_add(1).min(MAX_ROUNDS);
            state.until = now.checked_add(OPEN_FOR * state.rounds).ok();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is the component's own fault; a user's configuration or the world around it is not.
const fn counts(class: FailureClass) -> bool {
    match class {
        FailureClass::Trapped
        | FailureClass::DeadlineExceeded
        | FailureClass::OutOfMemory
        | FailureClass::TooLarge
        | FailureClass::BadAnswer
        | FailureClass::Internal => true,
        FailureClass::Unknown
        | FailureClass::Refused
        | FailureClass::InvalidConfig
        | FailureClass::Unavailable
        | FailureClass::Host => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(times: u32) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..times {
            breaker.report(Some(FailureClass::Trapped), at(0));
        }
        breaker
    }

    #[test]
    fn a_few_failures_change_nothing() {
        assert_eq!(failed(4).admit(at(0)), Ok(()));
    }

    #[test]
    fn five_failures_in_a_row_end_the_calls_for_some_seconds() {
        assert_eq!(failed(5).admit(at(9)), Err(at(10)));
    }

    #[test]
    fn after_its_open_state_one_call_is_tried() {
        let breaker = failed(5);

        assert_eq!([breaker.admit(at(10)), breaker.admit(at(10))], [Ok(()), Err(at(20))]);
    }

    #[test]
    fn one_good_answer_makes_it_as_new() {
        let breaker = failed(5);

        breaker.report(None, at(10));

        assert_eq!(breaker.admit(at(10)), Ok(()));
    }

    #[test]
    fn each_round_is_open_for_longer_up_to_a_minute() {
        assert_eq!(failed(6).admit(at(0)), Err(at(20)));
        assert_eq!(failed(99).admit(at(0)), Err(at(60)));
    }

    #[test]
    fn a_users_own_mistake_is_not_the_plugins() {
        let breaker = Breaker::default();
        for _ in 0..9 {
            breaker.report(Some(FailureClass::InvalidConfig), at(0));
        }

        assert_eq!(breaker.admit(at(0)), Ok(()));
    }
}
