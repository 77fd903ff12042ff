//! `trafficRouting.plugins["argoproj-labs/gatewayAPI"]` (`reference/argo-rollouts.md` section 3, "Config").

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use crate::annotations::{IN_PROGRESS_LABEL, IN_PROGRESS_VALUE};

/// The key under `plugins` that Argo's users already have in their manifests.
pub const GATEWAY_PLUGIN: &str = "argoproj-labs/gatewayAPI";

/// The known fields of the plugin's configuration that name no routes. The CRD has no schema for it, so only validation finds typos.
const OTHER_KEYS: [&str; 4] = ["namespace", "disableInProgressLabel", "inProgressLabelKey", "inProgressLabelValue"];
/// The known fields of an entry of `httpRoutes` and its like.
pub const ROUTE_KEYS: [&str; 2] = ["name", "useHeaderRoutes"];

/// The API group of routes.
pub const GATEWAY_API_GROUP: &str = "gateway.networking.k8s.io";

/// A kind of route in [`GATEWAY_API_GROUP`] that this build serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    Http,
    Grpc,
    Tcp,
    Tls,
}

impl RouteKind {
    pub const ALL: [Self; 4] = [Self::Http, Self::Grpc, Self::Tcp, Self::Tls];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tcp => "TCPRoute",
            Self::Tls => "TLSRoute",
        }
    }

    /// The version that this build uses if the cluster serves it.
    pub const PREFERRED_VERSION: &'static str = "v1";

    /// Versions for clusters that do not serve the preferred one, the newest first. The fields that this build reads and writes are the
    /// same in all versions.
    #[must_use]
    pub const fn older_versions(self) -> &'static [&'static str] {
        match self {
            Self::Http => &[],
            Self::Grpc | Self::Tcp => &["v1alpha2"],
            Self::Tls => &["v1alpha3", "v1alpha2"],
        }
    }

    /// All versions that this build can use, the preferred one first.
    pub fn versions(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(Self::PREFERRED_VERSION).chain(self.older_versions().iter().copied())
    }

    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Http => "httproutes",
            Self::Grpc => "grpcroutes",
            Self::Tcp => "tcproutes",
            Self::Tls => "tlsroutes",
        }
    }

    /// The fields of the configuration that name routes of this kind.
    #[must_use]
    pub const fn keys(self) -> RouteKeys {
        match self {
            Self::Http => RouteKeys { one: "httpRoute", list: "httpRoutes", selector: "httpRouteSelector" },
            Self::Grpc => RouteKeys { one: "grpcRoute", list: "grpcRoutes", selector: "grpcRouteSelector" },
            Self::Tcp => RouteKeys { one: "tcpRoute", list: "tcpRoutes", selector: "tcpRouteSelector" },
            Self::Tls => RouteKeys { one: "tlsRoute", list: "tlsRoutes", selector: "tlsRouteSelector" },
        }
    }

    /// Whether rules of this kind match headers and mirror requests.
    #[must_use]
    pub const fn matches_headers(self) -> bool {
        match self {
            Self::Http | Self::Grpc => true,
            Self::Tcp | Self::Tls => false,
        }
    }
}

/// The fields of the configuration that name routes of one kind.
#[derive(Clone, Copy, Debug)]
pub struct RouteKeys {
    pub one: &'static str,
    pub list: &'static str,
    pub selector: &'static str,
}

/// Whether the plugin's configuration has this field.
#[must_use]
pub fn is_known_key(key: &str) -> bool {
    let names_routes = |keys: RouteKeys| [keys.one, keys.list, keys.selector].contains(&key);
    OTHER_KEYS.contains(&key) || RouteKind::ALL.into_iter().map(RouteKind::keys).any(names_routes)
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
    http_route: Option<String>,
    #[serde(default, deserialize_with = "null_is_none")]
    http_routes: Vec<RouteRef>,
    http_route_selector: Option<LabelSelector>,
    grpc_route: Option<String>,
    #[serde(default, deserialize_with = "null_is_none")]
    grpc_routes: Vec<RouteRef>,
    grpc_route_selector: Option<LabelSelector>,
    tcp_route: Option<String>,
    #[serde(default, deserialize_with = "null_is_none")]
    tcp_routes: Vec<RouteRef>,
    tcp_route_selector: Option<LabelSelector>,
    tls_route: Option<String>,
    #[serde(default, deserialize_with = "null_is_none")]
    tls_routes: Vec<RouteRef>,
    tls_route_selector: Option<LabelSelector>,
    /// Namespace of the routes; default: the rollout's namespace.
    pub namespace: Option<String>,
    pub disable_in_progress_label: Option<bool>,
    pub in_progress_label_key: Option<String>,
    pub in_progress_label_value: Option<String>,
}

/// The routes of one kind, as the configuration names them.
#[derive(Clone, Copy, Debug)]
pub struct ConfiguredRoutes<'a> {
    pub kind: RouteKind,
    /// Absent or not empty.
    pub one: Option<&'a str>,
    pub list: &'a [RouteRef],
    pub selector: Option<&'a LabelSelector>,
}

impl<'a> ConfiguredRoutes<'a> {
    fn names(self) -> impl Iterator<Item = &'a str> {
        self.one.into_iter().chain(self.list.iter().map(|route| route.name.as_str()))
    }

    /// The routes that take the rules of header and mirror routes. As in Argo's plugin: the one, and those of the list that say so.
    fn header_routes(self) -> impl Iterator<Item = &'a str> {
        let asked = self.list.iter().filter(|route| route.use_header_routes.unwrap_or(false));
        let names = self.one.into_iter().chain(asked.map(|route| route.name.as_str()));
        names.filter(move |_| self.kind.matches_headers())
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.one.is_none() && self.list.is_empty() && self.selector.is_none()
    }
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

    /// The routes of each kind, in the order of [`RouteKind::ALL`].
    pub fn kinds(&self) -> impl Iterator<Item = ConfiguredRoutes<'_>> {
        RouteKind::ALL.into_iter().map(|kind| self.of(kind))
    }

    fn of(&self, kind: RouteKind) -> ConfiguredRoutes<'_> {
        let (one, list, selector) = match kind {
            RouteKind::Http => (&self.http_route, &self.http_routes, &self.http_route_selector),
            RouteKind::Grpc => (&self.grpc_route, &self.grpc_routes, &self.grpc_route_selector),
            RouteKind::Tcp => (&self.tcp_route, &self.tcp_routes, &self.tcp_route_selector),
            RouteKind::Tls => (&self.tls_route, &self.tls_routes, &self.tls_route_selector),
        };
        // Argo's plugin treats an empty name as absent.
        let one = one.as_deref().filter(|name| !name.is_empty());
        ConfiguredRoutes { kind, one, list, selector: selector.as_ref() }
    }

    /// The routes that are named individually, without duplicates: by kind, in the order written. `own_namespace` is the rollout's.
    #[must_use]
    pub fn named(&self, own_namespace: &str) -> Vec<RouteKey> {
        let namespace = self.namespace(own_namespace);
        let mut keys: Vec<RouteKey> = Vec::new();
        for routes in self.kinds() {
            for name in routes.names().filter(|name| !name.is_empty()) {
                let key = RouteKey::new(routes.kind, namespace, name);
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }

    /// Whether the rules of header and mirror routes are made on this route.
    #[must_use]
    pub fn takes_header_routes(&self, route: &RouteKey) -> bool {
        self.of(route.kind).header_routes().any(|name| name == route.name)
    }

    /// Whether there is a route for the rules of header and mirror routes.
    #[must_use]
    pub fn takes_any_header_routes(&self) -> bool {
        self.kinds().any(|routes| routes.header_routes().next().is_some())
    }

    /// The routes that are selected by labels. `own_namespace` is the rollout's.
    pub fn selected<'a>(&'a self, own_namespace: &'a str) -> impl Iterator<Item = RouteSelection<'a>> {
        let namespace = self.namespace(own_namespace);
        self.kinds()
            .filter_map(move |routes| Some(RouteSelection { kind: routes.kind, namespace, selector: routes.selector? }))
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
    fn routes_of_several_kinds_are_named_side_by_side() {
        let routing = GatewayRouting::parse(
            &json!({ "tlsRoute": "d", "grpcRoute": "a", "tcpRoutes": [{ "name": "c" }], "httpRoute": "a" }),
        );

        let kinds: Vec<_> = routing.unwrap().named("shop").into_iter().map(|key| (key.kind, key.name)).collect();
        let expected = [(RouteKind::Http, "a"), (RouteKind::Grpc, "a"), (RouteKind::Tcp, "c"), (RouteKind::Tls, "d")];
        assert_eq!(kinds, expected.map(|(kind, name)| (kind, name.to_owned())));
    }

    #[test]
    fn only_routes_that_match_headers_take_header_routes() {
        let taken = |config| GatewayRouting::parse(&config).unwrap().takes_any_header_routes();

        assert_eq!(
            [
                json!({ "grpcRoute": "a" }),
                json!({ "tcpRoute": "a", "tlsRoutes": [{ "name": "b", "useHeaderRoutes": true }] })
            ]
            .map(taken),
            [true, false]
        );
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
