//! Requests to the API server. One place, so that each is signed, counted and never hidden behind a read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective,
};
use kube::core::{ApiResource, Request, request};
use kube::{Client, Error, Resource};
use kulta_api::analysis::AnalysisRunStatus;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::api_error::{ApiErrorClass, error_message};
use crate::key::Key;
use crate::kinds::{Kind, MANAGER};
use crate::kube_events::{self, Message, Regarding};
use crate::metrics::Metrics;
use crate::object::{Object, text, version};
use crate::served_versions::ServedVersions;

/// The name of the Rollout CRD.
pub const ROLLOUT_DEFINITION: &str = "rollouts.argoproj.io";
/// Content type of a JSON Patch (RFC 6902).
const JSON_PATCH: &str = "application/json-patch+json";

#[derive(Clone)]
pub struct Cluster {
    client: Client,
    metrics: Arc<Metrics>,
    versions: Arc<ServedVersions>,
}

impl Cluster {
    #[must_use]
    pub fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { client, metrics, versions: Arc::default() }
    }

    /// The versions in which requests name the kinds.
    #[must_use]
    pub fn versions(&self) -> Arc<ServedVersions> {
        Arc::clone(&self.versions)
    }

    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<Object> {
        match namespace {
            // Of kinds in cluster scope.
            "" => Api::all_with(self.client.clone(), &self.versions.resource(kind)),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &self.versions.resource(kind)),
        }
    }

    fn signed() -> PatchParams {
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
    }

    fn creating(dry_run: bool) -> PostParams {
        PostParams { dry_run, field_manager: Some(MANAGER.to_owned()) }
    }

    fn counted<T>(&self, kind: Kind, verb: &'static str, result: Result<T, Error>) -> Result<T, Error> {
        self.metrics.request(kind, verb, result.is_ok());
        result
    }

    fn url(&self, kind: Kind, namespace: &str) -> Request {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        Request::new(Object::url_path(&self.versions.resource(kind), namespace))
    }

    /// Decodes of the answer what `T` has, and builds no tree of the whole.
    async fn send<T: DeserializeOwned>(
        &self,
        kind: Kind,
        verb: &'static str,
        request: Result<http::Request<Vec<u8>>, request::Error>,
    ) -> Result<T, Error> {
        let result = match request {
            Ok(request) => self.client.request(request).await,
            Err(error) => Err(Error::BuildRequest(error)),
        };
        self.counted(kind, verb, result)
    }

    /// A merge patch of an object's status.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn patch_status(&self, kind: Kind, key: &Key, patch: &Value) -> Result<Stored, Error> {
        let url = self.url(kind, &key.namespace);
        let request = url.patch_subresource("status", &key.name, &Self::signed(), &Patch::Merge(patch));
        self.send(kind, "patch", request).await
    }

    /// A merge patch of an AnalysisRun's status. On Argo's own CRD, which has no status subresource, of the object.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn patch_run_status(&self, key: &Key, patch: &Value) -> Result<StoredRun, Error> {
        let url = self.url(Kind::AnalysisRun, &key.namespace);
        let patch = Patch::Merge(patch);
        let status = url.patch_subresource("status", &key.name, &Self::signed(), &patch);
        match self.send(Kind::AnalysisRun, "patch", status).await {
            Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Gone => {
                self.send(Kind::AnalysisRun, "patch", url.patch(&key.name, &Self::signed(), &patch)).await
            }
            result => result,
        }
    }

    /// One object, for the kinds that no cache holds.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn get(&self, kind: Kind, key: &Key) -> Result<Object, Error> {
        let result = self.api(kind, &key.namespace).get(&key.name).await;
        self.counted(kind, "get", result)
    }

    /// A merge patch.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn merge(&self, kind: Kind, key: &Key, patch: &Value) -> Result<Stored, Error> {
        let request = self.url(kind, &key.namespace).patch(&key.name, &Self::signed(), &Patch::Merge(patch));
        self.send(kind, "patch", request).await
    }

    /// A JSON Patch. With `strict` the API server refuses it if it does not know a field, where it would drop the field otherwise.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn json_patch(&self, kind: Kind, key: &Key, operations: &Value, strict: bool) -> Result<Stored, Error> {
        let field_validation = strict.then_some(ValidationDirective::Strict);
        let params = PatchParams { field_validation, ..Self::signed() };
        // The operations are sent as they are: only the content type differs from that of a merge patch.
        let request = self.url(kind, &key.namespace).patch(&key.name, &params, &Patch::Merge(operations));
        let request = request.map(|mut request| {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON_PATCH));
            request
        });
        self.send(kind, "patch", request).await
    }

    /// # Errors
    /// As the API server answers.
    pub async fn create<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: &str,
        body: &Value,
        dry_run: bool,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(Error::SerdeError)?;
        self.send(kind, "create", self.url(kind, namespace).create(&Self::creating(dry_run), body)).await
    }

    /// Posts a Kubernetes event. Its answer is not read.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn post_event(&self, regarding: &Regarding, event: &Message, at: Timestamp) -> Result<(), Error> {
        let body = serde_json::to_vec(&kube_events::body(regarding, event, at)).map_err(Error::SerdeError)?;
        let url = self.url(Kind::Event, kube_events::namespace(&regarding.key));
        self.send::<IgnoredAny>(Kind::Event, "create", url.create(&Self::creating(false), body)).await.map(drop)
    }

    /// The object of that name, if there is one, whatever its labels. A list with a field selector: it needs no right beyond those of the watch.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn find(&self, kind: Kind, key: &Key) -> Result<Option<Object>, Error> {
        let parameters = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let result = self.api(kind, &key.namespace).list(&parameters).await;
        Ok(self.counted(kind, "list", result)?.items.into_iter().next())
    }

    /// # Errors
    /// As the API server answers.
    pub async fn delete(&self, kind: Kind, key: &Key, uid: &str) -> Result<(), Error> {
        let parameters = DeleteParams::background()
            .preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let result = self.api(kind, &key.namespace).delete(&key.name, &parameters).await.map(|_| ());
        self.counted(kind, "delete", result)
    }

    /// # Errors
    /// As the API server answers; 429 when a disruption budget holds it up.
    pub async fn evict(&self, pod: &Key) -> Result<(), Error> {
        let api: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let result = api.evict(&pod.name, &EvictParams::default()).await.map(|_| ());
        self.counted(Kind::Pod, "create", result)
    }

    /// # Errors
    /// As the API server answers.
    pub async fn pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        limit: Option<u32>,
    ) -> Result<Vec<Object>, Error> {
        let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let mut parameters = ListParams::default().labels(&selector);
        parameters.limit = limit;
        let result = self.api(Kind::Pod, namespace).list(&parameters).await.map(|list| list.items);
        self.counted(Kind::Pod, "list", result)
    }

    /// The pods that a label selector matches.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn selected_pods(&self, namespace: &str, selector: &str) -> Result<Vec<Object>, Error> {
        let parameters = ListParams::default().labels(selector);
        let result = self.api(Kind::Pod, namespace).list(&parameters).await.map(|list| list.items);
        self.counted(Kind::Pod, "list", result)
    }

    /// Names of the pods that the EndpointSlices of a Service list.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn endpoints(&self, namespace: &str, service: &str) -> Result<BTreeSet<String>, Error> {
        let parameters = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let result = self.api(Kind::EndpointSlice, namespace).list(&parameters).await;
        let slices = self.counted(Kind::EndpointSlice, "list", result)?;
        let listed = slices.items.iter().flat_map(|slice| {
            let endpoints = slice.json.get("endpoints").and_then(Value::as_array);
            endpoints.into_iter().flatten().filter_map(|endpoint| {
                let target = endpoint.get("targetRef")?;
                Some(text(target, "name").to_owned())
            })
        });
        Ok(listed.collect())
    }

    /// Reads from the Rollout CRD whether it keeps `status.kulta`.
    /// If it cannot be read the answer is yes, until the answer to the first status patch corrects it.
    pub async fn record_kept(&self) -> bool {
        let api: Api<Object> = Api::all_with(self.client.clone(), &definition_resource());
        match api.get(ROLLOUT_DEFINITION).await {
            Ok(crd) => keeps_record(&crd.json),
            Err(error) => {
                tracing::info!(
                    "cannot read the Rollout CRD ({}): taking it to keep status.kulta",
                    error_message(&error)
                );
                true
            }
        }
    }
}

/// Whether this Rollout CRD keeps `status.kulta`.
#[must_use]
pub fn keeps_record(crd: &Value) -> bool {
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    versions.into_iter().flatten().filter(|version| text(version, "name") == "v1alpha1").any(|version| {
        let schema = version.pointer("/schema/openAPIV3Schema");
        let status = schema.and_then(|schema| schema.pointer("/properties/status"));
        let open = |schema: &Value| {
            schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool).unwrap_or(false)
        };
        status.is_some_and(|status| open(status) || status.pointer("/properties/kulta").is_some())
    })
}

/// What the controller needs of the answer to a write; nothing else of it is decoded.
#[derive(Clone, Debug, Deserialize)]
pub struct Stored {
    pub metadata: StoredMetadata,
    /// Absent where the kind has none.
    #[serde(default)]
    status: StoredStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct StoredStatus {
    kulta: Option<IgnoredAny>,
}

impl Stored {
    /// The version that the write produced.
    #[must_use]
    pub fn version(&self) -> u64 {
        version(&self.metadata.resource_version)
    }

    /// `status.kulta` is there: the API server does not prune it.
    #[must_use]
    pub const fn has_record(&self) -> bool {
        self.status.kulta.is_some()
    }
}

/// The same of an AnalysisRun.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredRun {
    pub metadata: StoredMetadata,
    #[serde(default)]
    pub status: AnalysisRunStatus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMetadata {
    pub resource_version: String,
    /// Absent where the kind has none.
    #[serde(default)]
    pub generation: i64,
}

/// The kind of CRDs.
#[must_use]
pub fn definition_resource() -> ApiResource {
    ApiResource::erase::<CustomResourceDefinition>(&())
}

/// The version of an object that was read.
#[must_use]
pub fn version_of(object: &Object) -> u64 {
    version(object.json.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default())
}

/// A merge patch of a status that must replace exactly this version.
#[must_use]
pub fn guarded_status(resource_version: &str, patch: Value) -> Value {
    let mut guarded = json!({ "metadata": { "resourceVersion": resource_version } });
    if let Some(object) = guarded.as_object_mut() {
        object.insert("status".to_owned(), patch);
    }
    guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd(status: Value) -> Value {
        json!({ "spec": { "versions": [{ "name": "v1alpha1", "schema": { "openAPIV3Schema": { "properties": { "status": status } } } }] } })
    }

    #[test]
    fn a_crd_with_the_record_in_its_schema_keeps_it() {
        assert!(keeps_record(&crd(json!({ "properties": { "kulta": { "type": "object" } } }))));
    }

    #[test]
    fn a_crd_without_it_prunes_it() {
        assert!(!keeps_record(&crd(json!({ "properties": { "phase": {} } }))));
    }
}
