//! Work that is asked for again while it is being done is done once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use ring::digest::{Context, SHA256};

use crate::request::Failure;

/// Secret values may be part of a key, so it is a hash that nobody can turn back.
pub(crate) type Key = [u8; 32];
pub(crate) type Flight<T> = Shared<BoxFuture<'static, T>>;

/// A key made of parts, so that `ab`, `c` is another one than `a`, `bc`.
pub(crate) struct KeyParts(Context);

impl KeyParts {
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub fn add(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        self.0.update(&part.as_ref().len().to_be_bytes());
        self.0.update(part.as_ref());
        self
    }

    pub fn add_pairs(&mut self, pairs: &[(String, String)]) -> &mut Self {
        self.add(pairs.len().to_be_bytes());
        for (name, value) in pairs {
            self.add(name).add(value);
        }
        self
    }

    pub fn finish(self) -> Key {
        let mut key = Key::default();
        key.iter_mut().zip(self.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

/// What is under way, by key. A flight lasts for as long as one of those who joined it waits.
pub(crate) struct Flights<T>(Arc<Mutex<Board<T>>>);

struct Board<T> {
    open: HashMap<Key, Open<T>>,
    started: u64,
}

struct Open<T> {
    number: u64,
    flight: WeakShared<BoxFuture<'static, T>>,
}

/// Takes the flight off the board when it has ended or everybody has left.
struct Landing<T> {
    board: Arc<Mutex<Board<T>>>,
    key: Key,
    number: u64,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Board { open: HashMap::new(), started: 0 })))
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// The flight of this key, and whether it was under way already. `start` makes the work and does none of it.
    pub fn join(&self, key: Key, start: impl FnOnce() -> BoxFuture<'static, T>) -> (Flight<T>, bool) {
        let mut board = locked(&self.0);
        if let Some(flight) = board.open.get(&key).and_then(|open| open.flight.upgrade()) {
            return (flight, true);
        }
        board.started += 1;
        let landing = Landing { board: Arc::clone(&self.0), key, number: board.started };
        let work = start();
        let flight = async move {
            let _landing = landing;
            work.await
        }
        .boxed()
        .shared();
        if let Some(weak) = flight.downgrade() {
            let number = board.started;
            board.open.insert(key, Open { number, flight: weak });
        }
        (flight, false)
    }
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        let mut board = locked(&self.board);
        if board.open.get(&self.key).is_some_and(|open| open.number == self.number) {
            board.open.remove(&self.key);
        }
    }
}

/// Credentials that were fetched, each kept until shortly before it expires.
pub(crate) struct Shelf<T> {
    held: Arc<Mutex<HashMap<Key, Held<T>>>>,
    flights: Flights<Result<T, Failure>>,
}

struct Held<T> {
    value: T,
    until: Instant,
}

/// What a fetch brings: the value and how long it lasts.
pub(crate) type Fetched<T> = Result<(T, Duration), Failure>;

/// Before the end of its life a credential is fetched anew, so that it lasts for a request; of a short life, the second half is left.
const MARGIN: Duration = Duration::from_secs(30);
/// Credentials kept at a time; beyond it those that are over go, and then all: they can be fetched again.
const MOST_HELD: usize = 1_000;

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { held: Arc::default(), flights: Flights::default() }
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Shelf<T> {
    /// The value of this key, and whether it was there already. One fetch at a time for each key: those who come in the meantime get
    /// its value or its failure.
    pub async fn get(
        &self,
        key: Key,
        fetch: impl FnOnce() -> BoxFuture<'static, Fetched<T>>,
    ) -> Result<(T, bool), Failure> {
        if let Some(value) = fresh(&self.held, &key) {
            return Ok((value, true));
        }
        let (flight, _) = self.flights.join(key, || {
            let (held, fetch) = (Arc::clone(&self.held), fetch());
            async move {
                // On another thread a flight may have landed since the look above.
                if let Some(value) = fresh(&held, &key) {
                    return Ok(value);
                }
                let (value, life) = fetch.await?;
                let until = Instant::now() + (life - MARGIN.min(life / 2));
                let mut held = locked(&held);
                if held.len() >= MOST_HELD {
                    held.retain(|_, held| held.until > Instant::now());
                }
                if held.len() >= MOST_HELD {
                    held.clear();
                }
                held.insert(key, Held { value: value.clone(), until });
                Ok(value)
            }
            .boxed()
        });
        Ok((flight.await?, false))
    }

    /// Forgets a value that proved to be bad, unless a newer one has taken its place.
    pub fn forget(&self, key: &Key, bad: &T) {
        let mut held = locked(&self.held);
        if held.get(key).is_some_and(|held| held.value == *bad) {
            held.remove(key);
        }
    }
}

fn fresh<T: Clone>(held: &Mutex<HashMap<Key, Held<T>>>, key: &Key) -> Option<T> {
    locked(held).get(key).filter(|held| held.until > Instant::now()).map(|held| held.value.clone())
}

/// A panic elsewhere leaves these maps as good as they were.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const KEY: Key = [7; 32];

    fn counting(runs: &Arc<AtomicU64>) -> impl FnOnce() -> BoxFuture<'static, u64> + use<> {
        let runs = Arc::clone(runs);
        || {
            async move {
                tokio::task::yield_now().await;
                runs.fetch_add(1, Ordering::Relaxed)
            }
            .boxed()
        }
    }

    fn open<T>(flights: &Flights<T>) -> usize {
        locked(&flights.0).open.len()
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_flight() {
        let (flights, runs) = (Flights::default(), Arc::default());

        let (first, joined_first) = flights.join(KEY, counting(&runs));
        let (second, joined_second) = flights.join(KEY, counting(&runs));

        assert_eq!((joined_first, joined_second), (false, true));
        assert_eq!((first.await, second.await, runs.load(Ordering::Relaxed)), (0, 0, 1));
    }

    #[tokio::test]
    async fn those_who_ask_later_get_a_flight_of_their_own() {
        let (flights, runs) = (Flights::default(), Arc::default());
        let (first, _) = flights.join(KEY, counting(&runs));
        let kept = first.clone();
        first.await;

        let (second, joined) = flights.join(KEY, counting(&runs));

        assert_eq!((kept.await, second.await, joined), (0, 1, false));
    }

    #[tokio::test]
    async fn a_flight_goes_on_when_the_one_who_began_it_leaves() {
        let (flights, runs) = (Flights::default(), Arc::default());
        let (mut first, _) = flights.join(KEY, counting(&runs));
        let (second, _) = flights.join(KEY, counting(&runs));
        assert!(futures::poll!(&mut first).is_pending());

        drop(first);

        assert_eq!((second.await, open(&flights)), (0, 0));
    }

    #[tokio::test]
    async fn a_flight_that_everybody_left_is_gone() {
        let (flights, runs) = (Flights::default(), Arc::default());
        let (first, _) = flights.join(KEY, counting(&runs));

        drop(first);

        assert_eq!((open(&flights), runs.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        let key = |parts: &[&str]| {
            let mut key = KeyParts::new();
            for part in parts {
                key.add(part);
            }
            key.finish()
        };

        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }

    async fn fetch(shelf: &Shelf<u64>, value: u64, life: Duration) -> (u64, bool) {
        shelf.get(KEY, || async move { Ok((value, life)) }.boxed()).await.unwrap()
    }

    #[tokio::test]
    async fn a_value_is_kept_until_shortly_before_its_end() {
        let shelf = Shelf::default();
        let life = Duration::from_secs(1);

        let (first, second) = (fetch(&shelf, 1, life).await, fetch(&shelf, 2, life).await);
        tokio::time::sleep(life / 2).await;
        let third = fetch(&shelf, 3, life).await;

        assert_eq!((first, second, third), ((1, false), (1, true), (3, false)));
    }

    #[tokio::test]
    async fn only_the_value_that_was_bad_is_forgotten() {
        let shelf = Shelf::default();
        fetch(&shelf, 1, Duration::from_mins(1)).await;

        shelf.forget(&KEY, &9);
        let kept = fetch(&shelf, 2, Duration::from_mins(1)).await;
        shelf.forget(&KEY, &1);
        let fetched = fetch(&shelf, 3, Duration::from_mins(1)).await;

        assert_eq!((kept, fetched), ((1, true), (3, false)));
    }

    #[tokio::test]
    async fn a_shelf_does_not_grow_without_end() {
        let shelf = Shelf::default();

        for number in 0..(2 * MOST_HELD as u64 + 5) {
            let mut key = KeyParts::new();
            key.add(number.to_be_bytes());
            shelf.get(key.finish(), || async { Ok((0, Duration::from_mins(1))) }.boxed()).await.unwrap();
        }

        assert!(locked(&shelf.held).len() <= MOST_HELD);
    }
}
