//! Whether the API server keeps `status.kulta`, which a Rollout CRD without KULTA's additions prunes. The CRD says so, and so does the
//! answer to each write of a record.

pub mod definition;

use std::sync::atomic::{AtomicBool, Ordering};

use kulta_api::KultaStatus;
use serde_json::{Value, json};

use crate::cluster::Stored;

/// What the API server's last answer said.
#[derive(Debug)]
pub struct RecordKept(AtomicBool);

impl RecordKept {
    /// `kept` is what the CRD says, or what is assumed until the first answer.
    #[must_use]
    pub fn new(kept: bool) -> Self {
        if !kept {
            warn_of_pruning();
        }
        Self(AtomicBool::new(kept))
    }

    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes note of the answer to a status patch that set the record: whether it is kept.
    pub fn learn(&self, answer: &Stored) -> bool {
        let kept = answer.has_record();
        self.set(kept);
        kept
    }

    /// Whether this is news.
    fn set(&self, kept: bool) -> bool {
        let is_news = self.0.swap(kept, Ordering::Relaxed) != kept;
        match (is_news, kept) {
            (false, _) => {}
            (true, true) => tracing::info!("the Rollout CRD keeps status.kulta"),
            (true, false) => warn_of_pruning(),
        }
        is_news
    }
}

fn warn_of_pruning() {
    tracing::warn!(
        "the Rollout CRD prunes status.kulta: events and the decision log do not outlive this process; install KULTA's CRD"
    );
}

/// The record after a change of it.
///
/// # Errors
/// When the change makes no record, which is a fault of whoever made it.
pub fn changed(before: Option<KultaStatus>, change: &Value) -> Result<KultaStatus, serde_json::Error> {
    let mut record = json!(before.unwrap_or_default());
    json_patch::merge(&mut record, change);
    serde_json::from_value(record)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use jiff::Timestamp;
    use kube::Client;
    use kube::client::Body;
    use kulta_core::plan::{Plan, StatusPatch};
    use tower::service_fn;

    use super::*;
    use crate::apply::{Applier, Target};
    use crate::clock::VirtualClock;
    use crate::cluster::Cluster;
    use crate::key::Key;
    use crate::memory::Memory;
    use crate::metrics::Metrics;
    use crate::recorder::Recorder;

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

    fn applier(client: Client, assumed: bool, memory: &Arc<Memory>) -> Applier {
        let cluster = Cluster::new(client, Arc::new(Metrics::default()));
        let clock = Arc::new(VirtualClock::start(Timestamp::UNIX_EPOCH));
        Applier {
            recorder: Arc::new(Recorder::new(cluster.clone(), clock.clone(), Arc::new(Metrics::default()))),
            cluster,
            memory: Arc::clone(memory),
            clock,
            record_kept: Arc::new(RecordKept::new(assumed)),
        }
    }

    const UID: &str = "u";

    fn web() -> Key {
        Key::new("shop", "web")
    }

    /// What is remembered of a cache that holds the rollout.
    fn memory() -> Arc<Memory> {
        let memory = Arc::new(Memory::default());
        memory.remember(UID);
        memory
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
        let memory = memory();
        let applier = applier(client, true, &memory);

        apply(&applier, json!({ "sequence": 3 })).await;

        assert_eq!(
            (applier.record_kept.get(), memory.of(UID).record.as_ref().map(|record| record.sequence)),
            (false, Some(3))
        );
    }

    #[tokio::test]
    async fn a_crd_that_keeps_records_by_now_gets_the_whole_record_with_the_next_change() {
        let (client, patches) = api_server(true);
        let memory = memory();
        let held = KultaStatus { sequence: 3, memory: "ab".into(), ..KultaStatus::default() };
        memory.note(UID, |notes| notes.record = Some(held));
        let applier = applier(client, false, &memory);

        apply(&applier, json!({ "sequence": 4 })).await;

        let sent = patches.lock().unwrap()[0]["status"]["kulta"].clone();
        assert_eq!((&sent["sequence"], &sent["memory"]), (&json!(4), &json!("ab")));
        assert_eq!((applier.record_kept.get(), memory.of(UID).record.clone()), (true, None));
    }
}
