//! From the API server's JSON to what the caches keep: once, at the door.

mod analysis;
mod plugin;
mod replica_set;
mod rollout;
mod route;
mod service;

pub use analysis::{CachedRun, CachedTemplate, analysis_run, run_pins, template};
pub use plugin::{
    CachedPlugin, PluginName, PluginPin, pins_of_rollout, plugin, plugins_of_rollout, plugins_of_template,
};
pub use replica_set::{CachedReplicaSet, replica_set};
pub use rollout::{CachedRollout, Decoded, References, RouteReferences, rollout};
pub use route::{CachedRoute, route};
pub use service::{CachedService, service};

use std::collections::BTreeMap;

use serde_json::Value;

/// The texts of a map such as `metadata.labels`.
pub(crate) fn texts(json: &Value, pointer: &str) -> BTreeMap<String, String> {
    json.pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}
