//! What a number was lately: the controller may not have seen the newest value yet.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// The values of a window of time, each with its beginning.
#[derive(Default)]
pub struct Recent(VecDeque<(Timestamp, i64)>);

impl Recent {
    pub fn record(&mut self, now: Timestamp, value: i64, window: SignedDuration) {
        // Each value holds until the next one begins: the last one before the window still counts.
        while self.0.get(1).is_some_and(|(begun, _)| now.duration_since(*begun) > window) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(_, last)| *last != value) {
            self.0.push_back((now, value));
        }
    }

    fn within(&self, now: Timestamp, window: SignedDuration) -> impl Iterator<Item = i64> {
        let ended = move |index: usize| self.0.get(index + 1).map_or(now, |(begun, _)| *begun);
        let recent = self.0.iter().enumerate();
        recent.filter(move |(index, _)| now.duration_since(ended(*index)) <= window).map(|(_, (_, value))| *value)
    }

    pub fn least(&self, now: Timestamp, window: SignedDuration) -> i64 {
        self.within(now, window).min().unwrap_or(0)
    }

    pub fn most(&self, now: Timestamp, window: SignedDuration) -> i64 {
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
    fn a_value_counts_until_the_controller_must_have_seen_the_next_one() {
        let mut replicas = Recent::default();
        replicas.record(at(0), 2, WINDOW);
        replicas.record(at(100), 8, WINDOW);

        let least = [at(100), at(150), at(200)].map(|now| replicas.least(now, WINDOW));
        let most = [at(100), at(200)].map(|now| replicas.most(now, WINDOW));

        assert_eq!((least, most), ([2, 2, 8], [8, 8]));
    }

    #[test]
    fn a_value_that_fell_counts_as_long() {
        let mut available = Recent::default();
        available.record(at(0), 4, WINDOW);
        available.record(at(100), 1, WINDOW);

        assert_eq!([at(150), at(200)].map(|now| available.most(now, WINDOW)), [4, 1]);
    }
}
