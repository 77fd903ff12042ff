//! Deduplicates concurrent work: equal work that is requested while it is in flight is done once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use ring::digest::{Context, SHA256};

use crate::request::Failure;

/// A hash that cannot be inverted, because secret values may be part of a key.
pub(crate) type Key = [u8; 32];
pub(crate) type InFlightCall<T> = Shared<BoxFuture<'static, T>>;

/// A key from several parts, such that `ab`, `c` differs from `a`, `bc`.
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

/// Work in flight, by key. It is cancelled when all callers that wait for it have left.
pub(crate) struct InFlightCalls<T>(Arc<Mutex<OpenCalls<T>>>);

struct OpenCalls<T> {
    open: HashMap<Key, OpenCall<T>>,
    started: u64,
}

struct OpenCall<T> {
    number: u64,
    call: WeakShared<BoxFuture<'static, T>>,
}

/// Removes the work from the map when it is completed or all callers have left.
struct Completion<T> {
    open_calls: Arc<Mutex<OpenCalls<T>>>,
    key: Key,
    number: u64,
}

impl<T> Default for InFlightCalls<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(OpenCalls { open: HashMap::new(), started: 0 })))
    }
}

impl<T: Clone + Send + Sync + 'static> InFlightCalls<T> {
    /// The work of this key, and whether it was in flight already. `start` creates the future without polling it.
    pub fn join(&self, key: Key, start: impl FnOnce() -> BoxFuture<'static, T>) -> (InFlightCall<T>, bool) {
        let mut open_calls = locked(&self.0);
        if let Some(call) = open_calls.open.get(&key).and_then(|open| open.call.upgrade()) {
            return (call, true);
        }
        open_calls.started += 1;
        let completion = Completion { open_calls: Arc::clone(&self.0), key, number: open_calls.started };
        let work = start();
        let call = async move {
            let _completion = completion;
            work.await
        }
        .boxed()
        .shared();
        if let Some(weak) = call.downgrade() {
            let number = open_calls.started;
            open_calls.open.insert(key, OpenCall { number, call: weak });
        }
        (call, false)
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        let mut open_calls = locked(&self.open_calls);
        if open_calls.open.get(&self.key).is_some_and(|open| open.number == self.number) {
            open_calls.open.remove(&self.key);
        }
    }
}

/// Fetched credentials, each cached until shortly before it expires.
pub(crate) struct ExpiringCache<T> {
    cached: Arc<Mutex<HashMap<Key, CachedValue<T>>>>,
    calls: InFlightCalls<Result<T, Failure>>,
}

struct CachedValue<T> {
    value: T,
    until: Instant,
}

/// The result of a fetch: the value and its lifetime.
pub(crate) type Fetched<T> = Result<(T, Duration), Failure>;

/// A credential is fetched again before it expires, so that it lasts for a request; for a short lifetime, after its
/// half.
const MARGIN: Duration = Duration::from_secs(30);
/// Limit of cached credentials. Beyond it expired ones are dropped, and then all: they can be fetched again.
const MOST_CACHED: usize = 1_000;

impl<T> Default for ExpiringCache<T> {
    fn default() -> Self {
        Self { cached: Arc::default(), calls: InFlightCalls::default() }
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> ExpiringCache<T> {
    /// The value of this key, and whether it was cached. There is one fetch at a time for each key: concurrent callers
    /// get its value or its failure.
    pub async fn get(
        &self,
        key: Key,
        fetch: impl FnOnce() -> BoxFuture<'static, Fetched<T>>,
    ) -> Result<(T, bool), Failure> {
        if let Some(value) = fresh(&self.cached, &key) {
            return Ok((value, true));
        }
        let (call, _) = self.calls.join(key, || {
            let (cached, fetch) = (Arc::clone(&self.cached), fetch());
            async move {
                // On another thread a fetch may have completed since the check above.
                if let Some(value) = fresh(&cached, &key) {
                    return Ok(value);
                }
                let (value, life) = fetch.await?;
                let until = Instant::now() + (life - MARGIN.min(life / 2));
                let mut cached = locked(&cached);
                if cached.len() >= MOST_CACHED {
                    cached.retain(|_, cached| cached.until > Instant::now());
                }
                if cached.len() >= MOST_CACHED {
                    cached.clear();
                }
                cached.insert(key, CachedValue { value: value.clone(), until });
                Ok(value)
            }
            .boxed()
        });
        Ok((call.await?, false))
    }

    /// Drops a value that was rejected, unless a newer one has replaced it.
    pub fn forget(&self, key: &Key, bad: &T) {
        let mut cached = locked(&self.cached);
        if cached.get(key).is_some_and(|cached| cached.value == *bad) {
            cached.remove(key);
        }
    }
}

fn fresh<T: Clone>(cached: &Mutex<HashMap<Key, CachedValue<T>>>, key: &Key) -> Option<T> {
    locked(cached).get(key).filter(|cached| cached.until > Instant::now()).map(|cached| cached.value.clone())
}

/// A panic elsewhere leaves these maps consistent.
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

    fn open<T>(calls: &InFlightCalls<T>) -> usize {
        locked(&calls.0).open.len()
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_call() {
        let (calls, runs) = (InFlightCalls::default(), Arc::default());

        let (first, joined_first) = calls.join(KEY, counting(&runs));
        let (second, joined_second) = calls.join(KEY, counting(&runs));

        assert_eq!((joined_first, joined_second), (false, true));
        assert_eq!((first.await, second.await, runs.load(Ordering::Relaxed)), (0, 0, 1));
    }

    #[tokio::test]
    async fn a_later_caller_gets_a_new_call() {
        let (calls, runs) = (InFlightCalls::default(), Arc::default());
        let (first, _) = calls.join(KEY, counting(&runs));
        let kept = first.clone();
        first.await;

        let (second, joined) = calls.join(KEY, counting(&runs));

        assert_eq!((kept.await, second.await, joined), (0, 1, false));
    }

    #[tokio::test]
    async fn a_call_continues_when_its_first_caller_leaves() {
        let (calls, runs) = (InFlightCalls::default(), Arc::default());
        let (mut first, _) = calls.join(KEY, counting(&runs));
        let (second, _) = calls.join(KEY, counting(&runs));
        assert!(futures::poll!(&mut first).is_pending());

        drop(first);

        assert_eq!((second.await, open(&calls)), (0, 0));
    }

    #[tokio::test]
    async fn a_call_that_all_callers_have_left_is_dropped() {
        let (calls, runs) = (InFlightCalls::default(), Arc::default());
        let (first, _) = calls.join(KEY, counting(&runs));

        drop(first);

        assert_eq!((open(&calls), runs.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn parts_of_a_key_are_separated() {
        let key = |parts: &[&str]| {
            let mut key = KeyParts::new();
            for part in parts {
                key.add(part);
            }
            key.finish()
        };

        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }

    async fn fetch(cache: &ExpiringCache<u64>, value: u64, life: Duration) -> (u64, bool) {
        cache.get(KEY, || async move { Ok((value, life)) }.boxed()).await.unwrap()
    }

    #[tokio::test]
    async fn a_value_is_cached_until_shortly_before_it_expires() {
        let cache = ExpiringCache::default();
        let life = Duration::from_secs(1);

        let (first, second) = (fetch(&cache, 1, life).await, fetch(&cache, 2, life).await);
        tokio::time::sleep(life / 2).await;
        let third = fetch(&cache, 3, life).await;

        assert_eq!((first, second, third), ((1, false), (1, true), (3, false)));
    }

    #[tokio::test]
    async fn only_the_rejected_value_is_dropped() {
        let cache = ExpiringCache::default();
        fetch(&cache, 1, Duration::from_mins(1)).await;

        cache.forget(&KEY, &9);
        let kept = fetch(&cache, 2, Duration::from_mins(1)).await;
        cache.forget(&KEY, &1);
        let fetched = fetch(&cache, 3, Duration::from_mins(1)).await;

        assert_eq!((kept, fetched), ((1, true), (3, false)));
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let cache = ExpiringCache::default();

        for number in 0..(2 * MOST_CACHED as u64 + 5) {
            let mut key = KeyParts::new();
            key.add(number.to_be_bytes());
            cache.get(key.finish(), || async { Ok((0, Duration::from_mins(1))) }.boxed()).await.unwrap();
        }

        assert!(locked(&cache.cached).len() <= MOST_CACHED);
    }
}
