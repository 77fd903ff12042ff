//! The influxdb analyzer: the measurement's value is what InfluxDB answers to one Flux query.
//!
//! Configuration: `provider.influxdb` as in Argo Rollouts. Value: the list of the `_value` of all rows. It has no state.

mod csv;
mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod server;

pub use policy::analyze;

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::{About, Analyzer, Error};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The Secret with `address`, `authToken` and `org`. Default: `influxdb`.
    #[serde(default)]
    pub profile: String,
    /// Flux.
    #[serde(default)]
    pub query: String,
}

pub struct Influxdb;

impl Analyzer for Influxdb {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what an InfluxDB query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Influxdb);
