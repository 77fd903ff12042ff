//! Somebody else who writes our weights (design section 4): put right at once, then seldom, and told for a while.

use jiff::Timestamp;

use crate::observed::Route;
use crate::time;

/// A foreign weight is put right at once, and then no more often than this: two writers must not chase each other.
const PAUSE_SECONDS: u32 = 10;
/// How long the condition stays after a foreign weight was put right, so that a person can see it.
const SHOWN_SECONDS: u32 = 60;

/// What is known of a foreign writer of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The route says something else than this process last wrote, and that is still what it wants.
    pub present: bool,
    /// When a foreign weight was last put right.
    corrected_at: Option<Timestamp>,
}

impl Foreign {
    /// `moves`: the route does not say `weight`, which is what it should say.
    #[must_use]
    pub fn see(route: &Route, moves: bool, weight: u32) -> Self {
        let last = route.last_write;
        Self {
            present: last.is_some_and(|last| moves && last.weight == weight && route.generation > last.generation),
            corrected_at: last.and_then(|last| last.corrected_at),
        }
    }

    fn later(self, seconds: u32, now: Timestamp) -> Option<Timestamp> {
        self.corrected_at.map(|at| time::after(at, seconds)).filter(|at| *at > now)
    }

    /// Whether it is to be told, and until when at least.
    #[must_use]
    pub fn shown_until(self, now: Timestamp) -> Option<Option<Timestamp>> {
        let until = self.later(SHOWN_SECONDS, now);
        (self.present || until.is_some()).then_some(until)
    }

    /// When to put it right, if not now.
    #[must_use]
    pub fn waits_until(self, now: Timestamp) -> Option<Timestamp> {
        self.later(PAUSE_SECONDS, now).filter(|_| self.present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::RouteWrite;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn route(generation: i64, corrected_at: Option<Timestamp>) -> Route {
        let last_write = Some(RouteWrite { weight: 20, at: at(0), generation: 5, corrected_at });
        Route { generation, last_write, ..Route::default() }
    }

    #[test]
    fn a_change_of_what_was_written_last_is_foreign() {
        let seen = [
            Foreign::see(&route(6, None), true, 20),
            Foreign::see(&route(6, None), true, 40),
            Foreign::see(&route(6, None), false, 20),
            Foreign::see(&route(1, None), true, 20),
        ];

        assert_eq!(seen.map(|foreign| foreign.present), [true, false, false, false]);
    }

    #[test]
    fn the_first_is_put_right_at_once_and_the_next_after_a_pause() {
        let waits = [
            Foreign::see(&route(6, None), true, 20).waits_until(at(3)),
            Foreign::see(&route(6, Some(at(0))), true, 20).waits_until(at(3)),
            Foreign::see(&route(6, Some(at(0))), true, 20).waits_until(at(10)),
        ];

        assert_eq!(waits, [None, Some(at(10)), None]);
    }

    #[test]
    fn it_is_told_for_a_minute_after_the_last_correction() {
        let shown = [3, 59, 60].map(|now| Foreign::see(&route(5, Some(at(0))), false, 20).shown_until(at(now)));

        assert_eq!(shown, [Some(Some(at(60))), Some(Some(at(60))), None]);
    }
}
