//! The server: the store behind HTTP, on a socket or in process.

use std::io;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::faults::Faults;
use crate::http;
use crate::store::Store;

/// Clones share the store.
#[derive(Clone)]
pub struct Server {
    store: Store,
    faults: Option<Arc<dyn Faults>>,
}

impl Server {
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store, faults: None }
    }

    /// With fault injection.
    #[must_use]
    pub fn with_faults(self, faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults), ..self }
    }

    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn faults(&self) -> Option<&dyn Faults> {
        self.faults.as_deref()
    }

    /// A tower service; it needs no socket.
    pub fn router(&self) -> Router {
        Router::new().fallback(http::answer).with_state(self.clone())
    }

    /// Serves connections until the task is dropped.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }
}
