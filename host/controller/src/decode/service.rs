//! Services, of which only the selector matters.

use std::sync::Arc;

use kulta_api::annotations::MANAGED_BY;
use kulta_core::observed::Service;
use serde_json::Value;

use super::texts;
use crate::object::{Object, text, version};

#[derive(Clone, Debug)]
pub struct CachedService {
    pub version: u64,
    pub service: Arc<Service>,
}

#[must_use]
pub fn service(object: &Object) -> CachedService {
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
