//! Limits how often the controller writes: not at all while a rollout waits and nothing happens, and otherwise a bounded number of times.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// Writes within a minute of virtual time that no scenario has a reason for: a step of two routed rollouts with their analyses takes
/// about twenty, a user acts every few seconds, and injected faults make the controller write again.
const WRITES_PER_MINUTE: usize = 120;
/// Writes within a minute while nothing happens and no rollout moves: those after a timer, such as a scale-down delay or the end of
/// an analysis.
const WRITES_WHILE_WAITING: usize = 3;
/// After this time without activity a rollout waits: no retry, no delay and no slow pod takes as long.
const WAITING_AFTER: SignedDuration = SignedDuration::from_mins(3);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The controller's writes of the last minute.
pub struct WriteRate {
    writes: VecDeque<(Timestamp, String)>,
    /// When something last happened that the controller has to react to.
    last_activity: Timestamp,
}

impl WriteRate {
    pub const fn new(now: Timestamp) -> Self {
        Self { writes: VecDeque::new(), last_activity: now }
    }

    /// Records an action of a user, a fault, a change of a pod or a step: each gives the controller a reason to write.
    pub fn record_activity(&mut self, now: Timestamp) {
        self.last_activity = now;
    }

    /// Counts a write of this object, and returns a violation if there are too many.
    pub fn record_write(&mut self, now: Timestamp, object: String) -> Option<String> {
        self.writes.push_back((now, object));
        while self.writes.front().is_some_and(|(at, _)| now.duration_since(*at) > MINUTE) {
            self.writes.pop_front();
        }
        if self.writes.len() > WRITES_PER_MINUTE {
            return Some(format!("more than {WRITES_PER_MINUTE} writes within a minute: {}", self.last_written()));
        }
        let since = now.duration_since(self.last_activity);
        let waiting =
            self.writes.iter().filter(|(at, _)| at.duration_since(self.last_activity) > WAITING_AFTER).count();
        (waiting > WRITES_WHILE_WAITING).then(|| {
            format!("{waiting} writes within a minute, and nothing has happened for {since:#}: {}", self.last_written())
        })
    }

    /// The objects that were written last, newest first.
    fn last_written(&self) -> String {
        const SHOWN: usize = 8;
        self.writes.iter().rev().take(SHOWN).map(|(_, object)| object.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The violations of this number of writes at an interval of seconds, of which the first is `after` seconds after an activity.
    fn violations(after: i64, writes: i64, interval: i64) -> Vec<String> {
        let mut rate = WriteRate::new(at(0));
        (0..writes)
            .filter_map(|write| rate.record_write(at(after + write * interval), "httproutes web".to_owned()))
            .collect()
    }

    #[test]
    fn a_write_every_ten_seconds_while_nothing_happens_is_a_loop() {
        assert!(
            violations(200, 7, 10)
                .first()
                .is_some_and(|violation| violation.contains("nothing has happened for 3m 50s"))
        );
    }

    #[test]
    fn writes_soon_after_an_activity_are_no_loop() {
        assert!(violations(0, 18, 10).is_empty());
    }

    #[test]
    fn a_few_writes_after_a_timer_are_no_loop() {
        assert!(violations(200, 3, 1).is_empty());
        assert!(violations(200, 30, 30).is_empty());
    }

    #[test]
    fn thousands_of_writes_are_a_loop_whatever_happens() {
        assert!(violations(0, 1_000, 0).first().is_some_and(|violation| violation.starts_with("more than 120 writes")));
    }
}
