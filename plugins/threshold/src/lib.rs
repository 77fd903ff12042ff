//! The threshold analyzer: limits for error rate and latency over a window with enough requests.
//!
//! ```yaml
//! gateway: contour
//! service: shop-canary
//! errorRate: "< 1%"
//! latency: {p99: "< 300ms"}
//! window: 1m
//! ```
//!
//! It queries a Prometheus server for the requests of the window, the failed ones (5xx) and the percentiles, all at one
//! instant, and judges. Value: `{"requests": 412, "errorRate": 0.052, "latency": {"p99": 120}}`, latencies in
//! milliseconds; the metadata has the same as texts. With fewer than `minimum` requests, `noData` is the verdict. It
//! has no state.
//!
//! `errorRate: "< 1%"` judges the canary alone: an outage of both versions fails it too.

mod config;
mod judge;
mod limit;
mod policy;
#[cfg(test)]
mod policy_tests;
mod queries;
#[cfg(test)]
mod recorded;

pub use config::{Config, Gateway, LatencyUnit, NoData, Queries};
pub use policy::analyze;

use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::{About, Analyzer, Error};

pub struct Threshold;

impl Analyzer for Threshold {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Judges error rate and latency by limits in plain words",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
        policy::analyze(&config, input)
    }
}

kulta_plugin::export!(analyzer: Threshold);
