//! The newRelic analyzer: the measurement's value is what New Relic answers to one NRQL query.
//!
//! Configuration: `provider.newRelic` as in Argo Rollouts. Value: the row as an object, or a list of objects for several rows. It has no
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
    /// The Secret with `personal-api-key`, `account-id` and, if needed, `region` and `base-url-nerdgraph`. Default: `newrelic`.
    #[serde(default)]
    pub profile: String,
    /// NRQL.
    pub query: String,
    /// How many seconds New Relic may take for the query. Default: New Relic's.
    pub timeout: Option<u64>,
}

pub struct NewRelic;

impl Analyzer for NewRelic {
    const ABOUT: About = About {
        name: "newRelic",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what a New Relic query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: NewRelic);
