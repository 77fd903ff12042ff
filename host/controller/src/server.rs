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
use crate::record_support::{PRUNED, RecordSupport};
use crate::waiting::Waiting;

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
    pub waiting: Arc<Waiting>,
    pub record_support: Arc<RecordSupport>,
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

/// The body says what the controller waits for, or what it works without.
async fn ready(State(probes): State<Probes>) -> impl IntoResponse {
    let reasons = probes.waiting.reasons();
    if !probes.readiness.is_ready() {
        let filling: Vec<_> = probes.readiness.kinds_missing().iter().map(|kind| kind.as_str()).collect();
        let filling = reasons.is_empty().then(|| format!("filling caches: {}", filling.join(", ")));
        return (StatusCode::SERVICE_UNAVAILABLE, lines(reasons.into_iter().chain(filling)));
    }
    let pruned = (!probes.record_support.get()).then(|| PRUNED.to_owned());
    let limits = reasons.into_iter().chain(pruned).map(|limit| format!("limited: {limit}"));
    (StatusCode::OK, lines(std::iter::once("ok".to_owned()).chain(limits)))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
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
    use kulta_api::RouteKind;
    use tower::ServiceExt;

    use super::*;
    use crate::backoff::Backoff;
    use crate::cache::Scope;
    use crate::clock::VirtualClock;
    use crate::health::{DEATHS_UNTIL_UNHEALTHY, Task};
    use crate::kinds::Kind;

    fn probes() -> Probes {
        let clock = Arc::new(VirtualClock::start(Timestamp::UNIX_EPOCH));
        Probes {
            health: Arc::default(),
            readiness: Arc::default(),
            metrics: Arc::default(),
            caches: Arc::default(),
            queue: Arc::new(Queue::new(clock, Backoff::RECONCILIATION, fastrand::f64)),
            waiting: Arc::default(),
            record_support: Arc::new(RecordSupport::new(true)),
        }
    }

    async fn get(probes: Probes, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(probes).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn healthz(health: &Arc<Health>) -> (StatusCode, String) {
        get(Probes { health: Arc::clone(health), ..probes() }, "/healthz").await
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

    fn filling() -> Arc<Readiness> {
        Arc::new(Readiness::waiting_for([(Kind::Service, Scope::Cluster), (Kind::Rollout, Scope::Cluster)]))
    }

    #[tokio::test]
    async fn readyz_names_the_kinds_whose_caches_are_filled_next() {
        let (status, body) = get(Probes { readiness: filling(), ..probes() }, "/readyz").await;

        assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "filling caches: Rollout, Service\n"));
    }

    #[tokio::test]
    async fn readyz_gives_the_reason_why_the_controller_does_not_work_yet() {
        let probes = Probes { readiness: filling(), ..probes() };
        probes.waiting.lease("waiting for the lease: \"argo\" holds it");

        let (status, body) = get(probes, "/readyz").await;

        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for the lease: \"argo\" holds it\n")
        );
    }

    #[tokio::test]
    async fn readyz_of_a_controller_that_works_names_what_it_works_without() {
        let probes = Probes { record_support: Arc::new(RecordSupport::new(false)), ..probes() };
        probes.waiting.watch(Kind::Route(RouteKind::Http), &Scope::Cluster, "no Gateway API");

        let (status, body) = get(probes, "/readyz").await;

        assert_eq!(status, StatusCode::OK);
        assert!(
            body.starts_with("ok\nlimited: no Gateway API\nlimited: the Rollout CRD prunes status.kulta"),
            "{body}"
        );
    }
}
