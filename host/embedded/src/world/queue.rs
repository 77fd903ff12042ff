//! The queue of objects to reconcile, by time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::client::RouteKind;
use crate::kind::Key;

/// Order of objects that are due at the same time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    Class(Key),
    Gateway(Key),
    ReplicaSet(Key),
    Pod(Key),
    Service(Key),
    Route(RouteKind, Key),
    Scrape,
}

/// Each object at its earliest requested time.
#[derive(Debug, Default)]
pub struct Queue(BTreeMap<Item, Timestamp>);

impl Queue {
    pub fn add(&mut self, item: Item, due: Timestamp) {
        let entry = self.0.entry(item).or_insert(due);
        *entry = due.min(*entry);
    }

    /// The time of the first object.
    pub fn next(&self) -> Option<Timestamp> {
        self.0.values().min().copied()
    }

    /// The first object that is due.
    pub fn take(&mut self, now: Timestamp) -> Option<Item> {
        let due = self.0.iter().filter(|(_, due)| **due <= now);
        let first = due.min_by_key(|(item, due)| (**due, (*item).clone())).map(|(item, _)| item.clone())?;
        self.0.remove(&first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn objects_are_ordered_by_time_and_then_by_kind() {
        let mut queue = Queue::default();
        queue.add(Item::Scrape, at(1));
        queue.add(Item::Pod(Key::new("a", "b")), at(1));
        queue.add(Item::Pod(Key::new("a", "a")), at(2));
        queue.add(Item::Pod(Key::new("a", "c")), at(4));

        let taken: Vec<Item> = std::iter::from_fn(|| queue.take(at(3))).collect();

        assert_eq!(taken, [Item::Pod(Key::new("a", "b")), Item::Scrape, Item::Pod(Key::new("a", "a"))]);
        assert_eq!(queue.next(), Some(at(4)));
    }

    #[test]
    fn an_object_keeps_its_earliest_time() {
        let mut queue = Queue::default();
        queue.add(Item::Scrape, at(2));
        queue.add(Item::Scrape, at(5));

        assert_eq!(queue.next(), Some(at(2)));
    }
}
