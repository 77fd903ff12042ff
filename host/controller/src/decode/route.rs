//! HTTPRoutes, raw.

use std::sync::Arc;

use kulta_core::observed::Route;
use serde_json::Value;

use super::texts;
use crate::kinds::MANAGER;
use crate::object::{Object, text, version};

#[derive(Clone, Debug)]
pub struct CachedRoute {
    pub version: u64,
    pub uid: String,
    pub route: Arc<Route>,
}

#[must_use]
pub fn route(mut object: Object) -> CachedRoute {
    let writers = object.trim();
    let written = writers.iter().filter_map(|writer| writer.at).max();
    let foreign = writers.into_iter().map(|writer| writer.manager).filter(|manager| manager != MANAGER);
    let foreign_managers = foreign.collect();
    let mut json = object.json;
    let spec = json.get_mut("spec").map(Value::take).unwrap_or_default();
    let status = json.get_mut("status").map(Value::take).unwrap_or_default();
    let metadata = json.get("metadata").unwrap_or(&Value::Null);
    let resource_version = text(metadata, "resourceVersion").to_owned();
    CachedRoute {
        version: version(&resource_version),
        uid: text(metadata, "uid").to_owned(),
        route: Arc::new(Route {
            generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
            resource_version,
            labels: texts(&json, "/metadata/labels"),
            spec,
            status,
            foreign_managers,
            written,
            last_write: None,
            refused: None,
        }),
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

        let route = &cached.route;
        assert_eq!((route.generation, route.resource_version.as_str()), (4, "9"));
        assert_eq!(route.spec, json!({ "rules": [{ "ofTheFuture": true }] }));
        assert_eq!(route.foreign_managers, ["argocd"]);
        assert_eq!(route.written, "2026-01-01T00:00:02Z".parse().ok());
    }
}
