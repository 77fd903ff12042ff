use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use kube::Client;
use kube::client::Body;
use kulta_fetch::{Failure, Request, Response, Secrets};
use kulta_wasm::{Plugins, fixtures};
use tower::service_fn;

use super::*;
use crate::caches::Watched;
use crate::clock::SystemClock;
use crate::controller::{Parts, Settings};
use crate::metrics::Metrics;
use crate::object::Object;
use crate::plugins::Requests;

/// Plugins that make no requests.
struct NoRequests;

impl Requests for NoRequests {
    fn fetch<'a>(&'a self, _: Request, _: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(std::future::pending())
    }
}

/// A controller, and how often its API server was asked for the ConfigMap that holds a component.
async fn controller() -> (Arc<Controller>, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let service = service_fn(move |request: http::Request<Body>| {
        let counted = Arc::clone(&counted);
        async move {
            let answer = if request.uri().path().ends_with("/configmaps/linear") {
                counted.fetch_add(1, Ordering::Relaxed);
                let component = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, fixtures::LINEAR);
                json!({ "metadata": { "name": "linear" }, "binaryData": { "linear.wasm": component } })
            } else {
                json!({ "metadata": { "name": "judge", "resourceVersion": "9" } })
            };
            Ok::<_, Infallible>(http::Response::new(Body::from(answer.to_string().into_bytes())))
        }
    });
    let parts = Parts {
        client: Client::new(service, "kulta-system"),
        plugins: Arc::new(Plugins::new(Limits::default()).unwrap()),
        registries: kulta_oci::Client::new(kulta_oci::Settings::default()).unwrap(),
        components: None,
        requests: Arc::new(NoRequests),
        metrics: Arc::new(Metrics::default()),
        clock: Arc::new(SystemClock),
        teller: None,
    };
    let settings = Settings {
        namespaces: Vec::new(),
        instance_id: None,
        workers: 1,
        prometheus_address: None,
        namespace: "kulta-system".to_owned(),
        allow_plugin_tags: false,
        plugin_trusted_keys: None,
    };
    (Controller::new(parts, settings).await, reads)
}

/// A Plugin of that generation, whose component is in the ConfigMap.
fn judge(generation: i64) -> Object {
    Object::new(json!({
        "metadata": {
            "name": "judge", "uid": "u", "generation": generation, "resourceVersion": generation.to_string(),
            "finalizers": [FINALIZER],
        },
        "spec": { "source": { "configMap": { "namespace": "kulta-system", "name": "linear", "key": "linear.wasm" } } },
    }))
}

async fn reconcile(controller: &Controller, plugin: Object) {
    controller.caches.apply(Watched::Plugins, plugin);
    let outcome = look(controller, &Key::new("", "judge")).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn the_source_of_a_plugin_is_read_once_for_a_spec_and_again_for_the_next() {
    let (controller, reads) = controller().await;
    let mut read = Vec::new();

    for generation in [1, 1, 2] {
        reconcile(&controller, judge(generation)).await;
        read.push(reads.load(Ordering::Relaxed));
    }

    assert_eq!(read, [1, 1, 2]);
}

#[tokio::test]
async fn the_source_of_a_plugin_that_is_made_anew_under_its_name_is_read_again() {
    let (controller, reads) = controller().await;
    reconcile(&controller, judge(1)).await;
    let mut anew = judge(1);
    anew.json["metadata"]["uid"] = json!("another");

    reconcile(&controller, anew).await;

    assert_eq!(reads.load(Ordering::Relaxed), 2);
}
