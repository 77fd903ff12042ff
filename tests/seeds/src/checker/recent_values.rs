//! The values that a number had recently: the controller may not have observed the newest one yet.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// The values within a time window, each with the time since when it holds.
#[derive(Default)]
pub struct RecentValues(VecDeque<(Timestamp, i64)>);

impl RecentValues {
    pub fn record(&mut self, now: Timestamp, value: i64, window: SignedDuration) {
        // Each value holds until the next one: the last one before the window still counts.
        while self.0.get(1).is_some_and(|(since, _)| now.duration_since(*since) > window) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(_, last)| *last != value) {
            self.0.push_back((now, value));
        }
    }

    fn within(&self, now: Timestamp, window: SignedDuration) -> impl Iterator<Item = i64> {
        let ended = move |index: usize| self.0.get(index + 1).map_or(now, |(since, _)| *since);
        let recent = self.0.iter().enumerate();
        recent.filter(move |(index, _)| now.duration_since(ended(*index)) <= window).map(|(_, (_, value))| *value)
    }

    pub fn min(&self, now: Timestamp, window: SignedDuration) -> i64 {
        self.within(now, window).min().unwrap_or(0)
    }

    pub fn max(&self, now: Timestamp, window: SignedDuration) -> i64 {
        self.within(now, window).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SignedDuration = SignedDuration::from_secs(90);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_value_counts_until_the_controller_must_have_observed_the_next_one() {
        let mut replicas = RecentValues::default();
        replicas.record(at(0), 2, WINDOW);
        replicas.record(at(100), 8, WINDOW);

        let min = [at(100), at(150), at(200)].map(|now| replicas.min(now, WINDOW));
        let max = [at(100), at(200)].map(|now| replicas.max(now, WINDOW));

        assert_eq!((min, max), ([2, 2, 8], [8, 8]));
    }

    #[test]
    fn a_value_counts_as_long_if_the_next_one_is_lower() {
        let mut available = RecentValues::default();
        available.record(at(0), 4, WINDOW);
        available.record(at(100), 1, WINDOW);

        assert_eq!([at(150), at(200)].map(|now| available.max(now, WINDOW)), [4, 1]);
    }
}
