//! The cluster of a story: the store with the kinds that a rollout needs, and the objects around it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow};
use gateway_api::apis::standard::{gatewayclasses::GatewayClass, gateways::Gateway, httproutes::HttpRoute};
use jiff::Timestamp;
use kube::CustomResourceExt;
use kulta_embedded::clock::Clock;
use kulta_embedded::kind::Kind;
use kulta_embedded::status::ApiError;
use kulta_embedded::store::{DeleteOptions, ListOptions, Patch, Selection, Settings, Store, WriteOptions};
use serde_json::{Value, json};

use crate::objects;
use crate::story::BEGIN;

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
/// Who writes what people and the story itself do.
pub const PERSON: &str = "person";
/// Changes that watches may still ask for: few, so that some come too late.
const HISTORY: usize = 400;
/// Of the server that all stories begin from.
const FIRST_SEED: u64 = 0;

/// Kinds by what objects call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Rollout,
    ReplicaSet,
    Pod,
    Service,
    Route,
    Template,
    Run,
}

impl What {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Rollout => ("argoproj.io/v1alpha1", "Rollout"),
            Self::ReplicaSet => ("apps/v1", "ReplicaSet"),
            Self::Pod => ("v1", "Pod"),
            Self::Service => ("v1", "Service"),
            Self::Route => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            Self::Template => ("argoproj.io/v1alpha1", "AnalysisTemplate"),
            Self::Run => ("argoproj.io/v1alpha1", "AnalysisRun"),
        }
    }
}

/// Of all kinds that stories use.
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

/// A server with all kinds and the namespace of the story, for all stories to begin from.
fn first() -> Result<&'static Store> {
    static MADE: OnceLock<Store> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made);
    }
    // What is there from the start is as old as the story, in each of them.
    let clock = Clock::starting_at(Timestamp::from_second(BEGIN).context("the beginning")?);
    let store = Store::new(settings(clock, FIRST_SEED));
    for definition in definitions()? {
        create(&store, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", definition)?;
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    create(&store, "v1", "Namespace", "", namespace)?;
    Ok(MADE.get_or_init(|| store))
}

fn settings(clock: Clock, seed: u64) -> Settings {
    Settings { history: HISTORY, ..Settings::new(clock, seed) }
}

fn create(store: &Store, api_version: &str, kind: &str, namespace: &str, body: Value) -> Result<()> {
    let served = store.kind(api_version, kind).with_context(|| format!("the server does not serve {kind}"))?;
    let made = store.create(&served, namespace, body, &WriteOptions::by(PERSON));
    made.map(drop).map_err(|error| refused("create", kind, &error))
}

/// A person's way to the cluster: requests that no fault touches. Copies are the same person.
#[derive(Clone)]
pub struct Cluster {
    pub store: Store,
    /// Versions that a person's writes made, and what followed from them at once.
    own: Arc<Mutex<BTreeSet<u64>>>,
}

impl Cluster {
    /// A cluster of its own, with all kinds and the namespace of the story.
    ///
    /// # Errors
    /// When the server refuses what every story needs.
    pub fn begin(clock: Clock, seed: u64) -> Result<Self> {
        Ok(Self { store: first()?.fork(settings(clock, seed)), own: Arc::default() })
    }

    /// A change that a person made.
    #[must_use]
    pub fn is_own(&self, version: u64) -> bool {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(&version)
    }

    fn write<T>(&self, request: impl FnOnce(&Store) -> T) -> T {
        let before = self.store.version();
        let answer = request(&self.store);
        let made = before.saturating_add(1)..=self.store.version();
        self.own.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        answer
    }

    fn kind(&self, what: What) -> Result<Arc<Kind>> {
        let (api_version, kind) = what.names();
        self.store.kind(api_version, kind).with_context(|| format!("the server does not serve {kind}"))
    }

    /// # Errors
    /// As the server answers.
    pub fn create_any(&self, api_version: &str, kind: &str, namespace: &str, body: Value) -> Result<()> {
        create(&self.store, api_version, kind, namespace, body)
    }

    /// # Errors
    /// As the server answers.
    pub fn create(&self, what: What, body: Value) -> Result<()> {
        let kind = self.kind(what)?;
        let made = self.write(|store| store.create(&kind, NAMESPACE, body, &WriteOptions::by(PERSON)));
        made.map(drop).map_err(|error| refused("create", what.names().1, &error))
    }

    /// Rollouts on one route, each with the Services of its name.
    ///
    /// # Errors
    /// As the server answers.
    pub fn deploy(&self, route: Value, rollouts: Vec<Value>) -> Result<()> {
        for rollout in rollouts {
            let name = rollout.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            for service in objects::services(name) {
                self.create(What::Service, service)?;
            }
            self.create(What::Rollout, rollout)?;
        }
        self.create(What::Route, route)
    }

    /// Nothing when it is not there.
    ///
    /// # Errors
    /// When the kind is not served.
    pub fn get(&self, what: What, name: &str) -> Result<Option<Arc<Value>>> {
        Ok(self.store.get(&*self.kind(what)?, NAMESPACE, name).ok())
    }

    /// By name.
    ///
    /// # Errors
    /// When the kind is not served.
    pub fn list(&self, what: What) -> Result<Vec<Arc<Value>>> {
        let page = self.store.list(&*self.kind(what)?, NAMESPACE, &Selection::default(), &ListOptions::default());
        page.map(|page| page.items).map_err(|error| refused("list", what.names().1, &error))
    }

    /// Those of one Rollout, by the label `app` of its pods.
    ///
    /// # Errors
    /// When the kind is not served.
    pub fn list_of(&self, what: What, rollout: &str) -> Result<Vec<Arc<Value>>> {
        let mut all = self.list(what)?;
        all.retain(|object| object.pointer("/metadata/labels/app").and_then(Value::as_str) == Some(rollout));
        Ok(all)
    }

    /// A merge patch of the object, or of its status.
    ///
    /// # Errors
    /// As the server answers.
    pub fn patch(&self, what: What, name: &str, status: bool, patch: Value) -> Result<()> {
        let options = if status { WriteOptions::by(PERSON).status() } else { WriteOptions::by(PERSON) };
        let kind = self.kind(what)?;
        let patched = self.write(|store| store.patch(&kind, NAMESPACE, name, &Patch::Merge(patch), &options));
        patched.map(drop).map_err(|error| refused("patch", name, &error))
    }

    /// Puts a value in place of another, whole.
    ///
    /// # Errors
    /// As the server answers.
    pub fn replace(&self, what: What, name: &str, path: &str, value: Value) -> Result<()> {
        let kind = self.kind(what)?;
        let patch = Patch::Json(json!([{ "op": "replace", "path": path, "value": value }]));
        let patched = self.write(|store| store.patch(&kind, NAMESPACE, name, &patch, &WriteOptions::by(PERSON)));
        patched.map(drop).map_err(|error| refused("patch", name, &error))
    }

    /// # Errors
    /// As the server answers.
    pub fn delete(&self, what: What, name: &str) -> Result<()> {
        let kind = self.kind(what)?;
        let gone = self.write(|store| store.delete(&kind, NAMESPACE, name, &DeleteOptions::default()));
        gone.map(drop).map_err(|error| refused("delete", name, &error))
    }
}

fn refused(verb: &str, what: &str, error: &ApiError) -> anyhow::Error {
    anyhow!("{verb} {what}: {}", error.status())
}
