//! Decides what should happen to a rollout: pure functions over [`Observed`], without cluster, clock or plugin runtime. The
//! caller passes the observed objects and the time, answers the questions of a [`Turn`], and applies the [`Plan`].

mod affinity;
pub mod analysis;
mod argo_steps;
pub mod decision;
#[cfg(test)]
mod fixtures;
pub mod hash;
pub mod identity;
mod metadata;
pub mod observed;
mod patch;
pub mod pins;
pub mod plan;
pub mod plugin_failure;
mod pod_names;
pub mod reference;
pub mod replicas;
mod rollout;
mod runs;
pub mod selector;
pub mod step_plugins;
pub mod time;
pub mod traffic;
pub mod workload;

pub use observed::Observed;
pub use plan::Plan;
pub use rollout::questions::{Ask, LookUp, LookedUp, Need, Turn};
pub use rollout::transition::Transition;
pub use rollout::{begin, undecodable};
