//! The graphite analyzer: the measurement's value is the series that Graphite renders.
//!
//! Configuration: `provider.graphite` as in Argo Rollouts. Value: the list of the first series' numbers, without its nulls. It has no
//! state.

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
    /// URL of the server.
    #[serde(default)]
    pub address: String,
    /// Parameters of the render API: `target=…&from=-5min`.
    #[serde(default)]
    pub query: String,
}

pub struct Graphite;

impl Analyzer for Graphite {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what a Graphite query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Graphite);
