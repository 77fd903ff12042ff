//! The skywalking analyzer: the measurement's value is what Apache SkyWalking answers to one GraphQL query.
//!
//! Configuration: `provider.skywalking` as in Argo Rollouts. The query gets the variable `$duration`. Value: the answer's data. It has no
//! state.

mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod server;
mod time;

pub use policy::analyze;

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::{About, Analyzer, Duration, Error};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// URL of the server, without `/graphql`.
    #[serde(default)]
    pub address: String,
    /// GraphQL.
    #[serde(default)]
    pub query: String,
    /// How far the query looks back. Default: 5m.
    pub interval: Option<Duration>,
}

pub struct Skywalking;

impl Analyzer for Skywalking {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what a SkyWalking query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Skywalking);
