//! How often the controller writes: never while a rollout waits and nothing happens, and otherwise no more than what happens explains.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// Writes within a minute of virtual time that no scenario has a reason for: a step of two routed rollouts with their analyses takes
/// about twenty, a user acts every few seconds, and injected faults make the controller write again.
const WRITES_PER_MINUTE: usize = 120;
/// Writes within a minute while nothing happens and no rollout moves: those of a timer that comes due, such as a scale-down delay or the
/// end of an analysis, and of what follows from it.
const WRITES_WHILE_WAITING: usize = 3;
/// Nothing has happened for longer than any retry, delay or slow pod takes.
const UNDISTURBED: SignedDuration = SignedDuration::from_mins(3);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The controller's writes of the last minute.
pub struct Pace {
    writes: VecDeque<(Timestamp, String)>,
    /// When something last happened that the controller has to react to.
    disturbed: Timestamp,
}

impl Pace {
    pub const fn new(now: Timestamp) -> Self {
        Self { writes: VecDeque::new(), disturbed: now }
    }

    /// A user, a fault, a pod or a step: whatever gives the controller a reason to write.
    pub fn disturb(&mut self, now: Timestamp) {
        self.disturbed = now;
    }

    /// Counts a write of this object; answers when there are too many.
    pub fn count(&mut self, now: Timestamp, object: String) -> Option<String> {
        self.writes.push_back((now, object));
        while self.writes.front().is_some_and(|(at, _)| now.duration_since(*at) > MINUTE) {
            self.writes.pop_front();
        }
        if self.writes.len() > WRITES_PER_MINUTE {
            return Some(format!("more than {WRITES_PER_MINUTE} writes within a minute: {}", self.shown()));
        }
        let since = now.duration_since(self.disturbed);
        let waiting = self.writes.iter().filter(|(at, _)| at.duration_since(self.disturbed) > UNDISTURBED).count();
        (waiting > WRITES_WHILE_WAITING).then(|| {
            format!("{waiting} writes within a minute, and nothing has happened for {since:#}: {}", self.shown())
        })
    }

    /// The objects that were written last, newest first.
    fn shown(&self) -> String {
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

    /// What is said of so many writes, one every so many seconds, the first so many seconds after something has happened.
    fn said(after: i64, writes: i64, every: i64) -> Vec<String> {
        let mut pace = Pace::new(at(0));
        (0..writes).filter_map(|write| pace.count(at(after + write * every), "httproutes web".to_owned())).collect()
    }

    #[test]
    fn a_write_every_ten_seconds_while_nothing_happens_is_a_loop() {
        assert!(said(200, 7, 10).first().is_some_and(|said| said.contains("nothing has happened for 3m 50s")));
    }

    #[test]
    fn what_is_written_soon_after_something_has_happened_is_no_loop() {
        assert!(said(0, 18, 10).is_empty());
    }

    #[test]
    fn a_timer_that_comes_due_may_write() {
        assert!(said(200, 3, 1).is_empty());
        assert!(said(200, 30, 30).is_empty());
    }

    #[test]
    fn thousands_of_writes_are_a_loop_whatever_happens() {
        assert!(said(0, 1_000, 0).first().is_some_and(|said| said.starts_with("more than 120 writes")));
    }
}
