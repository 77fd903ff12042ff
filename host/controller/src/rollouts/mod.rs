//! Rollouts: caches → core → strategy → core → cluster.

mod apply;
mod look_ups;
mod observe;
mod reconciler;
mod step_calls;
mod strategies;
mod transitions;
mod workload;

pub use apply::{Applier, Target};
pub use reconciler::RolloutReconciler;
pub use step_calls::StepCalls;
pub use strategies::Strategies;
