//! `trafficRouting.plugins["argoproj-labs/gatewayAPI"]` (`reference/argo-rollouts.md` section 3, "Config").

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use crate::annotations::{IN_PROGRESS_LABEL, IN_PROGRESS_VALUE};

/// The key under `plugins` that Argo's users already have in their manifests.
pub const GATEWAY_PLUGIN: &str = "argoproj-labs/gatewayAPI";

/// The known fields of the plugin's configuration. The CRD has no schema for it, so only validation finds typos.
pub const SERVED_KEYS: [&str; 7] = [
    "httpRoute",
    "httpRoutes",
    "httpRouteSelector",
    "namespace",
    "disableInProgressLabel",
    "inProgressLabelKey",
    "inProgressLabelValue",
];
/// Kinds of routes that Argo's plugin supports and this build does not.
pub const LATER_KEYS: [&str; 9] = [
    "grpcRoute",
    "grpcRoutes",
    "grpcRouteSelector",
    "tcpRoute",
    "tcpRoutes",
    "tcpRouteSelector",
    "tlsRoute",
    "tlsRoutes",
    "tlsRouteSelector",
];
/// The known fields of an entry of `httpRoutes`.
pub const ROUTE_KEYS: [&str; 2] = ["name", "useHeaderRoutes"];

/// The API group of routes.
pub const GATEWAY_API_GROUP: &str = "gateway.networking.k8s.io";

/// A kind of route in [`GATEWAY_API_GROUP`] that this build serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    Http,
}

impl RouteKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
        }
    }

    /// The served version that this build reads and writes.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Http => "v1",
        }
    }

    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Http => "httproutes",
        }
    }
}

/// One route in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    pub kind: RouteKind,
    pub namespace: String,
    pub name: String,
}

impl RouteKey {
    #[must_use]
    pub fn new(kind: RouteKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The route as messages name it: with its namespace if that is not the rollout's.
    #[must_use]
    pub fn shown(&self, own_namespace: &str) -> String {
        if self.namespace == own_namespace {
            format!("{} {:?}", self.kind.as_str(), self.name)
        } else {
            format!("{} {:?}", self.kind.as_str(), format!("{}/{}", self.namespace, self.name))
        }
    }
}

/// The routes of one kind that have a label, in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSelection<'a> {
    pub kind: RouteKind,
    pub namespace: &'a str,
    pub selector: &'a LabelSelector,
}

/// The routes with this rollout's traffic.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRouting {
    pub http_route: Option<String>,
    #[serde(default, deserialize_with = "null_is_none")]
    pub http_routes: Vec<RouteRef>,
    pub http_route_selector: Option<LabelSelector>,
    /// Namespace of the routes; default: the rollout's namespace.
    pub namespace: Option<String>,
    pub disable_in_progress_label: Option<bool>,
    pub in_progress_label_key: Option<String>,
    pub in_progress_label_value: Option<String>,
}

/// Without a schema the API server does not drop nulls, and Argo's plugin treats one as an empty list.
fn null_is_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<RouteRef>, D::Error> {
    Ok(Option::<Vec<RouteRef>>::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    #[serde(default)]
    pub name: String,
    /// The rules of header and mirror routes are made on this route.
    pub use_header_routes: Option<bool>,
}

impl GatewayRouting {
    /// # Errors
    /// If `config` does not have the documented fields.
    pub fn parse(config: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(config)
    }

    /// The routes that are named individually, without duplicates, in the order written. `own_namespace` is the rollout's.
    #[must_use]
    pub fn named(&self, own_namespace: &str) -> Vec<RouteKey> {
        let namespace = self.namespace(own_namespace);
        let mut keys: Vec<RouteKey> = Vec::new();
        for name in self.http_route.iter().chain(self.http_routes.iter().map(|route| &route.name)) {
            let key = RouteKey::new(RouteKind::Http, namespace, name);
            if !name.is_empty() && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether the rules of header and mirror routes are made on this route. As in Argo's plugin: on `httpRoute`, and on those of
    /// `httpRoutes` that say so.
    #[must_use]
    pub fn takes_header_routes(&self, route: &RouteKey) -> bool {
        let asked = self.http_routes.iter().filter(|one| one.use_header_routes.unwrap_or(false)).map(|one| &one.name);
        route.kind == RouteKind::Http && self.http_route.iter().chain(asked).any(|name| *name == route.name)
    }

    /// Whether there is a route for the rules of header and mirror routes.
    #[must_use]
    pub fn takes_any_header_routes(&self) -> bool {
        let named = self.http_route.as_ref().is_some_and(|name| !name.is_empty());
        named || self.http_routes.iter().any(|route| route.use_header_routes.unwrap_or(false))
    }

    /// The routes that are selected by labels. `own_namespace` is the rollout's.
    pub fn selected<'a>(&'a self, own_namespace: &'a str) -> impl Iterator<Item = RouteSelection<'a>> {
        let namespace = self.namespace(own_namespace);
        let selectors = self.http_route_selector.iter().map(|selector| (RouteKind::Http, selector));
        selectors.map(move |(kind, selector)| RouteSelection { kind, namespace, selector })
    }

    fn namespace<'a>(&'a self, own_namespace: &'a str) -> &'a str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own_namespace)
    }

    /// The label on a route while the canary has traffic; `None` if it is disabled.
    #[must_use]
    pub fn in_progress_label(&self) -> Option<(&str, &str)> {
        if self.disable_in_progress_label.unwrap_or(false) {
            return None;
        }
        Some((
            self.in_progress_label_key.as_deref().filter(|key| !key.is_empty()).unwrap_or(IN_PROGRESS_LABEL),
            self.in_progress_label_value.as_deref().filter(|value| !value.is_empty()).unwrap_or(IN_PROGRESS_VALUE),
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: &str, name: &str) -> RouteKey {
        RouteKey::new(RouteKind::Http, namespace, name)
    }

    #[test]
    fn a_route_that_is_named_twice_is_one_route() {
        let routing =
            GatewayRouting::parse(&json!({ "httpRoute": "a", "httpRoutes": [{ "name": "b" }, { "name": "a" }] }));

        assert_eq!(routing.unwrap().named("shop"), [key("shop", "a"), key("shop", "b")]);
    }

    #[test]
    fn routes_are_in_the_configured_namespace() {
        let routing =
            GatewayRouting::parse(&json!({ "namespace": "edge", "httpRoute": "a", "httpRouteSelector": {} })).unwrap();

        assert_eq!(routing.named("shop"), [key("edge", "a")]);
        assert_eq!(routing.selected("shop").map(|selection| selection.namespace).collect::<Vec<_>>(), ["edge"]);
    }

    #[test]
    fn a_message_names_the_namespace_of_a_route_elsewhere() {
        assert_eq!(key("edge", "web").shown("shop"), "HTTPRoute \"edge/web\"");
        assert_eq!(key("shop", "web").shown("shop"), "HTTPRoute \"web\"");
    }
}
