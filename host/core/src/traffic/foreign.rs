//! Somebody else who writes our weights (design section 4): put right at once, then seldom, and told for a while.

use jiff::Timestamp;

use crate::observed::{Correction, Route};
use crate::time;

/// A foreign weight is put right at once, and then no more often than this: two writers must not chase each other.
const PAUSE_SECONDS: u32 = 10;
/// How long the condition stays after a foreign weight was put right, so that a person can see it.
const SHOWN_SECONDS: u32 = 60;

/// Stands for a writer that the object does not name.
const UNKNOWN: &str = "unknown";

/// What is known of a foreign writer of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign<'a> {
    /// Who made the route say something else than this process last wrote and still wants, if it does.
    pub present: Option<&'a str>,
    /// A foreign weight was put right.
    corrected: Option<&'a Correction>,
}

impl<'a> Foreign<'a> {
    /// `moves`: the route does not say `weight`, which is what it should say.
    #[must_use]
    pub fn see(route: &'a Route, moves: bool, weight: u32) -> Self {
        let last = route.last_write.as_ref();
        let changed = last.is_some_and(|last| moves && last.weight == weight && route.generation > last.generation);
        Self {
            present: changed.then(|| route.foreign_managers.last().map_or(UNKNOWN, String::as_str)),
            corrected: last.and_then(|last| last.corrected.as_ref()),
        }
    }

    fn later(&self, seconds: u32, now: Timestamp) -> Option<Timestamp> {
        self.corrected.map(|correction| time::after(correction.at, seconds)).filter(|at| *at > now)
    }

    /// Whom to tell of, and when to look whether that is still so.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Option<(&'a str, Option<Timestamp>)> {
        let until = self.later(SHOWN_SECONDS, now);
        let lately = self.corrected.filter(|_| until.is_some()).map(|correction| correction.manager.as_str());
        self.present.or(lately).map(|manager| (manager, until))
    }

    /// When to put it right, if not now.
    #[must_use]
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.later(PAUSE_SECONDS, now).filter(|_| self.present.is_some())
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
        let corrected = corrected_at.map(|at| Correction { at, manager: "before".to_owned() });
        Route {
            generation,
            foreign_managers: vec!["now".to_owned()],
            last_write: Some(RouteWrite { weight: 20, at: at(0), generation: 5, corrected }),
            ..Route::default()
        }
    }

    #[test]
    fn a_change_of_what_was_written_last_is_foreign() {
        let routes = [route(6, None), route(1, None)];

        let seen = [
            Foreign::see(&routes[0], true, 20).present,
            Foreign::see(&routes[0], true, 40).present,
            Foreign::see(&routes[0], false, 20).present,
            Foreign::see(&routes[1], true, 20).present,
        ];

        assert_eq!(seen, [Some("now"), None, None, None]);
    }

    #[test]
    fn the_first_is_put_right_at_once_and_the_next_after_a_pause() {
        let (first, next) = (route(6, None), route(6, Some(at(0))));

        let waits = [(&first, 3), (&next, 3), (&next, 10)]
            .map(|(route, now)| Foreign::see(route, true, 20).waits_until(at(now)));

        assert_eq!(waits, [None, Some(at(10)), None]);
    }

    #[test]
    fn it_is_told_for_a_minute_after_the_last_correction() {
        let quiet = route(5, Some(at(0)));

        let shown = [3, 59, 60].map(|now| Foreign::see(&quiet, false, 20).shown(at(now)));

        assert_eq!(shown, [Some(("before", Some(at(60)))), Some(("before", Some(at(60)))), None]);
    }
}
