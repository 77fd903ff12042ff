//! The canary strategy: the steps of an Argo Rollouts canary, one after the other.
//!
//! Configuration: `{"steps": […], "analysis": {…}}`, as in `spec.strategy.canary`. It has no state: the situation
//! contains the step, the pause, and the results of analyses and step plugins.
//!
//! `scale.follow-weight` for the stable side is an ordinary share. The host, not this policy, keeps a stable side
//! without dynamic scale at full size.

mod analysis;
#[cfg(test)]
mod analysis_tests;
mod config;
mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recorded;
mod routes;
mod step_plugin;
#[cfg(test)]
mod step_plugin_tests;

pub use config::{
    Analysis, Background, Config, Header, Match, Pause, Plugin, SetCanaryScale, SetHeaderRoute, SetMirrorRoute, Step,
    Text,
};
pub use policy::decide;

use kulta_plugin::{About, Decision, Error, Situation, Strategy};

pub struct Canary;

impl Strategy for Canary {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Raises the new version's weight by steps, with pauses, analyses and step plugins between them",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        config.check()
    }

    fn decide(config: Config, situation: &Situation) -> Result<Decision, Error> {
        policy::decide(&config, situation)
    }
}

kulta_plugin::export!(strategy: Canary);
