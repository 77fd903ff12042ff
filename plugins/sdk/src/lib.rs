//! Write KULTA plugins in Rust.
//!
//! A plugin is a pure function: it gets a configuration and a situation, and answers. It has no clock, no network, no file
//! and no memory but what it is handed; the one thing it may call is the host's log ([`log`]).
//!
//! Implement the trait of the kind ([`Strategy`], [`Analyzer`], [`Condition`]), name the type in the kind's macro
//! ([`export_strategy!`], [`export_analyzer!`], [`export_condition!`]) and build a `cdylib` for `wasm32-unknown-unknown`.
//! All types work natively too, so a policy is tested with `cargo test`, no Wasm involved.
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
//! kulta_plugin::export_strategy!(AllAtOnce);
//! ```

// The macros name this crate by its own name, from inside too.
extern crate self as kulta_plugin;

pub mod analyzer;
pub mod auth;
#[doc(hidden)]
pub mod bindings;
pub mod condition;
mod config;
mod duration;
pub mod fetch;
pub mod log;
pub mod number;
mod strategy;
pub mod testing;
pub mod text;

pub use analyzer::Analyzer;
pub use bindings::kulta::plugin::types::{Error, Label, Revision, Rollout, Verdict};
pub use condition::Condition;
pub use duration::{Duration, DurationError};
pub use strategy::{
    Decision, Exported, Failure, FailureKind, Goal, HeaderMatch, ManagedRoute, Mirror, Next, Pause, PauseCause,
    RouteKind, RouteMatch, Run, RunPhase, Scale, Share, Situation, Strategy, TextMatch, Waiting, WantedRun,
};
#[doc(hidden)]
pub use wit_bindgen;

/// What a plugin says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub name: &'static str,
    pub version: &'static str,
    /// One line for a person.
    pub summary: &'static str,
}
