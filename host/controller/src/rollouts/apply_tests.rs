use std::convert::Infallible;

use kube::Client;
use kube::client::Body;
use kulta_core::plan::{EventKind, EventReason};
use tower::service_fn;

use super::*;
use crate::clock::VirtualClock;
use crate::metrics::Metrics;

/// More than may wait to be posted.
const EVENTS: usize = 10_000;

/// An API server that takes every write at once, and never an event.
fn applier() -> Applier {
    let service = service_fn(|request: http::Request<Body>| async move {
        if request.uri().path().ends_with("/events") {
            return std::future::pending().await;
        }
        let stored = json!({ "metadata": { "namespace": "ns", "name": "web", "resourceVersion": "2" } });
        Ok::<_, Infallible>(http::Response::new(Body::from(stored.to_string().into_bytes())))
    });
    let metrics = Arc::new(Metrics::default());
    let cluster = Cluster::new(Client::new(service, "ns"), Arc::clone(&metrics));
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start(Timestamp::from_second(1_800_000_000).unwrap()));
    let recorder = Arc::new(Recorder::new(cluster.clone(), Arc::clone(&clock), metrics));
    Applier { cluster, local: Arc::default(), clock, recorder, record_support: Arc::new(RecordSupport::new(true)) }
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_written_at_once_while_the_api_server_takes_no_events() {
    let applier = applier();
    let target =
        Target { key: Key::new("ns", "web"), uid: "u".to_owned(), generation: 1, resource_version: "1".to_owned() };
    let event = KubeEvent {
        name: "1".to_owned(),
        kind: EventKind::Warning,
        reason: EventReason::RolloutAborted,
        message: "aborted".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    let plan = Plan {
        status: Some(StatusPatch { patch: json!({ "abort": true }), gather: false, stores_transitions: true }),
        events: vec![event; EVENTS],
        writes: vec![Write { action: Action::PatchRollout { patch: json!({}) }, events: Vec::new() }],
        ..Plan::default()
    };

    let applied = tokio::time::timeout(std::time::Duration::from_secs(1), applier.apply(&target, plan)).await;

    assert!(matches!(applied, Ok(Ok(()))), "{applied:?}");
}
