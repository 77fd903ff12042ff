//! The work queue: each key waits at most once, is served by one worker at a time, and is due again at the time that its worker asked for.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::backoff::{Backoff, Random};
use crate::clock::{self, Clock};
use crate::key::Key;

/// Longest sleep of a worker: a wall clock that was set in the meantime is noticed this late.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What became of a key's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Reconcile again at that time, unless something happens before.
    Done { wake_up: Option<Timestamp> },
    /// Reconcile again after a delay that grows with each failure in a row; not before `not_before`.
    Failed { not_before: Option<Timestamp> },
}

impl Outcome {
    /// Reconcile again only when something happens.
    pub const DONE: Self = Self::Done { wake_up: None };
    /// Reconcile again after a delay.
    pub const RETRY: Self = Self::Failed { not_before: None };
}

pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    random: Random,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    /// The same keys as `ready`.
    queued: HashSet<Key>,
    running: HashSet<Key>,
    /// Running, and something happened since.
    again: HashSet<Key>,
    timers: BTreeSet<(Timestamp, Key)>,
    timer_of: HashMap<Key, Timestamp>,
    failures: HashMap<Key, u32>,
    closed: bool,
}

impl Queue {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, backoff: Backoff, random: Random) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), clock, backoff, random }
    }

    /// Asks for a turn as soon as a worker is free.
    pub fn add(&self, key: Key) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Asks for a turn at that time; an earlier one that was asked for stays.
    pub fn wake_at(&self, key: Key, at: Timestamp) {
        self.lock().wake_at(key, at);
        // Waiting workers must learn of a nearer deadline.
        self.changed.notify_one();
    }

    /// The next key; `None` once the queue is closed. Each must be given back through [`Queue::finish`].
    pub async fn next(&self) -> Option<Key> {
        loop {
            let changed = self.changed.notified();
            let sleep = {
                let now = self.clock.now();
                let mut state = self.lock();
                if state.closed {
                    self.changed.notify_one();
                    return None;
                }
                state.ring(now);
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return Some(key);
                }
                state.timers.first().map_or(LONGEST_SLEEP, |(at, _)| clock::until(now, *at).min(LONGEST_SLEEP))
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    pub fn finish(&self, key: &Key, outcome: Outcome) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.running.remove(key);
        match outcome {
            Outcome::Done { wake_up } => {
                state.failures.remove(key);
                if let Some(at) = wake_up {
                    state.wake_at(key.clone(), at);
                }
            }
            Outcome::Failed { not_before } => {
                let failures = state.failures.entry(key.clone()).or_default();
                *failures = failures.saturating_add(1);
                let at = clock::after(now, self.backoff.delay(*failures, self.random));
                state.wake_at(key.clone(), not_before.map_or(at, |not_before| at.max(not_before)));
            }
        }
        if state.again.remove(key) {
            state.add(key.clone());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Workers get no further key; what they hold they finish.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Keys that wait for a worker now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.lock().ready.len()
    }

    /// A panic of another worker leaves the maps whole: every change under the lock is a handful of map operations.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, key: Key) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn wake_at(&mut self, key: Key, at: Timestamp) {
        match self.timer_of.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                self.timers.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.timer_of.insert(key.clone(), at);
        self.timers.insert((at, key));
    }

    /// Moves what is due among the ready.
    fn ring(&mut self, now: Timestamp) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                self.timer_of.remove(&key);
                self.add(key);
            }
        }
    }

    /// A key that gets its turn decides anew when to wake up.
    fn take(&mut self) -> Option<Key> {
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        if let Some(at) = self.timer_of.remove(&key) {
            self.timers.remove(&(at, key.clone()));
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };

    fn queue() -> (Queue, Arc<VirtualClock>) {
        let clock = Arc::new(VirtualClock::start(Timestamp::from_second(1_800_000_000).unwrap()));
        (Queue::new(clock.clone(), BACKOFF, || 1.0), clock)
    }

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    async fn idle(queue: &Queue) -> bool {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_added_twice_is_served_once() {
        let (queue, _) = queue();
        queue.add(key("a"));
        queue.add(key("a"));

        assert_eq!(queue.next().await, Some(key("a")));
        queue.finish(&key("a"), Outcome::DONE);

        assert!(idle(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_not_served_twice_at_a_time_and_not_forgotten_either() {
        let (queue, _) = queue();
        queue.add(key("a"));
        queue.next().await;
        queue.add(key("a"));

        assert!(idle(&queue).await);
        queue.finish(&key("a"), Outcome::DONE);

        assert_eq!(queue.next().await, Some(key("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_wakes_up_within_ten_milliseconds_of_its_time() {
        let (queue, clock) = queue();
        let at = clock::after(clock.now(), Duration::from_secs(3_600));
        queue.wake_at(key("a"), at);

        queue.next().await;

        let late = clock::until(at, clock.now());
        assert!(clock.now() >= at && late < Duration::from_millis(10), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_wake_ups_holds() {
        let (queue, clock) = queue();
        let began = clock.now();
        queue.wake_at(key("a"), clock::after(began, Duration::from_secs(5)));
        queue.wake_at(key("a"), clock::after(began, Duration::from_secs(9)));
        queue.wake_at(key("a"), clock::after(began, Duration::from_secs(2)));

        queue.next().await;

        assert_eq!(clock::until(began, clock.now()).as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_sets_the_wake_up_anew() {
        let (queue, clock) = queue();
        queue.wake_at(key("a"), clock::after(clock.now(), Duration::from_millis(500)));
        queue.add(key("a"));
        queue.next().await;

        queue.finish(&key("a"), Outcome::DONE);

        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_starts_the_delays_over() {
        let (queue, clock) = queue();
        queue.add(key("a"));
        for outcome in [Outcome::Failed { not_before: None }, Outcome::DONE] {
            queue.next().await;
            queue.finish(&key("a"), outcome);
        }
        queue.add(key("a"));
        queue.next().await;
        let began = clock.now();

        queue.finish(&key("a"), Outcome::Failed { not_before: None });
        queue.next().await;

        assert_eq!(clock::until(began, clock.now()).as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_failure_in_a_row_waits_twice_as_long() {
        let (queue, clock) = queue();
        let mut delays = Vec::new();
        queue.add(key("a"));
        queue.next().await;
        for _ in 0..2 {
            queue.finish(&key("a"), Outcome::Failed { not_before: None });
            let began = clock.now();
            queue.next().await;
            delays.push(clock::until(began, clock.now()).as_millis());
        }

        assert_eq!(delays, [100, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_key_is_still_served_at_once_when_something_happens() {
        let (queue, clock) = queue();
        queue.add(key("a"));
        queue.next().await;
        queue.finish(&key("a"), Outcome::Failed { not_before: None });
        let began = clock.now();

        queue.add(key("a"));
        queue.next().await;

        assert!(clock::until(began, clock.now()) < Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_workers_share_the_keys_between_them() {
        let (queue, _) = queue();
        let queue = Arc::new(queue);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::task::yield_now().await;

        for name in ["a", "b", "c", "d"] {
            queue.add(key(name));
        }

        let mut served = Vec::new();
        for worker in workers {
            served.push(worker.await.unwrap().unwrap().name);
        }
        served.sort();
        assert_eq!(served, ["a", "b", "c", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_lets_every_waiting_worker_go() {
        let (queue, _) = queue();
        let queue = Arc::new(queue);
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::task::yield_now().await;

        queue.close();

        for worker in workers {
            assert_eq!(worker.await.unwrap(), None);
        }
    }
}
