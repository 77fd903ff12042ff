//! Services, of which only the selector matters.

use std::collections::BTreeSet;
use std::sync::Arc;

use kulta_api::annotations::MANAGED_BY;
use kulta_core::observed::Service;
use serde_json::Value;

use super::kind::stored_in;
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text, texts, version};

#[derive(Clone, Debug)]
pub struct CachedService {
    pub version: u64,
    pub service: Arc<Service>,
}

fn service(object: &Object) -> CachedService {
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let resource_version = text(metadata, "resourceVersion").to_owned();
    CachedService {
        version: version(&resource_version),
        service: Arc::new(Service {
            name: text(metadata, "name").to_owned(),
            resource_version,
            selector: texts(&object.json, "/spec/selector"),
            managed_by: metadata
                .get("annotations")
                .map(|all| text(all, MANAGED_BY).to_owned())
                .filter(|by| !by.is_empty()),
        }),
    }
}

pub struct Services;

impl CachedKind for Services {
    const KIND: Kind = Kind::Service;
    const OPTIONAL: bool = false;
    const SELECTION: Selection = Selection::All;

    stored_in!(services, CachedService);

    fn decode(object: Object) -> CachedService {
        service(&object)
    }

    fn set(contents: &mut Contents, key: Key, service: CachedService) -> ChangeSet {
        let same = contents.services.get(&key).is_some_and(|before| before.version == service.version);
        contents.services.set(key.clone(), service);
        if same {
            return ChangeSet::default();
        }
        let rollouts = contents.index.rollouts_of_service(&key).cloned().collect();
        let orphans = contents.orphan(&key).is_some().then_some(key).into_iter().collect();
        ChangeSet { rollouts, orphans, ..ChangeSet::default() }
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        contents.services.remove(key);
        ChangeSet { rollouts: contents.index.rollouts_of_service(key).cloned().collect(), ..ChangeSet::default() }
    }

    fn rollouts_of_watch(_: &Contents, _: &Scope) -> BTreeSet<Key> {
        BTreeSet::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_trimmed_to_its_selector() {
        let cached = service(&Object::new(json!({
            "metadata": { "name": "shop", "resourceVersion": "7", "annotations": { "argo-rollouts.argoproj.io/managed-by-rollouts": "shop" } },
            "spec": { "selector": { "app": "shop" }, "ports": [{ "port": 80 }] },
        })));

        assert_eq!(cached.version, 7);
        assert_eq!(cached.service.selector, [("app".to_owned(), "shop".to_owned())].into());
        assert_eq!(cached.service.managed_by.as_deref(), Some("shop"));
    }
}
