//! Whether the controller is ready and alive.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::caches::Watched;
use crate::store::Scope;

#[derive(Clone, Debug, PartialEq, Eq)]
enum WatchHealth {
    /// The first list is under way.
    Filling,
    Live,
    /// Was filled once or not: the last error.
    Failing { filled: bool, error: String },
}

#[derive(Debug, Default)]
pub struct Health {
    watches: Mutex<BTreeMap<(Watched, Scope), WatchHealth>>,
    filled: tokio::sync::Notify,
}

impl Health {
    /// A watch that readiness waits for.
    pub fn expect(&self, kind: Watched, scope: &Scope) {
        self.lock().entry((kind, scope.clone())).or_insert(WatchHealth::Filling);
    }

    /// Nobody needs that watch any more.
    pub fn forget(&self, kind: Watched, scope: &Scope) {
        self.lock().remove(&(kind, scope.clone()));
    }

    pub fn filled(&self, kind: Watched, scope: &Scope) {
        self.lock().insert((kind, scope.clone()), WatchHealth::Live);
        self.filled.notify_waiters();
    }

    pub fn failing(&self, kind: Watched, scope: &Scope, error: &str) {
        let mut watches = self.lock();
        let health = watches.entry((kind, scope.clone())).or_insert(WatchHealth::Filling);
        let filled = match health {
            WatchHealth::Filling => false,
            WatchHealth::Live => true,
            WatchHealth::Failing { filled, .. } => *filled,
        };
        *health = WatchHealth::Failing { filled, error: error.to_owned() };
    }

    /// # Errors
    /// What is missing, one line for each watch. Routes do not count: whose routes cannot be seen is told by its condition, and must
    /// not keep the others from being served.
    pub fn ready(&self) -> Result<(), String> {
        let lines: Vec<String> = self
            .lock()
            .iter()
            .filter(|((kind, _), _)| *kind != Watched::Routes)
            .filter_map(|((kind, scope), health)| {
                let place = scope.namespace().unwrap_or("all namespaces");
                match health {
                    WatchHealth::Live | WatchHealth::Failing { filled: true, .. } => None,
                    WatchHealth::Filling => Some(format!("{} in {place}: being listed", kind.as_str())),
                    WatchHealth::Failing { filled: false, error } => Some(format!("{} in {place}: {error}", kind.as_str())),
                }
            })
            .collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
    }

    /// Waits until [`Health::ready`].
    pub async fn wait_ready(&self) {
        loop {
            let mut changed = std::pin::pin!(self.filled.notified());
            changed.as_mut().enable();
            if self.ready().is_ok() {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Watched, Scope), WatchHealth>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_once_every_cache_has_been_filled() {
        let health = Health::default();
        health.expect(Watched::Rollouts, &Scope::Cluster);
        health.expect(Watched::Services, &Scope::Namespace("ns".into()));
        health.filled(Watched::Rollouts, &Scope::Cluster);

        let before = health.ready();
        health.filled(Watched::Services, &Scope::Namespace("ns".into()));

        assert_eq!((before, health.ready()), (Err("Service in ns: being listed".into()), Ok(())));
    }

    #[test]
    fn a_refused_watch_is_named_with_its_error() {
        let health = Health::default();

        health.failing(Watched::ReplicaSets, &Scope::Cluster, "forbidden");

        assert_eq!(health.ready(), Err("ReplicaSet in all namespaces: forbidden".into()));
    }

    #[test]
    fn a_filled_cache_whose_watch_breaks_stays_ready() {
        let health = Health::default();
        health.filled(Watched::Rollouts, &Scope::Cluster);

        health.failing(Watched::Rollouts, &Scope::Cluster, "gone");

        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn routes_that_cannot_be_seen_do_not_keep_it_from_being_ready() {
        let health = Health::default();

        health.failing(Watched::Routes, &Scope::Cluster, "forbidden");

        assert_eq!(health.ready(), Ok(()));
    }
}
