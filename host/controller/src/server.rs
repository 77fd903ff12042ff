//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::Controller;

/// The content type of Prometheus' text.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("serve probes and metrics: {0}")]
    Serve(std::io::Error),
}

/// Serves until `stop`. `leading` tells readiness apart: a process that waits for the lease is healthy and not ready.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn serve(
    controller: Arc<Controller>,
    address: SocketAddr,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(controller);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .map_err(ServeError::Serve)
}

async fn ready(State(controller): State<Arc<Controller>>) -> impl IntoResponse {
    if controller.ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "filling caches, or waiting for the lease\n")
    }
}

async fn metrics(State(controller): State<Arc<Controller>>) -> impl IntoResponse {
    let text = controller.metrics.text(controller.queue.depth(), &controller.phases());
    ([(header::CONTENT_TYPE, TEXT)], text)
}
