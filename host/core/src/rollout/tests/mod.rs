//! Whole reconciliations, from the observed objects to the plan.

mod adopted;
mod availability;
mod blocked;
mod blue_green;
mod managed;
mod reconciliation;
mod restart;
mod stable_gone;
mod status;
mod strategy_failure;
pub(crate) mod support;
mod traffic;
mod unrouted;
mod waits;
