//! The linear strategy: the weight rises by the same amount again and again.
//!
//! Configuration: `{"stepWeight": 10, "interval": "1m", "maxWeight": 50}`. Step n stands for the weight (n + 1) × stepWeight,
//! at most `maxWeight` (absent: the rollout's largest). A step is left once its weight is in place and `interval` has passed since
//! the step began; after the last one the revision is promoted. A person's promote skips the rest of the interval.

mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;

pub use policy::decide;

use kulta_plugin::{About, Decision, Duration, Error, Situation, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Kubernetes keeps weights in 32-bit signed integers.
const MAX_COUNT: u32 = i32::MAX as u32;

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// By how much the weight rises, in parts of the rollout's largest weight.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub step_weight: u32,
    /// How long each weight is kept.
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
