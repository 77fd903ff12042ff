//! What keeps the controller from working, or from working fully: for `/readyz`, and once per reason for the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Scope;
use crate::kinds::Kind;

const NOT_FOUND: u16 = 404;
const FORBIDDEN: u16 = 403;

#[derive(Debug, Default)]
pub struct Waiting {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lease: Option<String>,
    watches: BTreeMap<(Kind, Scope), String>,
}

impl Waiting {
    /// The lease is not held, for this reason. Answers whether the reason is new.
    pub fn lease(&self, reason: &str) -> bool {
        let mut state = self.state();
        let is_new = state.lease.as_deref() != Some(reason);
        state.lease = Some(reason.to_owned());
        is_new
    }

    pub fn lease_held(&self) {
        self.state().lease = None;
    }

    /// A watch failed, for this reason. Answers whether the reason is new.
    pub fn watch(&self, kind: Kind, scope: &Scope, reason: &str) -> bool {
        let before = self.state().watches.insert((kind, scope.clone()), reason.to_owned());
        before.as_deref() != Some(reason)
    }

    pub fn watch_works(&self, kind: Kind, scope: &Scope) {
        self.state().watches.remove(&(kind, scope.clone()));
    }

    /// All reasons, in a stable order.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let state = self.state();
        state.lease.iter().chain(state.watches.values()).cloned().collect()
    }

    /// A panic under the lock leaves at worst one reason out of date.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failed watch means, and what a user can do. `code` is the API server's, or 0.
#[must_use]
pub fn watch_reason(kind: Kind, scope: &Scope, code: u16, message: &str) -> String {
    let name = kind.as_str();
    let place = match scope {
        Scope::Cluster => String::new(),
        Scope::Namespace(namespace) => format!(" in namespace {namespace}"),
    };
    match code {
        NOT_FOUND => {
            let version = kind.api_version();
            let advice = match kind {
                Kind::Route(_) => "install the CRDs of Gateway API",
                _ => "apply KULTA's CRDs: kulta crds | kubectl apply -f -",
            };
            format!("the cluster does not serve {name} ({version}): {advice}")
        }
        FORBIDDEN => format!(
            "{name} cannot be watched{place}: {message}; deploy/rbac.yaml has the permissions of the controller"
        ),
        _ => format!("{name} cannot be watched{place}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use kulta_api::RouteKind;

    use super::*;

    #[test]
    fn a_missing_crd_is_named_with_how_to_apply_it() {
        let reason = watch_reason(Kind::Rollout, &Scope::Cluster, 404, "404 page not found");

        assert_eq!(
            reason,
            "the cluster does not serve Rollout (argoproj.io/v1alpha1): apply KULTA's CRDs: kulta crds | kubectl apply -f -"
        );
    }

    #[test]
    fn a_cluster_without_gateway_api_is_told_to_install_it() {
        let reason = watch_reason(Kind::Route(RouteKind::Http), &Scope::Cluster, 404, "404 page not found");

        assert!(reason.ends_with("install the CRDs of Gateway API"), "{reason}");
    }

    #[test]
    fn a_reason_is_new_once_and_again_after_the_watch_has_worked() {
        let waiting = Waiting::default();
        let fail = || waiting.watch(Kind::Service, &Scope::Cluster, "down");

        let before = (fail(), fail());
        waiting.watch_works(Kind::Service, &Scope::Cluster);

        assert_eq!((before, fail()), ((true, false), true));
    }
}
