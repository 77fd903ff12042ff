//! The wavefront analyzer: the measurement's value is what Wavefront answers to one query.
//!
//! Configuration: `provider.wavefront` as in Argo Rollouts. Value: of each time series the point that is closest to the measurement; a
//! number for one series, otherwise a list. Metadata: `timestamps` and `drift` of these points in seconds, and the server's `warnings`. It
//! has no state.

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
    /// Host name of the server, and key of its token in the Secret `wavefront-api-tokens`.
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub query: String,
}

pub struct Wavefront;

impl Analyzer for Wavefront {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what a Wavefront query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Wavefront);
