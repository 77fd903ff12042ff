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
    /// Header routes are not supported yet; the flag alone has no effect.
    pub use_header_routes: Option<bool>,
}

impl GatewayRouting {
    /// # Errors
    /// If `config` does not have the documented fields.
    pub fn parse(config: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(config)
    }

    /// The HTTPRoutes that are named individually, without duplicates, in the order written.
    #[must_use]
    pub fn http_route_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.http_route.iter().chain(self.http_routes.iter().map(|route| &route.name)) {
            if !name.is_empty() && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
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
