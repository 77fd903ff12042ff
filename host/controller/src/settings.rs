//! What a user may set.

use std::net::SocketAddr;
use std::sync::Arc;

use kulta_events::Origin;

use crate::outbox::EventSink;
use crate::store::Scope;

/// Rollouts that are looked at side by side; a look waits for the API server most of its time.
pub const DEFAULT_WORKERS: usize = 8;

pub struct Settings {
    /// Empty: all namespaces.
    pub namespaces: Vec<String>,
    /// Serve only Rollouts with this instance id; `None`: only those without any.
    pub instance_id: Option<String>,
    pub workers: usize,
    /// Where probes and metrics are served.
    pub listen: SocketAddr,
    /// Namespace of the lease; `None`: this process acts without asking whether another does.
    pub lease_namespace: Option<String>,
    /// How events speak of this controller.
    pub origin: Origin,
    /// `None`: nobody listens to events.
    pub sink: Option<Arc<dyn EventSink>>,
}

impl Settings {
    /// Where to watch.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        if self.namespaces.is_empty() {
            return vec![Scope::Cluster];
        }
        self.namespaces.iter().cloned().map(Scope::Namespace).collect()
    }
}
