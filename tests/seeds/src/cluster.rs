//! The cluster of a scenario: the embedded store with the kinds that a rollout needs, and requests that a user makes to it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow};
use gateway_api::apis::standard::{gatewayclasses::GatewayClass, gateways::Gateway, httproutes::HttpRoute};
use jiff::Timestamp;
use kube::CustomResourceExt;
use kulta_embedded::clock::Clock;
use kulta_embedded::kind;
use kulta_embedded::status::ApiError;
use kulta_embedded::store::{DeleteOptions, ListOptions, Patch, Selection, Settings, Store, WriteOptions};
use serde_json::{Value, json};

/// When every scenario starts, in seconds since 1970.
pub const START: i64 = 1_800_000_000;
pub const NAMESPACE: &str = "shop";
pub const ROLLOUT: &str = "web";
pub const STABLE: &str = "web-stable";
pub const CANARY: &str = "web-canary";
pub const ROUTE: &str = "web";
/// Names of the second Rollout and its Services.
pub mod neighbour {
    pub const ROLLOUT: &str = "api";
    pub const STABLE: &str = "api-stable";
    pub const CANARY: &str = "api-canary";
}
/// The field manager of what users and the scenario itself write.
pub const USER: &str = "user";
/// Number of changes from which a watch may resume: so few that some watches come too late.
const HISTORY: usize = 400;
/// Seed of the store from which those of all scenarios are copied.
const BASE_SEED: u64 = 0;

/// The kinds of objects that scenarios read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Rollout,
    ReplicaSet,
    Pod,
    Service,
    HttpRoute,
    AnalysisTemplate,
    AnalysisRun,
    Secret,
    Event,
}

impl ObjectKind {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Rollout => ("argoproj.io/v1alpha1", "Rollout"),
            Self::ReplicaSet => ("apps/v1", "ReplicaSet"),
            Self::Pod => ("v1", "Pod"),
            Self::Service => ("v1", "Service"),
            Self::HttpRoute => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            Self::AnalysisTemplate => ("argoproj.io/v1alpha1", "AnalysisTemplate"),
            Self::AnalysisRun => ("argoproj.io/v1alpha1", "AnalysisRun"),
            Self::Secret => ("v1", "Secret"),
            Self::Event => ("v1", "Event"),
        }
    }
}

/// The CRDs of all kinds that scenarios use.
fn definitions() -> Result<Vec<Value>> {
    let mut all = vec![
        serde_json::to_value(HttpRoute::crd())?,
        serde_json::to_value(Gateway::crd())?,
        serde_json::to_value(GatewayClass::crd())?,
    ];
    for kind in kulta_api::crd::Kind::ALL {
        all.push(serde_json::to_value(kind.definition())?);
    }
    Ok(all)
}

/// The store from which those of all scenarios are copied, with all kinds and the namespace.
fn base() -> Result<&'static Store> {
    static BASE: OnceLock<Store> = OnceLock::new();
    if let Some(base) = BASE.get() {
        return Ok(base);
    }
    // These objects are as old as the scenario in each of them.
    let clock = Clock::starting_at(Timestamp::from_second(START).context("the start time")?);
    let store = Store::new(settings(clock, BASE_SEED));
    for definition in definitions()? {
        create(&store, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", definition)?;
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    create(&store, "v1", "Namespace", "", namespace)?;
    Ok(BASE.get_or_init(|| store))
}

fn settings(clock: Clock, seed: u64) -> Settings {
    Settings { history: HISTORY, ..Settings::new(clock, seed) }
}

fn create(store: &Store, api_version: &str, kind: &str, namespace: &str, body: Value) -> Result<()> {
    let served = store.kind(api_version, kind).with_context(|| format!("the server does not serve {kind}"))?;
    let created = store.create(&served, namespace, body, &WriteOptions::by(USER));
    created.map(drop).map_err(|error| refused("create", kind, &error))
}

/// A user's client of the cluster, whose requests have no faults. Clones are the same user.
#[derive(Clone)]
pub struct Cluster {
    pub store: Store,
    /// Resource versions of a user's writes, and of the server's writes that are part of them.
    versions: Arc<Mutex<BTreeSet<u64>>>,
}

impl Cluster {
    /// A new cluster with all kinds and the namespace.
    ///
    /// # Errors
    /// If the server refuses what every scenario needs.
    pub fn new(clock: Clock, seed: u64) -> Result<Self> {
        Ok(Self { store: base()?.fork(settings(clock, seed)), versions: Arc::default() })
    }

    /// Whether a user made the change with this resource version.
    #[must_use]
    pub fn is_by_user(&self, version: u64) -> bool {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).contains(&version)
    }

    fn write<T>(&self, request: impl FnOnce(&Store) -> T) -> T {
        let before = self.store.version();
        let answer = request(&self.store);
        let written = before.saturating_add(1)..=self.store.version();
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
        answer
    }

    fn served(&self, kind: ObjectKind) -> Result<Arc<kind::Kind>> {
        let (api_version, kind) = kind.names();
        self.store.kind(api_version, kind).with_context(|| format!("the server does not serve {kind}"))
    }

    /// # Errors
    /// If the server refuses the request.
    pub fn create_any(&self, api_version: &str, kind: &str, namespace: &str, body: Value) -> Result<()> {
        create(&self.store, api_version, kind, namespace, body)
    }

    /// # Errors
    /// If the server refuses the request.
    pub fn create(&self, kind: ObjectKind, body: Value) -> Result<()> {
        let served = self.served(kind)?;
        let created = self.write(|store| store.create(&served, NAMESPACE, body, &WriteOptions::by(USER)));
        created.map(drop).map_err(|error| refused("create", kind.names().1, &error))
    }

    /// Returns the object if it exists.
    ///
    /// # Errors
    /// If the kind is not served.
    pub fn get(&self, kind: ObjectKind, name: &str) -> Result<Option<Arc<Value>>> {
        Ok(self.store.get(&*self.served(kind)?, NAMESPACE, name).ok())
    }

    /// Lists the objects of a kind by name.
    ///
    /// # Errors
    /// If the kind is not served.
    pub fn list(&self, kind: ObjectKind) -> Result<Vec<Arc<Value>>> {
        let page = self.store.list(&*self.served(kind)?, NAMESPACE, &Selection::default(), &ListOptions::default());
        page.map(|page| page.items).map_err(|error| refused("list", kind.names().1, &error))
    }

    /// Lists the objects of one Rollout, by the label `app` of its pods.
    ///
    /// # Errors
    /// If the kind is not served.
    pub fn list_of(&self, kind: ObjectKind, rollout: &str) -> Result<Vec<Arc<Value>>> {
        let mut all = self.list(kind)?;
        all.retain(|object| object.pointer("/metadata/labels/app").and_then(Value::as_str) == Some(rollout));
        Ok(all)
    }

    /// Applies a merge patch to the object, or to its status.
    ///
    /// # Errors
    /// If the server refuses the request.
    pub fn patch(&self, kind: ObjectKind, name: &str, status: bool, patch: Value) -> Result<()> {
        let options = if status { WriteOptions::by(USER).status() } else { WriteOptions::by(USER) };
        let served = self.served(kind)?;
        let patched = self.write(|store| store.patch(&served, NAMESPACE, name, &Patch::Merge(patch), &options));
        patched.map(drop).map_err(|error| refused("patch", name, &error))
    }

    /// Replaces the value at a path.
    ///
    /// # Errors
    /// If the server refuses the request.
    pub fn replace(&self, kind: ObjectKind, name: &str, path: &str, value: Value) -> Result<()> {
        let served = self.served(kind)?;
        let patch = Patch::Json(json!([{ "op": "replace", "path": path, "value": value }]));
        let patched = self.write(|store| store.patch(&served, NAMESPACE, name, &patch, &WriteOptions::by(USER)));
        patched.map(drop).map_err(|error| refused("patch", name, &error))
    }

    /// # Errors
    /// If the server refuses the request.
    pub fn delete(&self, kind: ObjectKind, name: &str) -> Result<()> {
        let served = self.served(kind)?;
        let deleted = self.write(|store| store.delete(&served, NAMESPACE, name, &DeleteOptions::default()));
        deleted.map(drop).map_err(|error| refused("delete", name, &error))
    }
}

fn refused(verb: &str, what: &str, error: &ApiError) -> anyhow::Error {
    anyhow!("{verb} {what}: {}", error.status())
}
