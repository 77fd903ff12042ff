//! Watches fill the caches and tell the queue who is touched.

use std::sync::Arc;

use futures::TryStreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};

use crate::backoff::WatchDelays;
use crate::caches::{KindWatch, Touched, Watched};
use crate::cluster::words;
use crate::controller::Controller;
use crate::kinds::Kind;
use crate::object::Object;
use crate::store::Scope;

/// Objects in a page of a list.
const PAGE: u32 = 500;

impl Watched {
    const fn kind(self) -> Kind {
        match self {
            Self::Rollouts => Kind::Rollout,
            Self::ReplicaSets => Kind::ReplicaSet,
            Self::Services => Kind::Service,
            Self::Routes => Kind::HttpRoute,
            Self::Runs => Kind::AnalysisRun,
            Self::Templates => Kind::AnalysisTemplate,
            Self::ClusterTemplates => Kind::ClusterAnalysisTemplate,
            Self::Plugins => Kind::Plugin,
        }
    }

    /// A cluster may lack the kind.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        match self {
            Self::Rollouts | Self::ReplicaSets | Self::Services => false,
            Self::Routes | Self::Runs | Self::Templates | Self::ClusterTemplates | Self::Plugins => true,
        }
    }
}

/// Runs one watch for good; a broken one is taken up again with growing delays.
pub async fn run(controller: Arc<Controller>, watched: Watched, scope: Scope) {
    let resource = watched.kind().resource();
    let client = controller.cluster.client();
    let api: Api<Object> = match scope.namespace() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let mut config = watcher::Config::default().page_size(PAGE);
    match watched {
        Watched::Rollouts | Watched::Runs | Watched::Plugins => config = config.labels(&controller.instance_selector()),
        // Pods of plain Deployments are none of our business, and most ReplicaSets are theirs.
        Watched::ReplicaSets => config = config.labels(kulta_api::annotations::POD_TEMPLATE_HASH),
        Watched::Services | Watched::Routes | Watched::Templates | Watched::ClusterTemplates => {}
    }
    let stream = watcher::watcher(api, config).backoff(WatchDelays::default());
    let mut stream = std::pin::pin!(stream);
    let mut first = true;
    loop {
        match stream.try_next().await {
            Ok(None) => return,
            Ok(Some(event)) => handle(&controller, watched, &scope, event, &mut first),
            Err(error) => {
                controller.metrics.watch_error();
                failed(&controller, watched, &scope, &error);
            }
        }
    }
}

fn handle(controller: &Controller, watched: Watched, scope: &Scope, event: Event<Object>, first: &mut bool) {
    let caches = &controller.caches;
    match event {
        Event::Init => caches.begin_list(watched, scope),
        Event::InitApply(object) | Event::Apply(object) => controller.touched(caches.apply(watched, object)),
        Event::Delete(object) => controller.touched(caches.delete(watched, &object.key())),
        Event::InitDone => {
            for touched in caches.end_list(watched, scope) {
                controller.touched(touched);
            }
            if watched.is_optional() {
                let keys = caches.set_watch(watched, scope, KindWatch::Filled);
                controller.touched(Touched { keys, ..Touched::default() });
            }
            if std::mem::take(first) {
                tracing::info!(kind = watched.kind().as_str(), ?scope, "cache filled");
                controller.filled(watched, scope);
            }
        }
    }
}

fn failed(controller: &Controller, watched: Watched, scope: &Scope, error: &watcher::Error) {
    let (code, message) = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => match source {
            kube::Error::Api(status) => (status.code, words(source)),
            _ => (0, words(source)),
        },
        watcher::Error::WatchError(status) => (status.code, status.message.clone()),
        other => (0, other.to_string()),
    };
    tracing::warn!(kind = watched.kind().as_str(), ?scope, code, "watch: {message}");
    if !watched.is_optional() {
        return;
    }
    let state = match code {
        404 => KindWatch::NotInstalled,
        403 => KindWatch::Forbidden(message),
        _ => return,
    };
    let keys = controller.caches.set_watch(watched, scope, state);
    controller.touched(Touched { keys, ..Touched::default() });
    // There is nothing to wait for.
    controller.filled(watched, scope);
}
