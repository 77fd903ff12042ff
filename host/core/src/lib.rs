//! What should happen to a rollout: pure functions over [`Observed`]. No cluster, no clock, no plugin runtime;
//! the caller hands in what it sees and the time, asks the strategy when told to, and carries out the [`Plan`].

mod affinity;
pub mod analysis;
mod arrange;
mod autoscaling;
#[cfg(test)]
mod availability_tests;
mod blocked;
#[cfg(test)]
mod blocked_tests;
mod course;
pub mod decision;
mod ending;
#[cfg(test)]
mod fixtures;
pub mod hash;
pub mod identity;
mod metadata;
pub mod observed;
pub mod pass;
#[cfg(test)]
mod pass_tests;
mod patch;
pub mod phase;
pub mod pins;
pub mod plan;
pub mod plugin_failure;
mod pod_names;
mod progress;
pub mod reference;
pub mod replica_set;
pub mod replicas;
mod restart;
#[cfg(test)]
mod restart_tests;
mod route_writes;
mod runs;
mod scene;
pub mod selector;
mod services;
#[cfg(test)]
mod stable_gone_tests;
mod status;
#[cfg(test)]
mod status_tests;
pub mod step_plugins;
mod steps;
#[cfg(test)]
mod strategy_failure_tests;
mod tell;
pub mod time;
pub mod traffic;
#[cfg(test)]
mod traffic_tests;
mod transition;
pub mod waits;
#[cfg(test)]
mod waits_tests;
mod workload;

pub use observed::Observed;
pub use pass::{Ask, Turn, begin, undecodable};
pub use plan::Plan;
pub use transition::Transition;
