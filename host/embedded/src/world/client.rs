//! The simulation's client of the store: lists by kind, and skips writes that change nothing.

use std::sync::Arc;

use serde_json::Value;

use super::queue::Item;
use crate::{
    json::{meta, set},
    kind::{Collection, Key, Kind},
    status::ApiError,
    store::{DeleteOptions, ListOptions, Selection, Store, WriteOptions},
};

/// The field manager of the simulation's writes.
const MANAGER: &str = "kulta-world";

/// The store's status code for a conflict.
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;

/// The kinds that the simulation watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    Pod,
    ReplicaSet,
    Service,
    Slice,
    Route(RouteKind),
    Gateway,
    Class,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    Http,
    Grpc,
    Tcp,
    Tls,
}

impl RouteKind {
    pub const ALL: [Self; 4] = [Self::Http, Self::Grpc, Self::Tcp, Self::Tls];

    pub const fn kind(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tcp => "TCPRoute",
            Self::Tls => "TLSRoute",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Http => "httproutes",
            Self::Grpc => "grpcroutes",
            Self::Tcp => "tcproutes",
            Self::Tls => "tlsroutes",
        }
    }
}

pub const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// In order of preference: the Gateway API's kinds have several versions.
const VERSIONS: [&str; 3] = ["v1", "v1alpha3", "v1alpha2"];

impl Watched {
    const ALL: [Self; 10] = [
        Self::Pod,
        Self::ReplicaSet,
        Self::Service,
        Self::Slice,
        Self::Route(RouteKind::Http),
        Self::Route(RouteKind::Grpc),
        Self::Route(RouteKind::Tcp),
        Self::Route(RouteKind::Tls),
        Self::Gateway,
        Self::Class,
    ];

    /// Group and plural.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Pod => ("", "pods"),
            Self::ReplicaSet => ("apps", "replicasets"),
            Self::Service => ("", "services"),
            Self::Slice => ("discovery.k8s.io", "endpointslices"),
            Self::Route(kind) => (GATEWAY_API, kind.plural()),
            Self::Gateway => (GATEWAY_API, "gateways"),
            Self::Class => (GATEWAY_API, "gatewayclasses"),
        }
    }

    pub fn of(collection: &Collection) -> Option<Self> {
        let named = |watched: &Self| {
            let (group, plural) = watched.place();
            group == collection.group && plural == collection.plural
        };
        Self::ALL.into_iter().find(named)
    }

    fn item(self, key: Key) -> Option<Item> {
        match self {
            Self::Pod => Some(Item::Pod(key)),
            Self::ReplicaSet => Some(Item::ReplicaSet(key)),
            Self::Service => Some(Item::Service(key)),
            Self::Slice => None,
            Self::Route(kind) => Some(Item::Route(kind, key)),
            Self::Gateway => Some(Item::Gateway(key)),
            Self::Class => Some(Item::Class(key)),
        }
    }
}

#[derive(Debug)]
pub struct Client(Store);

impl Client {
    pub const fn new(store: Store) -> Self {
        Self(store)
    }

    pub const fn store(&self) -> &Store {
        &self.0
    }

    /// All objects of the watched kinds.
    pub fn everything(&self) -> Vec<Item> {
        let items = |watched: Watched| {
            self.list_in(watched, "").into_iter().filter_map(move |object| watched.item(key(&object)))
        };
        Watched::ALL.into_iter().flat_map(items).collect()
    }

    /// `None` as long as the kind is not served.
    fn kind(&self, watched: Watched) -> Option<Arc<Kind>> {
        let (group, plural) = watched.place();
        VERSIONS.into_iter().find_map(|version| self.0.kind_at(group, version, plural))
    }

    pub fn get(&self, watched: Watched, key: &Key) -> Option<Arc<Value>> {
        self.0.get(&*self.kind(watched)?, key.namespace(), key.name()).ok()
    }

    /// The objects of a namespace, or of all, in the order of their names.
    pub fn list_in(&self, watched: Watched, namespace: &str) -> Vec<Arc<Value>> {
        let Some(kind) = self.kind(watched) else { return Vec::new() };
        match self.0.list(&kind, namespace, &Selection::default(), &ListOptions::default()) {
            Ok(page) => page.items,
            Err(error) => {
                tracing::error!(%error, ?watched, "cannot be listed");
                Vec::new()
            }
        }
    }

    /// The routes of all kinds of a namespace, or of all.
    pub fn routes(&self, namespace: &str) -> Vec<(RouteKind, Arc<Value>)> {
        let of_kind = |kind| self.list_in(Watched::Route(kind), namespace).into_iter().map(move |route| (kind, route));
        RouteKind::ALL.into_iter().flat_map(of_kind).collect()
    }

    pub fn create(&self, watched: Watched, namespace: &str, body: Value) {
        self.note(watched, namespace, |kind| {
            self.0.create(kind, namespace, body, &WriteOptions::by(MANAGER)).map(drop)
        });
    }

    pub fn update(&self, watched: Watched, before: &Value, body: Value) {
        if *before != body {
            let key = key(before);
            self.note(watched, key.as_str(), |kind| {
                self.0.update(kind, key.namespace(), key.name(), body, &WriteOptions::by(MANAGER)).map(drop)
            });
        }
    }

    pub fn set_status(&self, watched: Watched, before: &Value, status: Value) {
        if before.get("status") == Some(&status) {
            return;
        }
        let (key, mut body) = (key(before), before.clone());
        set(&mut body, &["status"], status);
        self.note(watched, key.as_str(), |kind| {
            self.0.update(kind, key.namespace(), key.name(), body, &WriteOptions::by(MANAGER).status()).map(drop)
        });
    }

    /// With the object's grace period, or at once.
    pub fn delete(&self, watched: Watched, key: &Key, at_once: bool) {
        let options = DeleteOptions { grace: at_once.then_some(0), ..DeleteOptions::default() };
        self.note(watched, key.as_str(), |kind| self.0.delete(kind, key.namespace(), key.name(), &options).map(drop));
    }

    /// After a conflict nothing is reported, because the other write triggers another reconciliation; any other error
    /// is logged.
    fn note(&self, watched: Watched, what: &str, write: impl FnOnce(&Kind) -> Result<(), ApiError>) {
        let Some(kind) = self.kind(watched) else { return };
        match write(&kind) {
            Err(error) if ![CONFLICT, NOT_FOUND].contains(&error.code) => {
                tracing::warn!(%error, ?watched, what, "a write was refused");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

pub fn key(object: &Value) -> Key {
    Key::new(meta::namespace(object), meta::name(object))
}
