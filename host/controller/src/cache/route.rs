//! HTTPRoutes, raw.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kulta_core::observed::Route;
use serde_json::Value;

use super::kind::stored_in;
use super::raw_json::RawJson;
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

pub struct HttpRoutes;

impl CachedKind for HttpRoutes {
    const KIND: Kind = Kind::HttpRoute;
    const OPTIONAL: bool = true;
    const SELECTION: Selection = Selection::All;

    stored_in!(routes, CachedRoute);

    fn decode(object: Object) -> CachedRoute {
        route(object)
    }

    fn set(contents: &mut Contents, key: Key, route: CachedRoute) -> ChangeSet {
        let labels = route.labels.clone();
        let before = contents.routes.set(key.clone(), route);
        let mut rollouts: BTreeSet<Key> = contents.index.rollouts_of_route(&key, &labels).cloned().collect();
        if let Some(before) = before {
            rollouts.extend(contents.index.rollouts_of_route(&key, &before.labels).cloned());
        }
        ChangeSet { rollouts, ..ChangeSet::default() }
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let mut changes = ChangeSet::default();
        if let Some(before) = contents.routes.remove(key) {
            changes.rollouts.extend(contents.index.rollouts_of_route(key, &before.labels).cloned());
        }
        changes
    }

    fn rollouts_of_watch(contents: &Contents, scope: &Scope) -> BTreeSet<Key> {
        contents.rollouts_with_routes_in(scope)
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
