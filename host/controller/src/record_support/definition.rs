//! The watch of the Rollout CRD. One that is replaced by a CRD that prunes records is noticed at once, while the cache still has them: they
//! are held in local state from then on, so that no two events have the same sequence.

use futures::TryStreamExt;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};

use super::RecordSupport;
use crate::backoff::WatchDelays;
use crate::cache::{Contents, Decoded};
use crate::cluster::{ROLLOUT_DEFINITION, definition_resource, keeps_record};
use crate::local_state::LocalStates;
use crate::metrics::Metrics;
use crate::object::Object;

const FORBIDDEN: u16 = 403;

/// Runs the watch; `defined` gets whether the CRD keeps records. Without the right to watch it, a CRD that is replaced is
/// noticed by the answer to the next write of a record.
pub async fn watch(client: Client, metrics: &Metrics, defined: impl Fn(bool) + Send) {
    let api: Api<Object> = Api::all_with(client, &definition_resource());
    let config = watcher::Config::default().fields(&format!("metadata.name={ROLLOUT_DEFINITION}"));
    let stream = watcher::watcher(api, config).backoff(WatchDelays::default());
    let mut stream = std::pin::pin!(stream);
    loop {
        match stream.try_next().await {
            Ok(None) => return,
            Ok(Some(Event::Apply(crd) | Event::InitApply(crd))) => defined(keeps_record(&crd.json)),
            // A CRD that is deleted takes its Rollouts with it.
            Ok(Some(Event::Init | Event::InitDone | Event::Delete(_))) => {}
            Err(error) if is_forbidden(&error) => {
                tracing::info!(
                    "the Rollout CRD cannot be watched ({error}): one that is replaced is noticed at the next write"
                );
                return;
            }
            Err(error) => {
                metrics.watch_error();
                tracing::warn!(kind = "CustomResourceDefinition", "watch: {error}");
            }
        }
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == FORBIDDEN,
        watcher::Error::WatchError(status) => status.code == FORBIDDEN,
        _ => false,
    }
}

/// The CRD keeps records or prunes them. From then on local state holds what the cache still has of them.
pub fn defined(kept: bool, record_support: &RecordSupport, caches: &Contents, local: &LocalStates) {
    if !record_support.set(kept) || kept {
        return;
    }
    for (_, cached) in caches.rollouts.iter() {
        let Decoded::Rollout { rollout, .. } = cached.open() else { continue };
        if let Some(record) = rollout.status.and_then(|status| status.kulta) {
            local.change(&cached.uid, |state| {
                state.record.get_or_insert(record);
            });
        }
    }
}
