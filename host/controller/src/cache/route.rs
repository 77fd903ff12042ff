//! Routes, raw.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use jiff::Timestamp;
use kulta_api::{RouteKey, RouteKind};
use kulta_core::observed::Route;
use serde_json::Value;

use super::raw_json::RawJson;
use super::references::SelectedRoutes;
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::{Kind, MANAGER};
use crate::object::{Object, text, texts, version};

#[derive(Clone, Debug)]
pub struct CachedRoute {
    pub version: u64,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    foreign_managers: Vec<String>,
    written: Option<Timestamp>,
    object: RawJson,
}

fn route(mut object: Object) -> CachedRoute {
    let writers = object.trim();
    let written = writers.iter().filter_map(|writer| writer.at).max();
    let foreign = writers.into_iter().map(|writer| writer.manager).filter(|manager| manager != MANAGER);
    let foreign_managers = foreign.collect();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    CachedRoute {
        version: version(text(metadata, "resourceVersion")),
        uid: text(metadata, "uid").to_owned(),
        labels: texts(&object.json, "/metadata/labels"),
        foreign_managers,
        written,
        object: RawJson::of(&object.json),
    }
}

impl CachedRoute {
    #[must_use]
    pub fn open(&self) -> Route {
        let mut json = self.object.parse();
        let spec = json.get_mut("spec").map(Value::take).unwrap_or_default();
        let status = json.get_mut("status").map(Value::take).unwrap_or_default();
        let metadata = json.get("metadata").unwrap_or(&Value::Null);
        Route {
            generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
            resource_version: text(metadata, "resourceVersion").to_owned(),
            labels: self.labels.clone(),
            spec,
            status,
            foreign_managers: self.foreign_managers.clone(),
            written: self.written,
            last_write: None,
            refused: None,
            accepted: None,
            other_rollouts: Vec::new(),
            foreign_split: false,
        }
    }
}

/// The cached routes of each kind.
#[derive(Debug, Default)]
pub struct RouteStores {
    http: Store<CachedRoute>,
    grpc: Store<CachedRoute>,
    tcp: Store<CachedRoute>,
    tls: Store<CachedRoute>,
}

impl RouteStores {
    #[must_use]
    pub fn of(&self, kind: RouteKind) -> &Store<CachedRoute> {
        match kind {
            RouteKind::Http => &self.http,
            RouteKind::Grpc => &self.grpc,
            RouteKind::Tcp => &self.tcp,
            RouteKind::Tls => &self.tls,
        }
    }

    fn of_mut(&mut self, kind: RouteKind) -> &mut Store<CachedRoute> {
        match kind {
            RouteKind::Http => &mut self.http,
            RouteKind::Grpc => &mut self.grpc,
            RouteKind::Tcp => &mut self.tcp,
            RouteKind::Tls => &mut self.tls,
        }
    }

    #[must_use]
    pub fn get(&self, route: &RouteKey) -> Option<&CachedRoute> {
        self.of(route.kind).get(&Key::from(route))
    }

    /// The routes that this selects.
    pub fn selected<'a>(&'a self, routes: &'a SelectedRoutes) -> impl Iterator<Item = RouteKey> + 'a {
        let there = self.of(routes.kind).in_namespace(&routes.namespace);
        there
            .map(|(key, cached)| (route_key(routes.kind, key), cached))
            .filter_map(|(key, cached)| routes.matches(&key, &cached.labels).then_some(key))
    }
}

fn route_key(kind: RouteKind, key: &Key) -> RouteKey {
    RouteKey::new(kind, key.namespace.clone(), key.name.clone())
}

/// A kind of route, as a type: watches and stores are chosen by type.
pub trait CachedRouteKind: 'static {
    const ROUTE: RouteKind;
}

pub struct Http;
pub struct Grpc;
pub struct Tcp;
pub struct Tls;

impl CachedRouteKind for Http {
    const ROUTE: RouteKind = RouteKind::Http;
}

impl CachedRouteKind for Grpc {
    const ROUTE: RouteKind = RouteKind::Grpc;
}

impl CachedRouteKind for Tcp {
    const ROUTE: RouteKind = RouteKind::Tcp;
}

impl CachedRouteKind for Tls {
    const ROUTE: RouteKind = RouteKind::Tls;
}

pub type HttpRoutes = Routes<Http>;
pub type GrpcRoutes = Routes<Grpc>;
pub type TcpRoutes = Routes<Tcp>;
pub type TlsRoutes = Routes<Tls>;

pub struct Routes<K>(PhantomData<K>);

impl<K: CachedRouteKind> CachedKind for Routes<K> {
    type Cached = CachedRoute;
    const KIND: Kind = Kind::Route(K::ROUTE);
    const OPTIONAL: bool = true;
    const SELECTION: Selection = Selection::All;

    fn version(cached: &CachedRoute) -> u64 {
        cached.version
    }

    fn store(contents: &Contents) -> &Store<CachedRoute> {
        contents.routes.of(K::ROUTE)
    }

    fn store_mut(contents: &mut Contents) -> &mut Store<CachedRoute> {
        contents.routes.of_mut(K::ROUTE)
    }

    fn decode(object: Object) -> CachedRoute {
        route(object)
    }

    fn set(contents: &mut Contents, key: Key, route: CachedRoute) -> ChangeSet {
        let labels = route.labels.clone();
        let name = route_key(K::ROUTE, &key);
        let before = Self::store_mut(contents).set(key, route);
        let mut rollouts: BTreeSet<Key> = contents.index.rollouts_of_route(&name, &labels).cloned().collect();
        if let Some(before) = before {
            rollouts.extend(contents.index.rollouts_of_route(&name, &before.labels).cloned());
        }
        ChangeSet { rollouts, ..ChangeSet::default() }
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let mut changes = ChangeSet::default();
        if let Some(before) = Self::store_mut(contents).remove(key) {
            let name = route_key(K::ROUTE, key);
            changes.rollouts.extend(contents.index.rollouts_of_route(&name, &before.labels).cloned());
        }
        changes
    }

    fn rollouts_of_watch(contents: &Contents, scope: &Scope) -> BTreeSet<Key> {
        contents.rollouts_with_routes_in(K::ROUTE, scope)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_keeps_everything_but_managed_fields_of_which_it_names_the_foreign_managers() {
        let cached = route(Object::new(json!({
            "metadata": {
                "name": "shop", "generation": 4, "resourceVersion": "9", "labels": { "team": "x" },
                "managedFields": [
                    { "manager": "kulta", "time": "2026-01-01T00:00:02Z" }, { "manager": "argocd", "time": "2026-01-01T00:00:01Z" }
                ],
            },
            "spec": { "rules": [{ "ofTheFuture": true }] },
            "status": { "parents": [] },
        })));

        let route = cached.open();
        assert_eq!((route.generation, route.resource_version.as_str()), (4, "9"));
        assert_eq!(route.spec, json!({ "rules": [{ "ofTheFuture": true }] }));
        assert_eq!(route.foreign_managers, ["argocd"]);
        assert_eq!(route.written, "2026-01-01T00:00:02Z".parse().ok());
    }
}
