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

use crate::cache::Caches;
use crate::dispatch::Readiness;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// The content type of Prometheus' text.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("serve probes and metrics: {0}")]
    Serve(std::io::Error),
}

/// What the answers are made from.
#[derive(Clone)]
pub struct Probes {
    pub health: Arc<Health>,
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
    pub caches: Arc<Caches>,
    /// Of rollouts.
    pub queue: Arc<Queue>,
}

/// Serves until `stop`. A process that waits for the lease is healthy and not ready.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn serve(probes: Probes, address: SocketAddr, stop: CancellationToken) -> Result<(), ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    axum::serve(listener, router(probes))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .map_err(ServeError::Serve)
}

fn router(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn healthy(State(probes): State<Probes>) -> impl IntoResponse {
    let failing: Vec<String> = probes.health.failing().iter().map(ToString::to_string).collect();
    if failing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("dies again and again: {}\n", failing.join(", ")))
    }
}

async fn ready(State(probes): State<Probes>) -> impl IntoResponse {
    if probes.readiness.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "filling caches, or waiting for the lease\n")
    }
}

async fn metrics(State(probes): State<Probes>) -> impl IntoResponse {
    let text = probes.metrics.text(probes.queue.depth(), &probes.caches.phases());
    ([(header::CONTENT_TYPE, TEXT)], text)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use jiff::Timestamp;
    use tower::ServiceExt;

    use super::*;
    use crate::backoff::Backoff;
    use crate::clock::VirtualClock;
    use crate::health::{DEATHS_UNTIL_UNHEALTHY, Task};
    use crate::kinds::Kind;

    async fn healthz(health: &Arc<Health>) -> (StatusCode, String) {
        let clock = Arc::new(VirtualClock::start(Timestamp::UNIX_EPOCH));
        let probes = Probes {
            health: Arc::clone(health),
            readiness: Arc::default(),
            metrics: Arc::default(),
            caches: Arc::default(),
            queue: Arc::new(Queue::new(clock, Backoff::RECONCILIATION, fastrand::f64)),
        };
        let request = Request::get("/healthz").body(Body::empty()).unwrap();
        let answer = router(probes).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn healthz_names_the_tasks_that_do_not_come_back() {
        let health = Arc::<Health>::default();
        let watch = health.register(Task::Watch(Kind::Rollout));
        assert_eq!(healthz(&health).await.0, StatusCode::OK);
        for _ in 0..DEATHS_UNTIL_UNHEALTHY {
            watch.died();
        }

        let (status, body) = healthz(&health).await;

        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "dies again and again: watch of Rollout\n");
    }
}
