//! A scenario's own namespace in the shared cluster, with its reads and writes.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::{Value, json};

use crate::{
    api::{self, FIELD_MANAGER},
    audit::Audit,
    environment::Environment,
    kinds, kubeconfig, load, manifests,
    verbs::Verbs,
    wait,
};

/// Timeout for something that should happen at once: long enough for a debug build on a busy machine.
pub const SOON: Duration = Duration::from_secs(90);
/// Objects of a fleet that are written concurrently: far below the API server's limit for mutating requests.
const SIDE_BY_SIDE: usize = 16;

/// One test's environment.
pub struct Scenario {
    pub client: Client,
    pub namespace: String,
    pub environment: Environment,
}

impl Scenario {
    /// A new namespace named after the test.
    pub async fn begin(name: &str) -> Result<Self> {
        let environment = Environment::find()?;
        let client = environment.client().await?;
        let namespace = unique(name);
        api::apply(&client, "", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))
            .await?;
        Ok(Self { client, namespace, environment })
    }

    /// Deletes the namespace and its objects, without waiting.
    pub async fn end(self) -> Result<()> {
        let api: Api<DynamicObject> = Api::all_with(self.client, &kinds::namespace());
        api.delete(&self.namespace, &DeleteParams::background()).await.context("delete the scenario's namespace")?;
        Ok(())
    }

    pub fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }

    pub async fn apply(&self, object: Value) -> Result<DynamicObject> {
        api::apply(&self.client, &self.namespace, object).await
    }

    pub async fn apply_all(&self, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        for object in objects {
            self.apply(object).await?;
        }
        Ok(())
    }

    /// As [`apply_all`](Self::apply_all), for a fleet: concurrently, without an order.
    pub async fn apply_side_by_side(&self, objects: Vec<Value>) -> Result<()> {
        futures::stream::iter(objects)
            .map(|object| self.apply(object))
            .buffer_unordered(SIDE_BY_SIDE)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
    }

    pub async fn apply_yaml(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        api::apply_yaml(&self.client, &self.namespace, yaml).await
    }

    /// Applies the canary's Services, route and Rollout.
    pub async fn apply_canary(&self, canary: &manifests::Canary) -> Result<()> {
        self.apply_all(canary.objects(&self.namespace)).await
    }

    pub async fn get(&self, kind: &ApiResource, name: &str) -> Result<DynamicObject> {
        self.api(kind).get(name).await.with_context(|| format!("get the {} {name}", kind.kind))
    }

    pub async fn list(&self, kind: &ApiResource, selector: &str) -> Result<Vec<DynamicObject>> {
        let listed = self.api(kind).list(&ListParams::default().labels(selector)).await;
        Ok(listed.with_context(|| format!("list {} with {selector}", kind.plural))?.items)
    }

    pub async fn delete(&self, kind: &ApiResource, name: &str) -> Result<()> {
        let deleted = self.api(kind).delete(name, &DeleteParams::background()).await;
        deleted.map(drop).with_context(|| format!("delete the {} {name}", kind.kind))
    }

    /// A merge patch.
    pub async fn patch(&self, kind: &ApiResource, name: &str, patch: Value) -> Result<DynamicObject> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.api(kind).patch(name, &params, &Patch::Merge(&patch)).await;
        patched.with_context(|| format!("patch the {} {name} with {patch}", kind.kind))
    }

    /// Waits up to [`SOON`] until `wanted` holds; `what` completes "waited for …".
    pub async fn until(
        &self,
        kind: &ApiResource,
        name: &str,
        what: &str,
        wanted: impl FnMut(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        wait::until(&self.api(kind), name, what, SOON, wanted).await
    }

    /// Waits until the Rollout is in a phase (`status.phase`) and the controller has observed its newest spec.
    pub async fn until_phase(&self, rollout: &str, phase: &str) -> Result<DynamicObject> {
        self.until(&kinds::rollout(), rollout, &format!("the phase {phase}"), |object| {
            let generation = object.metadata.generation.unwrap_or_default().to_string();
            api::text(object, "/status/phase") == phase && api::text(object, "/status/observedGeneration") == generation
        })
        .await
    }

    pub fn verbs(&self, rollout: &str) -> Verbs {
        Verbs::of(self.api(&kinds::rollout()), rollout)
    }

    /// Service and weight of every backendRef of a route, in order, over all rules.
    pub async fn weights(&self, route: &str) -> Result<Vec<(String, i64)>> {
        Ok(weights(&self.get(&kinds::http_route(), route).await?))
    }

    /// Waits until a route has these weights *and* its gateway reports that it has accepted them.
    pub async fn until_weights(&self, route: &str, wanted: &[(&str, i64)]) -> Result<DynamicObject> {
        let wanted: Vec<(String, i64)> = wanted.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        self.until(&kinds::http_route(), route, &format!("the accepted weights {wanted:?}"), |object| {
            weights(object) == wanted && accepted(object)
        })
        .await
    }

    /// The ReplicaSets that a Rollout owns, oldest revision first.
    pub async fn replica_sets(&self, rollout: &str) -> Result<Vec<DynamicObject>> {
        let mut owned = self.list(&kinds::replica_set(), "").await?;
        owned.retain(|set| {
            set.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Rollout" && owner.name == rollout)
        });
        owned.sort_by_key(revision);
        Ok(owned)
    }

    /// The Kubernetes Events about an object: reason and message, in the order in which they were written.
    pub async fn events_about(&self, kind: &str, name: &str) -> Result<Vec<(String, String)>> {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let mut events = self
            .api(&kinds::event())
            .list(&ListParams::default().fields(&fields))
            .await
            .context("list the events")?
            .items;
        // Events of one reconciliation differ by microseconds, and may be posted in any order.
        events.sort_by_key(|event| api::text(event, "/eventTime").to_owned());
        Ok(events
            .iter()
            .map(|event| (api::text(event, "/reason").to_owned(), api::text(event, "/message").to_owned()))
            .collect())
    }

    /// Waits until the Kubernetes events about an object satisfy `wanted`. Events are posted concurrently with writes:
    /// the state of an object can be visible before its event.
    pub async fn until_events(
        &self,
        kind: &str,
        name: &str,
        wanted: impl Fn(&[(String, String)]) -> bool,
    ) -> Result<Vec<(String, String)>> {
        wait::poll(&format!("the events about {kind} {name}"), SOON, || async {
            let events = self.events_about(kind, name).await?;
            ensure!(wanted(&events), "the events are {events:#?}");
            Ok(Some(events))
        })
        .await
    }

    /// Waits until there are this many events about an object with this reason.
    pub async fn until_events_with(&self, kind: &str, name: &str, reason: &str, count: usize) -> Result<()> {
        self.until_events(kind, name, |events| events.iter().filter(|(told, _)| told == reason).count() == count)
            .await
            .map(drop)
    }

    /// Waits until requests for a host are answered through Envoy.
    pub async fn until_served(&self, host: &str) -> Result<()> {
        wait::poll(&format!("an answer for {host}"), SOON, || async {
            load::once(self.environment.gateway, host).await.map(Some).map_err(anyhow::Error::msg)
        })
        .await
        .map(drop)
    }

    /// Counts API requests from now on.
    pub fn audit(&self) -> Result<Audit> {
        Audit::now(&self.environment.audit_log)
    }

    /// A kubeconfig that acts as a ServiceAccount.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<std::path::PathBuf> {
        kubeconfig::for_service_account(&self.environment.kubeconfig, namespace, account, &self.environment.run).await
    }
}

/// The revision annotation of a ReplicaSet; 0 if it is missing.
pub fn revision(set: &DynamicObject) -> i64 {
    let annotation = set.metadata.annotations.as_ref().and_then(|all| all.get("rollout.argoproj.io/revision"));
    annotation.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Service and weight of every backendRef, in order, over all rules; the default weight is 1.
pub fn weights(route: &DynamicObject) -> Vec<(String, i64)> {
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let refs = rules.filter_map(|rule| rule.get("backendRefs")?.as_array()).flatten();
    refs.map(|backend| {
        let name = backend.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        (name, backend.get("weight").and_then(Value::as_i64).unwrap_or(1))
    })
    .collect()
}

/// True when every parent has accepted this generation of the route and resolved its backends.
pub fn accepted(route: &DynamicObject) -> bool {
    let generation = route.metadata.generation.unwrap_or_default();
    let parents: Vec<&Value> =
        route.data.pointer("/status/parents").and_then(Value::as_array).into_iter().flatten().collect();
    let holds = |parent: &Value, kind: &str| {
        parent.get("conditions").and_then(Value::as_array).into_iter().flatten().any(|condition| {
            let observed = condition.get("observedGeneration").and_then(Value::as_i64).unwrap_or_default();
            let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
            text("type") == kind && text("status") == "True" && observed >= generation
        })
    };
    !parents.is_empty() && parents.iter().all(|parent| holds(parent, "Accepted") && holds(parent, "ResolvedRefs"))
}

fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_micros());
    let clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(40).collect();
    format!("{}-{:x}-{:x}{count}", clean.trim_matches('-'), std::process::id(), moment)
}
