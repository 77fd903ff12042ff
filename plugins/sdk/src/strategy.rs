//! Strategies: decide where a revision should be now, while it is rolled out or rolled back.

use crate::bindings::strategy::exports::kulta::plugin::strategy;
use crate::description::describe;
use crate::text::brief;
use crate::{About, Error, config};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

pub use strategy::{
    Decision, Failure, FailureKind, Goal, HeaderMatch, ManagedRoute, Mirror, Next, Pause, PauseCause, RouteKind,
    RouteMatch, Run, RunPhase, Scale, Share, Situation, TextMatch, Waiting, WantedRun,
};

/// A strategy plugin. Instants are Unix milliseconds, weights are parts of `situation.rollout.max_weight`.
pub trait Strategy {
    const ABOUT: About;

    /// The configuration, read from JSON. Its JSON Schema is published, and the host checks it before anything is called;
    /// `#[serde(deny_unknown_fields)]` makes a misspelt field an error.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks rules that a schema cannot express. Begin the message with the field's path (`steps[1]: …`).
    fn check_config(_config: &Self::Config) -> Result<(), Error> {
        Ok(())
    }

    /// Decides. Must be a pure function: the same arguments, the same answer. The host first calls with
    /// `situation.reached` false, applies the decision, and then calls with true.
    fn decide(config: Self::Config, situation: &Situation) -> Result<Decision, Error>;
}

impl Decision {
    /// A base for a decision, as in `..Decision::at(step, steps)`: no traffic to the canary, pods follow the weight,
    /// nothing else, and the host waits for pods.
    pub fn at(step: u32, steps: u32) -> Self {
        Self {
            step,
            steps,
            memory: Vec::new(),
            weight: 0,
            canary: Scale::FollowWeight,
            stable: Scale::FollowWeight,
            additional: Vec::new(),
            routes: Vec::new(),
            runs: Vec::new(),
            next: Next::Hold(Waiting::Pods),
            reason: String::new(),
            facts: Vec::new(),
        }
    }
}

/// A [`Strategy`] as the component's exports; [`export!`](crate::export) uses it.
pub struct Exported<T>(PhantomData<T>);

describe!(Strategy);

impl<T: Strategy> strategy::Guest for Exported<T> {
    fn decide(config: String, situation: Situation) -> Result<Decision, Error> {
        config::parse(&config).and_then(|config| T::decide(config, &situation)).map_err(brief)
    }
}
