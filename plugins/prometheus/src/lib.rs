//! The prometheus analyzer: the measurement's value is the answer to one query.
//!
//! Configuration: `provider.prometheus` as in Argo Rollouts. Value: a number for a scalar, an array of numbers for any
//! other result, without labels. Metadata: `ResolvedPrometheusQuery`, and the server's `warnings`. It has no state.

mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;
mod time;

pub use policy::analyze;

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::auth::{Authentication, Header};
use kulta_plugin::{About, Analyzer, Duration, Error};
use promql::Server;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// URL of the server. Default: the controller's.
    pub address: Option<String>,
    /// PromQL.
    pub query: String,
    /// Absent: an instant query.
    pub range_query: Option<RangeQuery>,
    /// In seconds; 0 or absent: 30.
    pub timeout: Option<u64>,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub headers: Vec<Header>,
    #[serde(default)]
    pub authentication: Authentication,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeQuery {
    /// An instant: `now()`, plus or minus durations: `now() - duration("1h")`.
    pub start: String,
    /// An instant as `start`.
    pub end: String,
    /// Time between two points.
    pub step: Duration,
}

impl Config {
    fn server(&self) -> Server<'_> {
        Server {
            address: self.address.as_deref(),
            timeout: self.timeout,
            insecure: self.insecure,
            headers: &self.headers,
            authentication: &self.authentication,
        }
    }
}

pub struct Prometheus;

impl Analyzer for Prometheus {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Measures what a Prometheus query answers",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Prometheus);
