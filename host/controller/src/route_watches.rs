//! Routes are watched only where some rollout looks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio::task::JoinSet;

use crate::caches::{RouteWatch, Watched};
use crate::store::Scope;
use crate::watch::Watching;

/// Starts and ends watches as rollouts come and go; returns when one of them panicked, which none should.
pub async fn run(watching: Arc<Watching>, cluster_wide: bool) {
    let mut running: BTreeMap<Scope, AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = wanted(&watching.caches.route_namespaces(), cluster_wide);
        running.retain(|scope, task| {
            let keep = wanted.contains(scope);
            if !keep {
                tracing::info!(?scope, "routes are no longer watched");
                task.abort();
                watching.caches.forget_routes(scope);
                watching.health.forget(Watched::Routes, scope);
            }
            keep
        });
        for scope in wanted {
            running.entry(scope.clone()).or_insert_with(|| {
                tracing::info!(?scope, "routes are watched from now on");
                // Whatever an earlier watch of this scope left behind is not known to be true now.
                watching.caches.set_route_watch(&scope, RouteWatch::Filling);
                let watching = watching.clone();
                tasks.spawn(async move { watching.run(Watched::Routes, scope).await })
            });
        }
        tokio::select! {
            () = watching.routes_sought.notified() => {}
            Some(ended) = tasks.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    return;
                }
            }
        }
    }
}

fn wanted(namespaces: &BTreeSet<String>, cluster_wide: bool) -> BTreeSet<Scope> {
    match (cluster_wide, namespaces.is_empty()) {
        (_, true) => BTreeSet::new(),
        (true, false) => BTreeSet::from([Scope::Cluster]),
        (false, false) => namespaces.iter().cloned().map(Scope::Namespace).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_is_watched_until_a_rollout_looks_for_one() {
        assert_eq!(wanted(&BTreeSet::new(), true), BTreeSet::new());
    }

    #[test]
    fn a_controller_of_some_namespaces_watches_the_routes_namespaces_only() {
        let namespaces = BTreeSet::from(["edge".to_owned()]);

        assert_eq!(wanted(&namespaces, false), [Scope::Namespace("edge".into())].into());
        assert_eq!(wanted(&namespaces, true), [Scope::Cluster].into());
    }
}
