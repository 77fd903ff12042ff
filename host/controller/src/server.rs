//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::caches::Caches;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::queue::Queue;

/// The content type of what the metrics are written as.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("serve probes and metrics")]
    Serve(#[source] std::io::Error),
}

/// What the answers are made of.
#[derive(Clone)]
pub struct Told {
    pub caches: Arc<Caches>,
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
    pub rollouts: Arc<Queue>,
    pub outbox: Arc<Outbox>,
}

/// # Errors
/// When the address is taken or not this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Serves until it is dropped.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, told: Told) -> Result<(), ServeError> {
    axum::serve(listener, router(told)).await.map_err(ServeError::Serve)
}

fn router(told: Told) -> Router {
    Router::new()
        // That this answers shows that the process is not stuck; watches and workers that end, end the process.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(told)
}

async fn ready(State(told): State<Told>) -> (StatusCode, String) {
    match told.health.ready() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
    }
}

async fn metrics(State(told): State<Told>) -> impl IntoResponse {
    told.metrics.depth("rollouts", told.rollouts.depth());
    told.metrics.depth("cdevents", told.outbox.queue.depth());
    match told.metrics.text(&told.caches) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}
