//! The objects that a rollout refers to.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::Selector;
use kulta_api::{GatewayRouting, Rollout};
use kulta_core::analysis::{TemplateRef, Templates};
use kulta_core::observed::OtherRollout;

use super::plugin_references::{PluginName, plugins_of_rollout};
use crate::key::Key;

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
    /// What the rollout writes on them, as other rollouts of the same routes have to know it.
    pub user: Option<OtherRollout>,
}

impl RouteReferences {
    /// Namespaces of these routes.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        let named = self.named.iter().map(|key| key.namespace.as_str());
        named.chain(self.selected.iter().map(|(namespace, _)| namespace.as_str()))
    }
}

/// A part that cannot be decoded refers to nothing; validation reports it.
#[must_use]
pub fn references(namespace: &str, rollout: &Rollout) -> References {
    let spec = &rollout.spec;
    let fields = spec.strategy.fields();
    let services = fields
        .into_iter()
        .flat_map(|fields| fields.canary_service.iter().chain(&fields.stable_service))
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    let routes = fields
        .and_then(|fields| {
            let routing = GatewayRouting::parse(fields.traffic_routing.as_ref()?.gateway()?).ok()?;
            let services = fields.canary_service.clone().zip(fields.stable_service.clone());
            let user = services.map(|(canary, stable)| OtherRollout {
                namespace: namespace.to_owned(),
                canary,
                stable,
                label: routing.in_progress_label().map(|(key, value)| (key.to_owned(), value.to_owned())),
            });
            Some(RouteReferences { user, ..route_references(namespace, &routing) })
        })
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
        user: None,
    }
}
