use std::convert::Infallible;
use std::sync::Mutex;

use kube::Client;
use kube::client::Body;
use kulta_api::KultaStatus;
use tower::service_fn;

use super::*;
use crate::clock::VirtualClock;
use crate::metrics::Metrics;

/// An API server that answers a status patch with the object, whose record its CRD keeps or prunes; and the patches that it got.
fn api_server(keeps: bool) -> (Client, Arc<Mutex<Vec<Value>>>) {
    let patches = Arc::new(Mutex::new(Vec::new()));
    let got = Arc::clone(&patches);
    let service = service_fn(move |request: http::Request<Body>| {
        let got = Arc::clone(&got);
        async move {
            let body = request.into_body().collect_bytes().await.unwrap();
            let mut object: Value = serde_json::from_slice(&body).unwrap();
            got.lock().unwrap().push(object.clone());
            object["metadata"]["name"] = json!("web");
            object["metadata"]["resourceVersion"] = json!("8");
            if !keeps {
                object["status"].as_object_mut().unwrap().remove("kulta");
            }
            Ok::<_, Infallible>(http::Response::new(Body::from(object.to_string().into_bytes())))
        }
    });
    (Client::new(service, "shop"), patches)
}

fn applier(client: Client, assumed: bool, local: &Arc<LocalStates>) -> Applier {
    let cluster = Cluster::new(client, Arc::new(Metrics::default()));
    let clock = Arc::new(VirtualClock::start(Timestamp::UNIX_EPOCH));
    Applier {
        recorder: Arc::new(Recorder::new(cluster.clone(), clock.clone(), Arc::new(Metrics::default()))),
        cluster,
        local: Arc::clone(local),
        clock,
        record_support: Arc::new(RecordSupport::new(assumed)),
    }
}

const UID: &str = "u";

fn web() -> Key {
    Key::new("shop", "web")
}

/// What is remembered of a cache that holds the rollout.
fn local() -> Arc<LocalStates> {
    let local = Arc::new(LocalStates::default());
    local.remember(UID);
    local
}

async fn apply(applier: &Applier, kulta: Value) {
    let target = Target { key: web(), uid: UID.into(), generation: 1, resource_version: "7".into() };
    let patch = json!({ "phase": "Healthy", "kulta": kulta });
    let status = StatusPatch { patch, gather: false, stores_transitions: true };
    applier.apply(&target, Plan { status: Some(status), ..Plan::default() }).await.unwrap();
}

#[tokio::test]
async fn a_record_that_the_answer_lacks_is_held_in_memory_though_it_was_assumed_to_be_kept() {
    let (client, _) = api_server(false);
    let local = local();
    let applier = applier(client, true, &local);

    apply(&applier, json!({ "sequence": 3 })).await;

    assert_eq!(
        (applier.record_support.get(), local.of(UID).record.as_ref().map(|record| record.sequence)),
        (false, Some(3))
    );
}

#[tokio::test]
async fn a_crd_that_keeps_records_by_now_gets_the_whole_record_with_the_next_change() {
    let (client, patches) = api_server(true);
    let local = local();
    let held = KultaStatus { sequence: 3, memory: "ab".into(), ..KultaStatus::default() };
    local.change(UID, |state| state.record = Some(held));
    let applier = applier(client, false, &local);

    apply(&applier, json!({ "sequence": 4 })).await;

    let sent = patches.lock().unwrap()[0]["status"]["kulta"].clone();
    assert_eq!((&sent["sequence"], &sent["memory"]), (&json!(4), &json!("ab")));
    assert_eq!((applier.record_support.get(), local.of(UID).record.clone()), (true, None));
}
