//! Whole reconciliations, from the observed objects to the plan.

mod availability;
mod blocked;
pub(crate) mod reconciliation;
mod restart;
mod stable_gone;
mod status;
mod strategy_failure;
mod traffic;
mod waits;
