use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::Client;
use kube::client::Body;
use kulta_wasm::fixtures;
use tower::service_fn;

use super::*;
use crate::cache::Plugins;
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::object::Object;

/// Nobody reconciles what a change concerns.
struct NoSink;

impl ServedSink for NoSink {
    fn served(&self, _: BTreeSet<Key>) {}
}

/// A reconciler, and how often its API server was asked for the ConfigMap that holds a component.
fn reconciler() -> (PluginReconciler, Arc<AtomicUsize>) {
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
    let metrics = Arc::new(Metrics::default());
    let cluster = Cluster::new(Client::new(service, "kulta-system"), Arc::clone(&metrics));
    let plugins = Arc::new(kulta_wasm::Plugins::new(Limits::default()).unwrap());
    let component_limit = plugins.limits().component_bytes;
    let registry = Arc::new(PluginRegistry::new(plugins));
    let reconciler = PluginReconciler {
        caches: Arc::default(),
        registry,
        sources: Sources {
            registries: kulta_oci::Client::new(kulta_oci::Settings::default()).unwrap(),
            cluster: cluster.clone(),
            namespace: "kulta-system".to_owned(),
            allow_tags: false,
            component_limit,
            trusted: None,
            store: None,
        },
        recorder: Arc::new(Recorder::new(cluster.clone(), Arc::new(SystemClock), metrics)),
        cluster,
        clock: Arc::new(SystemClock),
        sink: Arc::new(NoSink),
        writes_status: true,
    };
    (reconciler, reads)
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

async fn reconcile(reconciler: &PluginReconciler, plugin: Object) {
    reconciler.caches.apply::<Plugins>(plugin);
    let outcome = reconciler.reconcile(&Key::new("", "judge")).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn the_source_of_a_plugin_is_read_once_for_a_spec_and_again_for_the_next() {
    let (reconciler, reads) = reconciler();
    let mut read = Vec::new();

    for generation in [1, 1, 2] {
        reconcile(&reconciler, judge(generation)).await;
        read.push(reads.load(Ordering::Relaxed));
    }

    assert_eq!(read, [1, 1, 2]);
}

#[tokio::test]
async fn the_source_of_a_plugin_that_is_made_anew_under_its_name_is_read_again() {
    let (reconciler, reads) = reconciler();
    reconcile(&reconciler, judge(1)).await;
    let mut anew = judge(1);
    anew.json["metadata"]["uid"] = json!("another");

    reconcile(&reconciler, anew).await;

    assert_eq!(reads.load(Ordering::Relaxed), 2);
}
