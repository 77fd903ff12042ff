//! Write KULTA plugins in Rust.
//!
//! A plugin is a pure function from a configuration and an input to an answer. It has no clock, no network, no files
//! and no state except its arguments. It can call only the host's log ([`log`]).
//!
//! | kind | trait | answers |
//! |---|---|---|
//! | strategy | [`Strategy`] | where a revision should be now |
//! | analyzer | [`Analyzer`] | what a metric measures, and what that means |
//! | enricher | [`Enricher`] | what an event should also say |
//! | step | [`Step`] | how the work of a canary's step is done and undone |
//! | condition | [`Condition`] | whether an expression holds for a value |
//!
//! Implement the trait of the kind, name the type in [`export!`] and build a `cdylib` for `wasm32-unknown-unknown`.
//! All types work natively too, so a plugin is tested with `cargo test`, no Wasm involved: [`testing`] drives whole runs.
//!
//! ```
//! use kulta_plugin::{About, Decision, Error, Next, Situation, Strategy};
//!
//! /// Sends everything to the new version at once.
//! struct AllAtOnce;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {}
//!
//! impl Strategy for AllAtOnce {
//!     const ABOUT: About = About { name: "all-at-once", version: "0.1.0", summary: "Promotes without waiting" };
//!     type Config = Config;
//!
//!     fn decide(_config: Config, situation: &Situation) -> Result<Decision, Error> {
//!         Ok(Decision {
//!             weight: situation.rollout.max_weight,
//!             next: Next::Promote,
//!             reason: "all at once".into(),
//!             ..Decision::at(0, 0)
//!         })
//!     }
//! }
//!
//! kulta_plugin::export!(strategy: AllAtOnce);
//! ```

// The macro names this crate by its own name, from inside too.
extern crate self as kulta_plugin;

pub mod analyzer;
pub mod auth;
#[doc(hidden)]
pub mod bindings;
pub mod condition;
mod config;
mod description;
mod duration;
pub mod enricher;
mod export;
pub mod fetch;
pub mod log;
pub mod memory;
pub mod number;
pub mod step;
mod strategy;
pub mod testing;
pub mod text;

pub use analyzer::Analyzer;
pub use bindings::kulta::plugin::types::{Error, Label, Revision, Rollout, Verdict};
pub use condition::Condition;
pub use duration::{Duration, DurationError};
pub use enricher::Enricher;
pub use step::Step;
pub use strategy::{
    Decision, Exported, Failure, FailureKind, Goal, HeaderMatch, ManagedRoute, Mirror, Next, Pause, PauseCause,
    RouteKind, RouteMatch, Run, RunPhase, Scale, Share, Situation, Strategy, TextMatch, Waiting, WantedRun,
};
#[doc(hidden)]
pub use wit_bindgen;

/// A plugin's description of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub name: &'static str,
    pub version: &'static str,
    /// One line for users.
    pub summary: &'static str,
}
