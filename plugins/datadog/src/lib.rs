//! The datadog analyzer: the measurement's value is what Datadog answers to one query.
//!
//! Configuration: `provider.datadog` as in Argo Rollouts. Value: with `v1` the last point of the first series; with `v2` a number, or a
//! list of numbers for a query that groups by tags, with the metadata `groups`. Without data it is `null`, which `default(result, 0)`
//! replaces. It has no state.

mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;
mod scalar;
#[cfg(test)]
mod server;

pub use policy::analyze;

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::{About, Analyzer, Duration, Error};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    #[serde(default)]
    pub api_version: ApiVersion,
    /// Either this or `queries`; `v1` takes this alone.
    #[serde(default)]
    pub query: String,
    /// Queries by the names that `formula` uses.
    #[serde(default)]
    pub queries: BTreeMap<String, String>,
    /// Needed for more than one of `queries`.
    #[serde(default)]
    pub formula: String,
    /// How a query's points become one number; `v2` only. Default: last.
    pub aggregator: Option<Aggregator>,
    /// How far the query looks back. Default: 5m.
    pub interval: Option<Duration>,
    /// Default: 10s.
    pub request_timeout: Option<Duration>,
    /// The Secret with `api-key`, `app-key` and, if it is not Datadog's US site, `address`.
    #[serde(default)]
    pub secret_ref: SecretRef,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiVersion {
    #[default]
    V1,
    V2,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregator {
    Avg,
    Min,
    Max,
    Sum,
    #[default]
    Last,
    Percentile,
    Mean,
    L2norm,
    Area,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretRef {
    /// Default: `datadog`.
    pub name: String,
    /// In the namespace of the AnalysisRun instead of the controller's.
    pub namespaced: bool,
}

pub struct Datadog;

impl Analyzer for Datadog {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what a Datadog query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Datadog);
