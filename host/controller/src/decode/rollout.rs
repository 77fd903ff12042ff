//! Rollouts, and what they refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::core::Selector;
use kulta_api::{FieldError, GatewayRouting, Rollout, RolloutPhase};
use kulta_core::analysis::{TemplateRef, Templates};
use serde_json::Value;

use super::plugin::{PluginName, PluginPin, pins_of_rollout, plugins_of_rollout};
use crate::key::Key;
use crate::object::{Object, text, version};
use crate::packed::Packed;

#[derive(Clone, Debug)]
pub struct CachedRollout {
    pub uid: String,
    pub version: u64,
    /// Of two that are in each other's way the older one stays.
    pub created: Timestamp,
    /// What it refers to is known.
    pub decodable: bool,
    /// As its status tells; an undecodable one is degraded.
    pub phase: Option<RolloutPhase>,
    pub references: References,
    /// The components that its revision in progress began with.
    pub pins: BTreeSet<PluginPin>,
    unknown_fields: Arc<[FieldError]>,
    object: Packed,
}

#[derive(Debug)]
pub enum Decoded {
    Rollout {
        rollout: Box<Rollout>,
        /// Fields of `spec` that the API does not have.
        unknown_fields: Arc<[FieldError]>,
    },
    /// As it is, so that it can be told what is wrong with it.
    Undecodable { object: Value, error: FieldError },
}

/// The other objects that a rollout's spec is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    pub services: BTreeSet<String>,
    pub routes: RouteReferences,
    pub selector: Option<Selector>,
    pub template_labels: BTreeMap<String, String>,
    /// AnalysisTemplates that it names itself; they may name further ones.
    pub analyses: BTreeSet<TemplateRef>,
    /// The plugins that lead its revisions.
    pub plugins: BTreeSet<PluginName>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteReferences {
    /// Named one by one.
    pub named: Vec<Key>,
    /// Selected by labels, in a namespace.
    pub selected: Option<(String, Selector)>,
}

impl RouteReferences {
    /// Namespaces in which routes are looked for.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        let named = self.named.iter().map(|key| key.namespace.as_str());
        named.chain(self.selected.iter().map(|(namespace, _)| namespace.as_str()))
    }
}

#[must_use]
pub fn rollout(mut object: Object) -> CachedRollout {
    object.trim();
    let key = object.key();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let uid = text(metadata, "uid").to_owned();
    let version = version(text(metadata, "resourceVersion"));
    let created = text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let packed = Packed::of(&object.json);
    let decoded: Option<Rollout> = packed.read().ok();
    CachedRollout {
        uid,
        version,
        created,
        decodable: decoded.is_some(),
        phase: match &decoded {
            Some(rollout) => rollout.status.as_ref().and_then(|status| status.phase),
            None => Some(RolloutPhase::Degraded),
        },
        pins: decoded.as_ref().map(pins_of_rollout).unwrap_or_default(),
        references: decoded.map(|rollout| references(&key.namespace, &rollout)).unwrap_or_default(),
        unknown_fields: kulta_api::unknown_fields(&object.json).into(),
        object: packed,
    }
}

impl CachedRollout {
    #[must_use]
    pub fn open(&self) -> Decoded {
        let of = |rollout| Decoded::Rollout { rollout, unknown_fields: Arc::clone(&self.unknown_fields) };
        if let Ok(rollout) = self.object.read() {
            return of(Box::new(rollout));
        }
        // Once more, for the field that cannot be read.
        let object = self.object.open();
        match kulta_api::decode(&object) {
            Ok(rollout) => of(Box::new(rollout)),
            Err(error) => Decoded::Undecodable { object, error },
        }
    }
}

/// A part that cannot be read refers to nothing; validation tells the user.
fn references(namespace: &str, rollout: &Rollout) -> References {
    let spec = &rollout.spec;
    let fields = spec.strategy.fields();
    let services = fields
        .into_iter()
        .flat_map(|fields| fields.canary_service.iter().chain(&fields.stable_service))
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    let routes = fields
        .and_then(|fields| fields.traffic_routing.as_ref()?.gateway())
        .and_then(|config| GatewayRouting::parse(config).ok())
        .map(|routing| route_references(namespace, &routing))
        .unwrap_or_default();
    References {
        services,
        routes,
        selector: spec.selector.clone().and_then(|selector| Selector::try_from(selector).ok()),
        template_labels: spec.template.labels(),
        analyses: kulta_core::reference::templates(rollout, &Templates::new()),
        plugins: plugins_of_rollout(rollout),
    }
}

fn route_references(namespace: &str, routing: &GatewayRouting) -> RouteReferences {
    let namespace = routing.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(namespace);
    RouteReferences {
        named: routing.http_route_names().into_iter().map(|name| Key::new(namespace, name)).collect(),
        selected: routing
            .http_route_selector
            .clone()
            .and_then(|selector| Selector::try_from(selector).ok())
            .map(|selector| (namespace.to_owned(), selector)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cached(strategy: &Value) -> CachedRollout {
        rollout(Object::new(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": { "name": "shop", "namespace": "ns", "uid": "u", "resourceVersion": "5" },
            "spec": { "selector": { "matchLabels": { "app": "shop" } }, "strategy": strategy },
        })))
    }

    #[test]
    fn a_rollout_refers_to_its_services_and_routes() {
        let cached = cached(&json!({ "canary": {
            "canaryService": "shop-canary", "stableService": "shop",
            "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": {
                "namespace": "edge", "httpRoute": "one", "httpRoutes": [{ "name": "two" }],
                "httpRouteSelector": { "matchLabels": { "team": "x" } },
            } } },
        } }));

        let references = &cached.references;
        assert_eq!(references.services.iter().collect::<Vec<_>>(), ["shop", "shop-canary"]);
        assert_eq!(references.routes.named, [Key::new("edge", "one"), Key::new("edge", "two")]);
        assert_eq!(references.routes.namespaces().collect::<Vec<_>>(), ["edge", "edge", "edge"]);
    }

    #[test]
    fn an_undecodable_rollout_is_kept_with_its_error() {
        let cached = cached(&json!({ "canary": { "steps": 5 } }));

        let Decoded::Undecodable { object, error } = cached.open() else { panic!("decoded") };
        assert_eq!((cached.uid.as_str(), cached.version), ("u", 5));
        assert!(error.path.starts_with("spec.strategy.canary"), "{error}");
        assert_eq!(object["spec"]["strategy"]["canary"]["steps"], 5);
    }

    #[test]
    fn a_gateway_configuration_that_cannot_be_read_refers_to_nothing() {
        let cached =
            cached(&json!({ "canary": { "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": 5 } } } }));

        assert_eq!(cached.references.routes, RouteReferences::default());
    }
}
