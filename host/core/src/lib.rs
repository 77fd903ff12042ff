//! What should happen to a rollout: pure functions over [`Observed`]. No cluster, no clock, no plugin runtime;
//! the caller hands in what it sees and the time, asks the strategy when told to, and carries out the [`Plan`].

mod affinity;
pub mod decision;
#[cfg(test)]
mod fixtures;
pub mod hash;
pub mod identity;
mod metadata;
pub mod observed;
pub mod pass;
pub mod plan;
pub mod replica_set;
pub mod replicas;
pub mod traffic;

pub use observed::Observed;
pub use pass::{Ask, Turn, begin, undecodable};
pub use plan::Plan;
