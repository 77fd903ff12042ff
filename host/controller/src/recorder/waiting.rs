//! The events that wait to be posted: a bounded queue that takes any event without waiting for room.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use kulta_core::plan::EventKind;

use crate::kube_events::{Message, Regarding};

/// An event, and the time at which it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub regarding: Regarding,
    pub event: Message,
    pub at: Timestamp,
}

/// Events in the order in which they were recorded. Of one object at most one event is out at a time, so that its events keep their order.
#[derive(Debug)]
pub struct Waiting {
    room: usize,
    events: VecDeque<Recorded>,
    /// Objects whose event is being posted, by uid.
    out: HashSet<String>,
}

impl Waiting {
    #[must_use]
    pub fn with_room_for(room: usize) -> Self {
        Self { room, events: VecDeque::new(), out: HashSet::new() }
    }

    /// Adds an event. If there is no room for it, returns the event that is dropped: the oldest Normal event, and only if there is none
    /// the oldest Warning.
    pub fn add(&mut self, recorded: Recorded) -> Option<Recorded> {
        self.events.push_back(recorded);
        if self.events.len() <= self.room {
            return None;
        }
        let oldest = self.events.iter().position(|waiting| waiting.event.kind == EventKind::Normal);
        self.events.remove(oldest.unwrap_or(0))
    }

    /// The oldest event of an object that has no event out.
    pub fn take(&mut self) -> Option<Recorded> {
        let free = self.events.iter().position(|waiting| !self.out.contains(&waiting.regarding.uid))?;
        let taken = self.events.remove(free)?;
        self.out.insert(taken.regarding.uid.clone());
        Some(taken)
    }

    /// No event is being posted.
    pub fn none_out(&mut self) {
        self.out.clear();
    }

    /// The object's event is posted, or refused: its next one may be taken.
    pub fn posted(&mut self, uid: &str) {
        self.out.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::kinds::Kind;

    fn recorded(object: &str, name: &str, kind: EventKind) -> Recorded {
        Recorded {
            regarding: Regarding { kind: Kind::Rollout, key: Key::new("ns", object), uid: object.to_owned() },
            event: Message { name: name.to_owned(), kind, reason: "RolloutPaused", message: String::new() },
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn full_of(events: [(&str, EventKind); 3]) -> Waiting {
        let mut waiting = Waiting::with_room_for(3);
        for (name, kind) in events {
            waiting.add(recorded(name, name, kind));
        }
        waiting
    }

    fn name(recorded: Option<Recorded>) -> Option<String> {
        recorded.map(|recorded| recorded.event.name)
    }

    #[test]
    fn a_full_queue_drops_its_oldest_normal_event() {
        let mut waiting =
            full_of([("warning", EventKind::Warning), ("old", EventKind::Normal), ("young", EventKind::Normal)]);

        let dropped = waiting.add(recorded("new", "new", EventKind::Normal));

        assert_eq!(name(dropped), Some("old".to_owned()));
    }

    #[test]
    fn a_full_queue_of_warnings_drops_a_new_normal_event() {
        let mut waiting = full_of(["a", "b", "c"].map(|name| (name, EventKind::Warning)));

        let dropped = waiting.add(recorded("new", "new", EventKind::Normal));

        assert_eq!(name(dropped), Some("new".to_owned()));
    }

    #[test]
    fn a_full_queue_of_warnings_drops_its_oldest_for_a_new_warning() {
        let mut waiting = full_of(["a", "b", "c"].map(|name| (name, EventKind::Warning)));

        let dropped = waiting.add(recorded("new", "new", EventKind::Warning));

        assert_eq!(name(dropped), Some("a".to_owned()));
    }

    #[test]
    fn an_object_whose_event_is_out_lets_others_pass() {
        let mut waiting = Waiting::with_room_for(10);
        for (object, event) in [("web", "1"), ("web", "2"), ("shop", "3")] {
            waiting.add(recorded(object, event, EventKind::Normal));
        }

        let taken = [waiting.take(), waiting.take(), waiting.take()].map(name);

        assert_eq!(taken, [Some("1".to_owned()), Some("3".to_owned()), None]);
    }

    #[test]
    fn the_next_event_of_an_object_may_be_taken_once_the_one_before_is_posted() {
        let mut waiting = Waiting::with_room_for(10);
        for event in ["1", "2"] {
            waiting.add(recorded("web", event, EventKind::Normal));
        }
        waiting.take();

        waiting.posted("web");

        assert_eq!(name(waiting.take()), Some("2".to_owned()));
    }
}
