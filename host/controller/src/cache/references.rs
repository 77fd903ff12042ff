//! The objects that a rollout refers to.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Selector, SelectorExt};
use kulta_api::gateway::RouteSelection;
use kulta_api::{GatewayRouting, Rollout, RouteKey, RouteKind};
use kulta_core::analysis::{TemplateRef, Templates};
use kulta_core::observed::OtherRollout;

use super::plugin_references::{PluginName, plugins_of_rollout};

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
    pub named: Vec<RouteKey>,
    /// Selected by labels.
    pub selected: Vec<SelectedRoutes>,
    /// What the rollout writes on them, as other rollouts of the same routes have to know it.
    pub user: Option<OtherRollout>,
}

/// The routes of one kind that have a label, in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedRoutes {
    pub kind: RouteKind,
    pub namespace: String,
    selector: Selector,
}

impl SelectedRoutes {
    /// `None` if the selector is malformed; validation reports that.
    fn new(selection: &RouteSelection<'_>) -> Option<Self> {
        let selector = Selector::try_from(selection.selector.clone()).ok()?;
        Some(Self { kind: selection.kind, namespace: selection.namespace.to_owned(), selector })
    }

    #[must_use]
    pub fn matches(&self, route: &RouteKey, labels: &BTreeMap<String, String>) -> bool {
        self.kind == route.kind && self.namespace == route.namespace && self.selector.matches(labels)
    }
}

impl RouteReferences {
    /// Kinds and namespaces of these routes.
    pub fn places(&self) -> impl Iterator<Item = (RouteKind, &str)> {
        let named = self.named.iter().map(|route| (route.kind, route.namespace.as_str()));
        named.chain(self.selected.iter().map(|routes| (routes.kind, routes.namespace.as_str())))
    }
}

/// A part that cannot be decoded refers to nothing; validation reports it.
#[must_use]
pub fn references(namespace: &str, rollout: &Rollout) -> References {
    let spec = &rollout.spec;
    let fields = spec.strategy.fields();
    let services = spec
        .strategy
        .any_fields()
        .into_iter()
        .flat_map(|fields| [fields.canary_service.clone(), fields.stable_service.clone()])
        .flatten()
        .filter(|name| !name.is_empty())
        .collect();
    let routes = fields
        .and_then(|fields| {
            let routing = GatewayRouting::parse(fields.traffic_routing.as_ref()?.gateway()?).ok()?;
            let services = fields.canary_service.clone().zip(fields.stable_service.clone());
            let managed = fields.traffic_routing.iter().flat_map(|routing| &routing.managed_routes);
            let user = services.map(|(canary, stable)| OtherRollout {
                name: rollout.metadata.name.clone().unwrap_or_default(),
                managed: managed.map(|managed| managed.name.clone()).collect(),
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
    RouteReferences {
        named: routing.named(namespace),
        selected: routing.selected(namespace).filter_map(|selection| SelectedRoutes::new(&selection)).collect(),
        user: None,
    }
}
