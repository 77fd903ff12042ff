//! `trafficRouting.plugins["argoproj-labs/gatewayAPI"]` (`reference/argo-rollouts.md` section 3, "Config").

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use crate::annotations::{IN_PROGRESS_LABEL, IN_PROGRESS_VALUE};

/// The key under `plugins` that Argo's users already have in their manifests.
pub const GATEWAY_PLUGIN: &str = "argoproj-labs/gatewayAPI";

/// Which routes carry this rollout's traffic.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRouting {
    pub http_route: Option<String>,
    #[serde(default)]
    pub http_routes: Vec<RouteRef>,
    pub http_route_selector: Option<LabelSelector>,
    /// Where the routes are; the rollout's namespace when absent.
    pub namespace: Option<String>,
    pub disable_in_progress_label: Option<bool>,
    pub in_progress_label_key: Option<String>,
    pub in_progress_label_value: Option<String>,
    pub grpc_route: Option<Value>,
    pub tcp_route: Option<Value>,
    pub tls_route: Option<Value>,
    pub grpc_routes: Option<Value>,
    pub tcp_routes: Option<Value>,
    pub tls_routes: Option<Value>,
    pub grpc_route_selector: Option<Value>,
    pub tcp_route_selector: Option<Value>,
    pub tls_route_selector: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    pub name: String,
    /// Header routes come with a later version; the flag alone changes nothing.
    pub use_header_routes: Option<bool>,
}

impl GatewayRouting {
    /// # Errors
    /// When `config` is no object of the documented shape.
    pub fn parse(config: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(config)
    }

    /// The HTTPRoutes named one by one, each once, in the order written.
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

    /// The label put on a route while the canary takes traffic; `None` when switched off.
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
