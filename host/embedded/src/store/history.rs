//! The bounded history of changes.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use crate::kind::{Collection, Key};

/// One change of one object. Both sides are set, or one of them.
#[derive(Clone, Debug)]
pub struct Change {
    /// The version that the change made.
    pub version: u64,
    pub collection: Arc<Collection>,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

#[derive(Clone, Debug)]
pub struct History {
    changes: VecDeque<Change>,
    bound: usize,
    /// The newest version whose change is dropped, or that existed from the start.
    compacted: u64,
}

impl History {
    pub const fn new(bound: usize, start: u64) -> Self {
        Self { changes: VecDeque::new(), bound, compacted: start }
    }

    pub fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        self.keep_bound();
    }

    /// The same changes, with another limit.
    pub fn bounded(&self, bound: usize) -> Self {
        let mut history = Self { bound, ..self.clone() };
        history.keep_bound();
        history
    }

    fn keep_bound(&mut self) {
        while self.changes.len() > self.bound {
            if let Some(gone) = self.changes.pop_front() {
                self.compacted = gone.version;
            }
        }
    }

    /// Drops changes up to a version.
    pub fn compact(&mut self, version: u64) {
        while self.changes.front().is_some_and(|change| change.version <= version) {
            self.changes.pop_front();
        }
        self.compacted = self.compacted.max(version);
    }

    /// The oldest version with a complete history.
    pub const fn oldest(&self) -> u64 {
        self.compacted
    }

    /// The changes after a version, oldest first; `None` if some of them are dropped.
    pub fn after(&self, version: u64) -> Option<impl DoubleEndedIterator<Item = &Change>> {
        if version < self.compacted {
            return None;
        }
        let start = self.changes.partition_point(|change| change.version <= version);
        Some(self.changes.range(start..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: u64) -> Change {
        let collection = Arc::new(Collection { group: String::new(), plural: "pods".to_owned() });
        Change { version, collection, key: Key::new("a", "b"), before: None, after: None }
    }

    fn versions(history: &History, after: u64) -> Option<Vec<u64>> {
        history.after(after).map(|changes| changes.map(|change| change.version).collect())
    }

    #[test]
    fn changes_are_in_order_from_the_requested_version() {
        let mut history = History::new(10, 1);
        (2..6).for_each(|version| history.push(change(version)));

        assert_eq!(versions(&history, 3), Some(vec![4, 5]));
    }

    #[test]
    fn changes_beyond_the_limit_are_dropped() {
        let mut history = History::new(2, 1);
        (2..6).for_each(|version| history.push(change(version)));

        assert_eq!(versions(&history, 2), None);
        assert_eq!(versions(&history, 3), Some(vec![4, 5]));
    }
}
