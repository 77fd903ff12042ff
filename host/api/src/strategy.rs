//! `spec.strategy` (`reference/argo-rollouts.md` sections 1.2 to 1.4) and KULTA's third strategy, `plugin`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::analysis::RolloutAnalysis;
use crate::blue_green::BlueGreenStrategy;
use crate::gateway::GATEWAY_PLUGIN;
use crate::rollout::unsigned;
use crate::template::Opaque;

pub use crate::step::{CanaryStep, Pause, SetCanaryScale};

/// Sum of a route's weights; default of `maxTrafficWeight`.
pub const DEFAULT_MAX_WEIGHT: u32 = 100;
/// Seconds after a promotion until the old ReplicaSet is scaled down.
pub const DEFAULT_SCALE_DOWN_DELAY_SECONDS: u32 = 30;
/// Seconds after an abort until the canary's ReplicaSet is scaled down.
pub const DEFAULT_ABORT_SCALE_DOWN_DELAY_SECONDS: u32 = 30;

/// Exactly one of the three is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStrategy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStrategy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenStrategy>,
    /// A strategy in which a plugin decides: KULTA's addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginStrategy>,
}

impl RolloutStrategy {
    /// Fields that canary and plugin strategies share.
    #[must_use]
    pub fn fields(&self) -> Option<&CanaryFields> {
        match (&self.canary, &self.plugin) {
            (Some(canary), _) => Some(&canary.fields),
            (None, Some(plugin)) => Some(&plugin.fields),
            (None, None) => None,
        }
    }

    /// The fields of any strategy: those of blue-green as [`BlueGreenStrategy::as_fields`] maps them.
    #[must_use]
    pub fn any_fields(&self) -> Option<Cow<'_, CanaryFields>> {
        let blue_green = || self.blue_green.as_ref().map(|blue_green| Cow::Owned(blue_green.as_fields()));
        self.fields().map(Cow::Borrowed).or_else(blue_green)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStrategy {
    #[serde(flatten)]
    pub fields: CanaryFields,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<CanaryStep>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginStrategy {
    /// The plugin that decides.
    #[serde(default)]
    pub name: String,
    /// The plugin's configuration; validated against its JSON Schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Opaque>,
    /// Not supported in this strategy: stored to be named in the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Opaque>,
    #[serde(flatten)]
    pub fields: CanaryFields,
}

/// Every canary field but `steps`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_routing: Option<TrafficRouting>,
    /// Analysis in the background of the whole update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<RolloutAnalysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<AntiAffinity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_metadata: Option<PodMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_metadata: Option<PodMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_revision_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_scale_down_delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_stable_scale: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_pong: Option<PingPong>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pods_per_replica_set: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_progress_threshold: Option<ReplicaProgressThreshold>,
}

impl CanaryFields {
    /// Sum of a route's weights.
    #[must_use]
    pub fn max_weight(&self) -> u32 {
        self.traffic_routing
            .as_ref()
            .and_then(|routing| routing.max_traffic_weight)
            .map_or(DEFAULT_MAX_WEIGHT, unsigned)
    }

    #[must_use]
    pub fn dynamic_stable_scale(&self) -> bool {
        self.dynamic_stable_scale.unwrap_or(false)
    }

    /// Minimum of pods for any ReplicaSet that has pods; default 0.
    #[must_use]
    pub fn min_pods_per_replica_set(&self) -> u32 {
        unsigned(self.min_pods_per_replica_set.unwrap_or(0))
    }

    #[must_use]
    pub fn scale_down_delay_seconds(&self) -> u32 {
        self.scale_down_delay_seconds.map_or(DEFAULT_SCALE_DOWN_DELAY_SECONDS, unsigned)
    }

    /// Absent: the default; `Some(0)` set by the user: the canary is never scaled down.
    #[must_use]
    pub fn abort_scale_down_delay_seconds(&self) -> Option<u32> {
        match self.abort_scale_down_delay_seconds {
            None => Some(DEFAULT_ABORT_SCALE_DOWN_DELAY_SECONDS),
            Some(0) => None,
            Some(seconds) => Some(unsigned(seconds)),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodMetadata {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AntiAffinity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_during_scheduling_ignored_during_execution: Option<PreferredAntiAffinity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<RequiredAntiAffinity>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredAntiAffinity {
    /// 1 to 100.
    #[serde(default)]
    pub weight: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequiredAntiAffinity {}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaProgressThreshold {
    /// `Percent` or `Pods`.
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub value: i32,
}

/// `trafficRouting` (section 1.3). Only Gateway API routes are supported; the other fields are stored to be named in an
/// error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRouting {
    /// Plugin name → its configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, Opaque>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_routes: Vec<ManagedRoute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_traffic_weight: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambassador: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apisix: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_mesh: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smi: Option<Opaque>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traefik: Option<Opaque>,
}

impl TrafficRouting {
    /// Whether a router is named, served by this build or not. Without one nothing shifts traffic.
    #[must_use]
    pub fn has_router(&self) -> bool {
        let meshes = [&self.alb, &self.ambassador, &self.apisix, &self.app_mesh, &self.istio, &self.nginx, &self.smi];
        !self.plugins.is_empty() || meshes.into_iter().chain([&self.traefik]).any(Option::is_some)
    }

    /// The Gateway API configuration, not decoded.
    #[must_use]
    pub fn gateway(&self) -> Option<&Value> {
        self.plugins.get(GATEWAY_PLUGIN).map(|config| &config.0)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ManagedRoute {
    pub name: String,
}

/// Two services that swap the roles of stable and canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PingPong {
    pub ping_service: String,
    pub pong_service: String,
}
