//! Loads, checks, limits and calls the components that make KULTA's decisions. The only crate that knows wasmtime.
//!
//! A plugin can only answer and log. Each call gets a fresh instance with a memory limit, a deadline and a limit for
//! the size of its answer. Each answer is validated before it is returned. Each failure has a type ([`CallError`]) and
//! a class for metrics ([`FailureClass`]).
//!
//! ```no_run
//! # async fn example(situation: kulta_wasm::strategy::Situation) -> Result<(), Box<dyn std::error::Error>> {
//! let plugins = kulta_wasm::Plugins::new(kulta_wasm::Limits::default())?;
//! let canary = plugins.strategy("canary").await?;
//! let config = serde_json::json!({"steps": [{"setWeight": 10}]});
//! canary.check_config(&config).await?;
//! let decision = canary.decide(&config.to_string(), &situation).await?;
//! # Ok(())
//! # }
//! ```

pub mod analyzer;
mod answer;
mod bindings;
mod bounded_folder;
mod code_cache;
mod compile;
mod component;
mod condition;
pub mod enricher;
mod error;
pub mod fetch;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod handle;
mod limits;
mod loaded;
mod log;
mod plugin;
mod plugins;
mod runtime;
mod schema;
pub mod step;
pub mod strategy;
mod ticker;

pub use analyzer::AnalyzerPlugin;
pub use bounded_folder::BoundedFolder;
pub use code_cache::{CacheError, CodeCache};
pub use compile::{ChildCompiler, Compiler, compile_stdin};
pub use condition::ConditionPlugin;
pub use enricher::EnricherPlugin;
pub use error::{CallError, CheckError, ConfigError, FailureClass, LoadError, LookupError, Report};
pub use limits::Limits;
pub use loaded::Loaded;
pub use plugin::{Info, Kind, Plugin};
pub use plugins::{CONDITION_LANGUAGE, Plugins};
pub use runtime::StartError;
pub use step::StepPlugin;
pub use strategy::StrategyPlugin;

#[cfg(test)]
mod code_cache_tests;
#[cfg(test)]
mod fixtures_for_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod plugins_tests;
#[cfg(test)]
mod testing;
