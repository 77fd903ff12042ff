//! Whole reconciliations: what is observed in, the plan out.

mod availability;
mod blocked;
pub(crate) mod pass;
mod restart;
mod stable_gone;
mod status;
mod strategy_failure;
mod traffic;
mod waits;
