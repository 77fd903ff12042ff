//! Another writer that changes this rollout's weights, rules or label (design section 4). The first change is corrected at once, later
//! ones rarely, and a condition reports it for a while.

use jiff::Timestamp;
use serde_json::Value;

use crate::observed::{Correction, Route};
use crate::time;

/// Minimum time between two corrections, so that two writers do not overwrite each other without pause. The first one is made at
/// once.
const PAUSE_SECONDS: u32 = 10;
/// Time for which the condition stays after a correction, so that a user can notice it.
const SHOWN_SECONDS: u32 = 60;

/// Name for a writer that the object does not name.
const UNKNOWN: &str = "unknown";

/// The weight, rules and label that the rollout wants on a route, and whether the route differs.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub weight: u32,
    /// The route has another weight.
    pub moves: bool,
    /// The rules of managed routes.
    pub managed: &'a [Value],
    /// The route has other rules of managed routes.
    pub reroutes: bool,
    /// Value of the in-progress label.
    pub label: Option<&'a str>,
    /// The route has another label.
    pub relabels: bool,
}

/// What is known about another writer of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign<'a> {
    /// The manager that changed the weight or the rules that this process last wrote and still wants.
    pub present: Option<&'a str>,
    /// The manager that changed the label that this process last wrote and still wants.
    pub label_changed_by: Option<&'a str>,
    /// The last correction of a foreign weight.
    corrected: Option<&'a Correction>,
    label_corrected: Option<Timestamp>,
    moves: bool,
}

impl<'a> Foreign<'a> {
    #[must_use]
    pub fn observe(route: &'a Route, wanted: Wanted<'_>) -> Self {
        let last = route.last_write.as_ref();
        let same_weight = last.filter(|last| last.weight == wanted.weight);
        let weight_changed = wanted.moves && same_weight.is_some_and(|last| route.generation > last.generation);
        let same_rules = last.filter(|last| last.managed == wanted.managed);
        let rules_changed = wanted.reroutes && same_rules.is_some_and(|last| route.generation > last.generation);
        // A change of labels alone does not change the generation.
        let label_changed = wanted.relabels
            && same_weight.is_some_and(|last| last.label.as_deref() == wanted.label && route.version() > last.version);
        let manager = || route.foreign_managers.last().map_or(UNKNOWN, String::as_str);
        Self {
            present: (weight_changed || rules_changed).then(manager),
            label_changed_by: label_changed.then(manager),
            corrected: last.and_then(|last| last.corrected.as_ref()),
            label_corrected: last.and_then(|last| last.label_corrected),
            moves: wanted.moves || wanted.reroutes,
        }
    }

    fn later(&self, seconds: u32, now: Timestamp) -> Option<Timestamp> {
        later(self.corrected.map(|correction| correction.at), seconds, now)
    }

    /// The manager to report, and until when.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Option<(&'a str, Option<Timestamp>)> {
        let until = self.later(SHOWN_SECONDS, now);
        let lately = self.corrected.filter(|_| until.is_some()).map(|correction| correction.manager.as_str());
        self.present.or(lately).map(|manager| (manager, until))
    }

    /// When to correct the change, if not now. A changed weight of this rollout is written at once, together with the label.
    #[must_use]
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        if self.moves {
            return self.later(PAUSE_SECONDS, now).filter(|_| self.present.is_some());
        }
        later(self.label_corrected, PAUSE_SECONDS, now).filter(|_| self.label_changed_by.is_some())
    }
}

fn later(at: Option<Timestamp>, seconds: u32, now: Timestamp) -> Option<Timestamp> {
    at.map(|at| time::after(at, seconds)).filter(|at| *at > now)
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
        let last_write = RouteWrite { weight: 20, generation: 5, version: 50, corrected, ..RouteWrite::default() };
        Route { generation, foreign_managers: vec!["now".to_owned()], last_write: Some(last_write), ..Route::default() }
    }

    fn weight(weight: u32, moves: bool) -> Wanted<'static> {
        Wanted { weight, moves, managed: &[], reroutes: false, label: None, relabels: false }
    }

    /// The rollout wants the label of its last write. The route has another label at this version.
    fn label(version: u64, corrected_at: Option<Timestamp>) -> (Route, Wanted<'static>) {
        let mut route = Route { resource_version: version.to_string(), ..route(5, None) };
        route.last_write = route.last_write.map(|last| RouteWrite {
            label: Some("on".to_owned()),
            label_corrected: corrected_at,
            ..last
        });
        (route, Wanted { label: Some("on"), relabels: true, ..self::weight(20, false) })
    }

    #[test]
    fn a_change_of_the_weight_that_was_written_last_is_foreign() {
        let routes = [route(6, None), route(1, None)];

        let managers = [
            Foreign::observe(&routes[0], weight(20, true)).present,
            Foreign::observe(&routes[0], weight(40, true)).present,
            Foreign::observe(&routes[0], weight(20, false)).present,
            Foreign::observe(&routes[1], weight(20, true)).present,
        ];

        assert_eq!(managers, [Some("now"), None, None, None]);
    }

    #[test]
    fn a_change_of_the_label_that_was_written_last_is_foreign() {
        let ((newer, wanted), (same, _)) = (label(51, None), label(50, None));

        let managers = [
            Foreign::observe(&newer, wanted).label_changed_by,
            Foreign::observe(&newer, Wanted { label: None, ..wanted }).label_changed_by,
            Foreign::observe(&newer, Wanted { weight: 40, ..wanted }).label_changed_by,
            Foreign::observe(&same, wanted).label_changed_by,
        ];

        assert_eq!(managers, [Some("now"), None, None, None]);
    }

    #[test]
    fn the_first_foreign_weight_is_corrected_at_once_and_the_next_after_a_pause() {
        let (first, next) = (route(6, None), route(6, Some(at(0))));

        let waits = [(&first, 3), (&next, 3), (&next, 10)]
            .map(|(route, now)| Foreign::observe(route, weight(20, true)).waits_until(at(now)));

        assert_eq!(waits, [None, Some(at(10)), None]);
    }

    #[test]
    fn a_foreign_label_is_corrected_at_once_and_the_next_one_after_a_pause() {
        let ((first, wanted), (next, _)) = (label(51, None), label(51, Some(at(0))));

        let waits = [(&first, 3), (&next, 3), (&next, 10)]
            .map(|(route, now)| Foreign::observe(route, wanted).waits_until(at(now)));

        assert_eq!(waits, [None, Some(at(10)), None]);
    }

    #[test]
    fn a_weight_that_this_rollout_moves_does_not_wait_for_the_label() {
        let (route, wanted) = label(51, Some(at(0)));

        let waits = Foreign::observe(&route, Wanted { weight: 40, moves: true, ..wanted }).waits_until(at(3));

        assert_eq!(waits, None);
    }

    #[test]
    fn a_foreign_weight_is_reported_for_a_minute_after_the_last_correction() {
        let quiet = route(5, Some(at(0)));

        let shown = [3, 59, 60].map(|now| Foreign::observe(&quiet, weight(20, false)).shown(at(now)));

        assert_eq!(shown, [Some(("before", Some(at(60)))), Some(("before", Some(at(60)))), None]);
    }
}
