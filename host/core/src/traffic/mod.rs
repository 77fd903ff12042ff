//! Weights on Gateway API routes (design section 4): what a route says, whether the data plane took it, what is written next.

pub mod acceptance;
pub mod foreign;
pub mod label;
pub mod route;
pub mod weight;

use kulta_api::ConditionReason;

/// Something outside the rollout keeps traffic from being moved. Names the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub reason: ConditionReason,
    pub message: String,
}
