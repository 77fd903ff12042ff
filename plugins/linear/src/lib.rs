//! The linear strategy: raises the weight by equal steps.
//!
//! Configuration: `{"stepWeight": 10, "interval": "1m", "maxWeight": 50}`. Step n has the weight (n + 1) × stepWeight,
//! at most `maxWeight` (default: the rollout's maximum). A step ends once its weight is reached and `interval` has
//! passed since the step began; after the last one the revision is promoted. A user's promote skips the rest of the
//! interval.

mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;

pub use policy::decide;

use kulta_plugin::{About, Decision, Duration, Error, Situation, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Kubernetes stores weights in signed 32-bit integers.
const MAX_COUNT: u32 = i32::MAX as u32;

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Increment of the weight, in parts of the rollout's maximum weight.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub step_weight: u32,
    /// Duration of each weight.
    pub interval: Duration,
    /// The last weight before the promotion.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_weight: Option<u32>,
}

pub struct Linear;

impl Strategy for Linear {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Raises the new version's weight by a fixed amount at a fixed interval",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn decide(config: Config, situation: &Situation) -> Result<Decision, Error> {
        policy::decide(&config, situation)
    }
}

kulta_plugin::export!(strategy: Linear);
